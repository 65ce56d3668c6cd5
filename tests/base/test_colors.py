import time

import numpy as np
import pytest
from skimage.color import rgb2lab

from histofactor.base import colors
from histofactor.base.colors import palette, perceived_lab
from histofactor.errors import OptionError


def smallest_distances(k):
    lab = perceived_lab(np.array(palette(k), np.uint8))
    distances = np.linalg.norm(lab[:, :, None] - lab[:, None, :], axis=-1)
    distances[:, np.arange(k), np.arange(k)] = np.inf
    return distances.min(axis=(1, 2))


@pytest.mark.parametrize(
    ("k", "normal", "dichromat"), [(8, 25, 16), (16, 20, 10), (32, 14, 7), (64, 9, 4.5), (256, 4, 2)]
)
def test_colors_keep_their_distance_in_every_vision(k, normal, dichromat):
    seen = smallest_distances(k)
    assert seen[0] >= normal
    assert seen[1:].min() >= dichromat


def test_a_shorter_palette_is_the_beginning_of_a_longer_one():
    full = palette(256)
    assert len(set(full)) == 256
    assert all(palette(k) == full[:k] for k in (1, 7, 8, 100))


def test_it_begins_with_okabe_and_ito():
    assert palette(6) == ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0))


def test_no_color_looks_like_haematoxylin_eosin_paper_or_ink():
    lightness, a, b = rgb2lab(np.array(palette(256)) / 255).T
    hue = np.degrees(np.arctan2(b, a)) % 360
    assert not np.any((hue > 286) | (hue < 24))
    assert lightness.min() > 30
    assert lightness.max() < 91


def test_normal_vision_is_plain_cielab():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 3), np.uint8)
    np.testing.assert_allclose(perceived_lab(rgb)[0], rgb2lab(rgb / 255), atol=0.02)


def test_dichromats_see_greys_as_greys_and_confuse_red_with_green():
    greys, red_green = np.array([[60] * 3, [200] * 3], np.uint8), np.array([[200, 60, 0], [90, 120, 0]], np.uint8)
    assert np.abs(perceived_lab(greys)[:, :, 1:]).max() < 0.05
    apart = np.linalg.norm(np.diff(perceived_lab(red_green), axis=1)[:, 0], axis=-1)
    assert apart[1:].max() < 0.4 * apart[0]


def test_it_is_fast():
    colors._all_colors.cache_clear()
    start = time.process_time()
    palette(256)
    assert time.process_time() - start < 1  # about 0.15 s; the bound allows for slow machines


@pytest.mark.parametrize("k", [0, -1, 257])
def test_too_few_or_too_many_are_refused(k):
    with pytest.raises(OptionError, match=r"1 … 256"):
        palette(k)
