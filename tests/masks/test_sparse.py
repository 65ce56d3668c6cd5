import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from histofactor.masks.sparse import quantise, restore


@given(arrays.arrays(np.float32, (2, 3, 7), elements=st.floats(0, 2.0**20, width=32)), st.integers(1, 9))
def test_what_is_kept_is_off_by_half_a_step_and_the_rest_is_smaller(weights, keep):
    rows = quantise(weights, keep)
    found = restore(rows, 7)
    first = weights.max(-1, keepdims=True)
    np.testing.assert_array_equal(rows.scale, first[..., 0])
    smallest_kept = np.sort(weights, axis=-1)[..., ::-1][..., min(keep, 7) - 1, None]
    kept = np.where(weights > smallest_kept, True, found > 0)
    tolerance = np.float64(first) * (1 / 131070 + 1e-7)
    assert (np.abs(found.astype(float) - weights) <= tolerance)[kept].all()
    assert (weights <= np.maximum(smallest_kept, tolerance))[~kept].all()
    assert ((found > 0).sum(-1) <= keep).all()


def test_the_largest_weights_come_first_and_ties_go_to_the_lower_concept():
    weights = np.array([[[0, 3, 1, 3, 0], [0, 0, 0, 0, 0]]], np.float32)
    rows = quantise(weights, keep=4)
    assert rows.index.tolist() == [[[1, 3, 2, 0], [0, 0, 0, 0]]]
    assert rows.value.tolist() == [[[65535, 65535, 21845, 0], [0, 0, 0, 0]]]
    assert rows.scale.tolist() == [[3, 0]]


def test_concepts_beyond_a_byte():
    weights = np.random.default_rng(0).random((2, 2, 300), np.float32)
    rows = quantise(weights)
    assert rows.index.dtype == np.uint16
    np.testing.assert_array_equal(restore(rows, 300).argmax(-1), weights.argmax(-1))
    assert quantise(weights[..., :256]).index.dtype == np.uint8
