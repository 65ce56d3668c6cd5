"""Geometry: every token is covered, nothing is magnified, overlaps add up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.records import SlideInfo, WindowRule
from histofactor.slides.grid import make_frame, plan_windows, taper, token_overlap, visible_region


def info(width, height, mpp):
    return SlideInfo(Path("x.png"), (width, height), mpp, (1.0,), "test")


sizes = st.integers(1, 3000)
rules = st.sampled_from(
    [
        WindowRule(224, 112),
        WindowRule(224, 0),
        WindowRule(512, 192, 96, fixed=False),
        WindowRule(1024, 256, 64, fixed=False),
    ]
)


@given(width=sizes, height=sizes, rule=rules, stride=st.sampled_from([8, 16]), half=st.booleans())
def test_windows_cover_every_token_beyond_their_halo(width, height, rule, stride, half):
    frame = make_frame(info(width, height, 1.0), 1.0, stride)
    shift = (rule.size_px // 2 - rule.halo_px) // stride * stride if half else 0
    seen = np.zeros(frame.g_size[::-1], np.float32)
    for window in plan_windows(frame, rule, shift):
        grid, part = token_overlap(frame, window)
        weight = taper(window, rule, stride)
        assert weight.shape == (window.size[1] // stride, window.size[0] // stride)
        seen[grid] += weight[part]
        region, padding = visible_region(frame, window)
        assert region.x >= 0
        assert region.x + region.width <= width + 1e-6
        assert region.out_size[0] + sum(padding[1]) == window.size[0]
        assert region.out_size[1] + sum(padding[0]) == window.size[1]
        assert min(region.out_size) > 0
        assert min(min(pair) for pair in padding) >= 0
    assert seen.min() > 0


@given(width=st.integers(200, 3000), mpp=st.floats(0.1, 4.0), target=st.floats(0.1, 4.0))
def test_nothing_is_magnified(width, mpp, target):
    frame = make_frame(info(width, width, mpp), target, 8)
    assert frame.t_size[0] <= width
    assert min(frame.l0_per_px) >= 1
    rounding = 1.02 / frame.t_size[0]  # of the width to whole px, and one percent that does not count as coarser
    assert frame.t_mpp == pytest.approx(max(mpp, target), rel=max(rounding, 0.011))
    assert bool(frame.note) == (mpp > target * 1.01)


def test_unknown_resolution_is_worked_as_it_is_and_said():
    frame = make_frame(info(100, 50, None), 0.5, 16)
    assert frame.t_size == (100, 50)
    assert frame.g_size == (7, 4)
    assert frame.t_mpp is None
    assert "its own pixel size" in frame.note


def test_interior_tapers_add_up_to_one():
    rule = WindowRule(224, 112)
    frame = make_frame(info(2000, 2000, 1.0), 1.0, 16)
    seen = np.zeros(frame.g_size[::-1], np.float32)
    for window in plan_windows(frame, rule):
        grid, part = token_overlap(frame, window)
        seen[grid] += taper(window, rule, 16)[part]
    np.testing.assert_allclose(seen[10:100, 10:100], 1.0, atol=1e-5)


def test_halo_of_half_the_overlap_means_a_plain_mosaic():
    rule = WindowRule(512, 192, 96, fixed=False)
    frame = make_frame(info(2000, 512, 1.0), 1.0, 8)
    window = plan_windows(frame, rule)[0]
    weight = taper(window, rule, 8)
    assert set(np.unique(weight)) == {0.0, 1.0}
    assert weight[12:-12, 12:-12].all()


def test_small_images_get_small_windows_unless_fixed():
    frame = make_frame(info(100, 60, 1.0), 1.0, 8)
    assert plan_windows(frame, WindowRule(1024, 128, 64, fixed=False))[0].size == (104 + 128, 64 + 128)
    assert plan_windows(frame, WindowRule(224, 112))[0].size == (224, 224)
