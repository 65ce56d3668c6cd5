"""Windows: every token is covered."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histofactor.records import WindowRule
from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.geometry.tapers import tapers_of
from histofactor.slides.geometry.windows import plan_windows, token_overlap, visible_region
from layouts import info, rules, sizes


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
