"""Tapers: overlaps add up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.geometry.tapers import tapers_of
from histofactor.slides.geometry.views import cell_px, views_of
from histofactor.slides.geometry.windows import plan_windows, token_overlap
from layouts import info, rules, sizes


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
