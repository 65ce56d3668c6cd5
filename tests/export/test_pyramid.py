import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.export.pyramid import level_bands, level_shapes


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((512, 512), [(512, 512)]),
        ((1, 513), [(1, 513), (1, 257)]),
        ((639, 1059), [(639, 1059), (320, 530), (160, 265)]),
    ],
)
def test_levels_halve_until_they_are_small(shape, expected):
    assert level_shapes(shape) == expected


@given(st.integers(1, 90), st.integers(1, 40), st.sampled_from([2, 8, 16]), st.integers(1, 5))
def test_bands_make_up_every_level(height, width, rows, levels):
    values = np.random.default_rng(0).integers(0, 255, (height, width), np.uint8)
    found = [[] for _ in range(levels)]
    for level, band in level_bands(values, rows, levels):
        found[level].append(band)
    for level, bands in enumerate(found):
        assert all(len(band) == rows for band in bands[:-1])
        np.testing.assert_array_equal(np.concatenate(bands), values[:: 2**level, :: 2**level])


def test_the_last_band_of_the_full_level_comes_last():
    order = [level for level, _ in level_bands(np.zeros((50, 10), np.uint8), 4, 4)]
    assert order[-1] == 0
