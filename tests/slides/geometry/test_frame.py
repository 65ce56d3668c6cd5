"""Frames: nothing is magnified."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.records import SlideInfo
from histofactor.slides.geometry.frame import make_frame


def info(width, height, mpp):
    return SlideInfo(Path("x.png"), (width, height), mpp, (1.0,), "test")


@given(width=st.integers(200, 3000), mpp=st.floats(0.1, 4.0), target=st.floats(0.1, 4.0))
def test_nothing_is_magnified(width, mpp, target):
    frame = make_frame(info(width, width, mpp), target, 8)
    assert frame.t_size[0] <= width
    assert min(frame.l0_per_px) >= 1
    rounding = 1.02 / frame.t_size[0]  # of the width to whole px, and one percent that does not count as coarser
    assert frame.t_mpp == pytest.approx(max(mpp, target), rel=max(rounding, 0.011))
    assert bool(frame.note) == (mpp > target * 1.01)


@given(width=st.integers(16, 3000), height=st.integers(16, 3000), mpp=st.floats(0.1, 4.0), target=st.floats(0.1, 4.0))
def test_areas_of_px_add_up_to_that_of_the_input(width, height, mpp, target):
    frame = make_frame(info(width, height, mpp), target, 8)
    whole = width * height * mpp**2
    assert frame.t_size[0] * frame.t_size[1] * frame.t_mpp**2 == pytest.approx(whole, rel=1e-9)


def test_unknown_resolution_is_worked_as_it_is():  # which the reader of the input tells
    frame = make_frame(info(100, 50, None), 0.5, 16)
    assert frame.t_size == (100, 50)
    assert frame.g_size == (7, 4)
    assert frame.t_mpp is None
    assert not frame.note
