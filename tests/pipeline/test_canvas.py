"""Blending: exact where windows agree, a weighted mean where they do not."""

import numpy as np

from histofactor.pipeline.canvas import Canvas
from histofactor.records import SlideInfo, WindowRule
from histofactor.slides.grid import make_frame, plan_windows, token_overlap


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
    canvas = Canvas(frame, rule, 3)
    for window in plan_windows(frame, rule):
        B = cut(truth, frame, window)
        canvas.add([window], B[None], (B**2).sum(-1)[None])
    blended, sq_norms = canvas.blended()
    np.testing.assert_allclose(blended, truth, rtol=1e-5)
    np.testing.assert_allclose(sq_norms, (truth**2).sum(-1), rtol=1e-5)


def test_halo_tokens_have_no_say():
    rule, frame = WindowRule(128, 64, 32, fixed=False), frame_of(300, 300)
    truth = np.random.default_rng(0).random((*frame.g_size[::-1], 1)).astype(np.float32)
    canvas = Canvas(frame, rule, 1)
    for window in plan_windows(frame, rule):
        B = cut(truth, frame, window)
        halo = np.ones(B.shape[:2], bool)
        halo[4:-4, 4:-4] = False
        B[halo] = 1e6
        canvas.add([window], B[None], B[None, ..., 0])
    np.testing.assert_array_equal(canvas.blended()[0], truth)


def test_disagreement_becomes_a_mean_between():
    rule, frame = WindowRule(96, 48), frame_of(200, 90)
    canvas = Canvas(frame, rule, 1)
    for value, window in enumerate(plan_windows(frame, rule)):
        size = (window.size[1] // 8, window.size[0] // 8)
        canvas.add([window], np.full((1, *size, 1), value, np.float32), np.zeros((1, *size), np.float32))
    row = canvas.blended()[0][4, :, 0]
    assert (np.diff(row) >= -1e-6).all()
    assert row[0] == 0
    assert len(np.unique(row)) > 6


def test_nothing_added_is_zero():
    blended, sq_norms = Canvas(frame_of(80, 80), WindowRule(96, 48), 2).blended()
    assert (blended == 0).all()
    assert (sq_norms == 0).all()
