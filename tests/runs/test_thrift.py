"""What is encoded for learning is shared out in the order of the inputs, within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from histofactor.runs.thrift import Allotment, Looked, Thrift, allot


def looked(windows, drawn, feature_bytes=0, *, at_hand=False):
    return Looked("a", "done", windows=windows, drawn=drawn, feature_bytes=feature_bytes, at_hand=at_hand)


def test_small_inputs_are_held_as_far_as_they_fit():
    thrift = Thrift(held_bytes=25, share=1.0)
    found = allot([looked(4, 4, 10), looked(4, 4, 20), looked(4, 4, 15), looked(9, 9, at_hand=True)], thrift)
    assert found == [Allotment(True, 10), Allotment(True, 0), Allotment(True, 15), Allotment(True, 1)]


def test_an_input_without_tissue_gives_nothing():
    assert allot([looked(0, 0)], Thrift()) == [Allotment(False, 0)]


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
    st.integers(1, 20),
)
def test_no_more_than_the_share_is_encoded_for_learning_alone(windows, share, fewest):
    inputs = [looked(n, max(1, round(share * n))) for n in windows]
    found = allot(inputs, Thrift(share=share, fewest=fewest))
    spent = sum(one.drawn for one, allotted in zip(inputs, found, strict=True) if allotted.any)
    used = sum(allotted.any for allotted in found)
    assert used >= min(fewest, len(inputs))
    if used > fewest:
        assert spent <= share * sum(windows)
    assert found == allot(inputs, Thrift(share=share, fewest=fewest))
