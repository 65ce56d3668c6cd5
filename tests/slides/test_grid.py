"""Geometry: every token is covered, nothing is magnified, overlaps add up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.records import SlideInfo, WindowRule
from histofactor.slides.grid import (
    Window,
    cell_px,
    make_frame,
    nearest_cell,
    plan_windows,
    tapers_of,
    token_overlap,
    views_of,
    visible_region,
)


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
    windows = plan_windows(frame, rule, stride, shift)
    shares = tapers_of(frame, rule, windows)
    for window in windows:
        grid, part = token_overlap(frame, window)
        weight = shares(window)
        assert weight.shape == (window.size[1] // stride, window.size[0] // stride)
        seen[grid] += weight[part]
        region, padding = visible_region(frame, window)
        assert region.x >= 0
        assert region.x + region.width <= width + 1e-6
        assert region.out_size[0] + sum(padding[1]) == window.size[0]
        assert region.out_size[1] + sum(padding[0]) == window.size[1]
        assert min(region.out_size) > 0
        assert min(min(pair) for pair in padding) >= 0
    np.testing.assert_allclose(seen, 1, atol=1e-5)


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


@given(width=sizes, height=sizes, rule=rules, shift=st.sampled_from([0, 16, 80]))
def test_every_view_counts_alike(width, height, rule, shift):
    frame = make_frame(info(width, height, 1.0), 1.0, cell_px(16, 4))
    base = plan_windows(frame, rule, 16, shift)
    windows = [view for window in base for view in views_of(window, 4, 8)]
    shares = tapers_of(frame, rule, windows)
    seen = np.zeros((4, *frame.g_size[::-1]), np.float32)
    for window in windows:
        grid, part = token_overlap(frame, window)
        seen[window.turns][grid] += shares(window)[part]
    edge = rule.halo_px // 8 + 1  # the moved views end half a patch before the image does
    np.testing.assert_allclose(seen[0], 1, atol=1e-5)
    np.testing.assert_allclose(seen[:, : max(len(seen[0]) - edge, 0), : max(seen.shape[2] - edge, 0)], 1, atol=1e-5)


def test_views_turn_and_move():
    window = Window(32, 48, (224, 224))
    assert views_of(window, 1, 0) == (window,)
    views = views_of(window, 4, 8)
    assert [view.turns for view in views] == [0, 1, 2, 3]
    assert [(view.x, view.y) for view in views] == [(32, 48), (25, 47), (24, 41), (31, 40)]
    assert [(view.x, view.y) for view in views_of(window, 4, 7)] == [(32, 48), (25, 48), (25, 41), (32, 41)]
    assert {(view.x, view.y) for view in views_of(window, 4, 0)} == {(32, 48)}


@given(half=st.integers(3, 40), x=st.integers(-9, 9), y=st.integers(-9, 9))
def test_moves_are_half_patches_up_to_a_px(half, x, y):
    views = views_of(Window(x * half, y * half, (96, 96)), 4, half)
    moves = np.array([(x * half - view.x, y * half - view.y) for view in views])
    assert moves.sum(0).tolist() == [2 * half, 2 * half]
    cells = [(nearest_cell(view.x, half) - x, nearest_cell(view.y, half) - y) for view in views]
    assert cells == [(0, 0), (-1, 0), (-1, -1), (0, -1)]
    assert np.abs(moves + half * np.array(cells)).max() <= 1


@pytest.mark.parametrize("half", [4, 8])
def test_every_px_is_an_even_and_an_odd_one_on_either_axis_before_and_after_turning(half):
    rows, columns = np.mgrid[:64, :64] % 2
    seen, turned = set(), set()
    for view in views_of(Window(32, 32, (32, 32)), 4, half):
        window = np.s_[view.y : view.y + 32, view.x : view.x + 32]
        seen.add((rows[window][0, 0], columns[window][0, 0]))
        turned.add((np.rot90(rows[window], view.turns)[0, 0], np.rot90(columns[window], view.turns)[0, 0]))
    assert seen == turned == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_cells_are_half_patches_where_patches_can_be_halved():
    assert [cell_px(patch, views) for patch, views in ((16, 1), (16, 4), (14, 4), (7, 4))] == [16, 8, 7, 7]


def test_halo_of_half_the_overlap_means_a_plain_mosaic():
    rule = WindowRule(512, 192, 96, fixed=False)
    frame = make_frame(info(2000, 512, 1.0), 1.0, 8)
    windows = plan_windows(frame, rule, 8)
    weight = tapers_of(frame, rule, windows)(windows[0])
    assert set(np.unique(weight)) <= {0.0, 0.25, 0.5, 1.0}  # whole, or shared with a window moved back from the edge
    assert weight[12:52, 12:52].all()


def test_small_images_get_small_windows_unless_fixed():
    frame = make_frame(info(100, 60, 1.0), 1.0, 8)
    assert plan_windows(frame, WindowRule(1024, 128, 64, fixed=False), 8)[0].size == (104 + 128, 64 + 128)
    assert plan_windows(frame, WindowRule(224, 112), 8)[0].size == (224, 224)
