"""Blending: exact where windows agree, a weighted mean where they do not."""

from itertools import groupby

import numpy as np
import pytest

from histofactor.records import SlideInfo, WindowRule
from histofactor.segmentation.canvas import Canvas
from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.geometry.views import views_of
from histofactor.slides.geometry.windows import plan_windows, token_overlap


def frame_of(width, height):
    return make_frame(SlideInfo(None, (width, height), 1.0, (1.0,), "test"), 1.0, 8)


def cut(values, frame, window):
    """The tokens of a window out of a grid of values; NaN where the window leaves the grid."""
    shape = (window.size[1] // 8, window.size[0] // 8, *values.shape[2:])
    part_of_window = np.full(shape, np.nan, np.float32)
    grid, part = token_overlap(frame, window)
    part_of_window[part] = values[grid]
    return part_of_window


def test_consistent_windows_blend_to_themselves():
    rule, frame = WindowRule(96, 48), frame_of(400, 250)
    truth = np.random.default_rng(0).random((*frame.g_size[::-1], 3)).astype(np.float32)
    canvas = Canvas(frame, rule, plan_windows(frame, rule, 8), 3)
    for window in plan_windows(frame, rule, 8):
        B = cut(truth, frame, window)
        canvas.add([window], B[None], (B**2).sum(-1)[None])
    blended, sq_norms = canvas.take(len(truth))
    np.testing.assert_allclose(blended, truth, rtol=1e-5)
    np.testing.assert_allclose(sq_norms, (truth**2).sum(-1), rtol=1e-5)


@pytest.mark.parametrize("restored", [False, True])
def test_a_strip_that_moves_down_holds_what_the_whole_holds(restored):
    rule, frame = WindowRule(96, 48, 16, fixed=False), frame_of(400, 450)
    rng = np.random.default_rng(0)
    windows = plan_windows(frame, rule, 8)
    size = (windows[0].size[1] // 8, windows[0].size[0] // 8)
    B, sq_norms = rng.random((len(windows), *size, 3), np.float32), rng.random((len(windows), *size), np.float32)
    whole, strip, taken = Canvas(frame, rule, windows, 3), Canvas(frame, rule, windows, 3), []
    whole.add(windows, B, sq_norms)
    rows = [list(row) for _, row in groupby(range(len(windows)), key=lambda i: windows[i].y)]
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        strip.add([windows[i] for i in row], B[row], sq_norms[row])
        stop = frame.g_size[1] if following is None else max(windows[following[0]].y // 8, 0)
        taken.append(strip.take(stop))
        if restored:
            state, strip = strip.state(), Canvas(frame, rule, windows, 3)
            strip.restore(state)
    for part, one in zip(zip(*taken, strict=True), whole.take(frame.g_size[1]), strict=True):
        np.testing.assert_array_equal(np.concatenate(part), one)


def test_halo_tokens_have_no_say():
    rule, frame = WindowRule(128, 64, 32, fixed=False), frame_of(300, 300)
    truth = np.random.default_rng(0).random((*frame.g_size[::-1], 1)).astype(np.float32)
    canvas = Canvas(frame, rule, plan_windows(frame, rule, 8), 1)
    for window in plan_windows(frame, rule, 8):
        B = cut(truth, frame, window)
        halo = np.ones(B.shape[:2], bool)
        halo[4:-4, 4:-4] = False
        B[halo] = 1e6
        canvas.add([window], B[None], B[None, ..., 0])
    np.testing.assert_array_equal(canvas.take(len(truth))[0], truth)


@pytest.mark.parametrize("rule", [WindowRule(96, 48), WindowRule(128, 96, 32, fixed=False)])
def test_halves_of_tokens_lie_on_a_line_between_their_centres(rule):
    frame, patch = frame_of(300, 200), 16
    layout = [view for window in plan_windows(frame, rule, patch) for view in views_of(window, 4, 8)]
    canvas, halo = Canvas(frame, rule, layout, 2), max(rule.halo_px // patch - 1, 0)
    for window in layout:
        width, height = (side // patch for side in window.size)
        x, y = window.x + (np.arange(width) + 0.5) * patch, window.y + (np.arange(height) + 0.5) * patch
        B = np.stack(np.broadcast_arrays(x, y[:, None]), -1).astype(np.float32)
        inside = np.zeros((height, width), bool)
        inside[halo : height - halo, halo : width - halo] = True
        B[~inside] = 1e6  # but for its last token the halo has no say
        canvas.add([window], B[None], np.ones((1, height, width), np.float32))
    columns, rows = frame.g_size
    blended, ones = canvas.take(rows)
    np.testing.assert_allclose(ones, 1, rtol=1e-6)
    edge = 2  # where views and windows end there is no centre beyond
    inner = blended[edge:-edge, edge:-edge]
    lines = np.broadcast_arrays((np.arange(columns) + 0.5) * 8, ((np.arange(rows) + 0.5) * 8)[:, None])
    distance = np.abs(inner - np.stack(lines, -1)[edge:-edge, edge:-edge])
    assert distance.max() < (1e-3 if halo else 4)  # px; without a halo less is known where windows begin
    assert np.median(distance) < 1e-3


def test_disagreement_becomes_a_mean_between():
    rule, frame = WindowRule(96, 48), frame_of(200, 90)
    canvas = Canvas(frame, rule, plan_windows(frame, rule, 8), 1)
    for value, window in enumerate(plan_windows(frame, rule, 8)):
        size = (window.size[1] // 8, window.size[0] // 8)
        canvas.add([window], np.full((1, *size, 1), value, np.float32), np.zeros((1, *size), np.float32))
    row = canvas.take(frame.g_size[1])[0][4, :, 0]
    assert (np.diff(row) >= -1e-6).all()
    assert row[0] == 0
    assert len(np.unique(row)) > 6


def test_nothing_added_is_zero():
    blended, sq_norms = Canvas(frame_of(80, 80), WindowRule(96, 48), [], 2).take(10)
    assert blended.shape == (10, 10, 2)
    assert (blended == 0).all()
    assert (sq_norms == 0).all()
