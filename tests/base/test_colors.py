import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_cie76, deltaE_ciede2000, rgb2lab

from histofactor.base import colors
from histofactor.base.colors import another_color, blend, palette, perceived_lab, seen_color, spread_colors
from histofactor.errors import OptionError

STAIN = np.array([205, 158, 195])  # of mean density


def seen_over_tissue(colors, transparency):
    """CIELAB (3, n, 3) of colours over tissue, by every vision."""
    return perceived_lab(np.rint((1 - transparency) * np.array(colors) + transparency * STAIN).astype(np.uint8))


def distances(lab):
    """Distance (3, n, n) of every two, the same by skimage; infinite to themselves."""
    found = np.linalg.norm(lab[:, :, None] - lab[:, None, :], axis=-1)
    np.testing.assert_allclose(found[0], deltaE_cie76(lab[0][:, None], lab[0][None]), atol=1e-6)
    found[:, np.eye(lab.shape[1], dtype=bool)] = np.inf
    return found


@pytest.mark.parametrize(
    ("k", "normal", "dichromat"), [(8, 34, 23), (16, 16, 11), (32, 10, 6.5), (64, 6.5, 4.5), (256, 2.5, 1.5)]
)
def test_colors_keep_their_distance_over_tissue_in_every_vision(k, normal, dichromat):
    seen = distances(seen_over_tissue(palette(k), 0.45))
    assert seen[0].min() >= normal
    assert seen[1:].min() >= dichromat


def test_the_first_eight_differ_by_the_modern_measure_too_and_at_half_the_opacity():
    lab = seen_over_tissue(palette(8), 0.45)
    ciede2000 = np.array([deltaE_ciede2000(one[:, None], one[None]) for one in lab])
    ciede2000[:, np.eye(8, dtype=bool)] = np.inf
    assert ciede2000.min() > 11
    assert distances(seen_over_tissue(palette(8), 0.65)).min() > 14


def test_the_largest_phenotypes_get_colors_that_hide_no_nuclei():
    lightness = rgb2lab(np.array(palette(8)) / 255)[:, 0]
    assert lightness[:4].min() > 45
    assert lightness[:4].max() < 85


def test_concepts_that_are_seen_together_are_further_apart_than_those_that_are_not():
    k = 40
    together = np.zeros((k, k))
    for field in np.arange(k).reshape(5, 8):  # eight concepts a field, others in every field
        together[np.ix_(field, field)] = 1
    found = spread_colors(together)
    assert len(set(found)) == k
    assert found == spread_colors(together)
    apart = distances(seen_over_tissue(found, 0.45)).min(axis=0)
    assert apart[together > 0].min() > 15  # which no 40 colours can be
    assert apart.min() < 15


def test_spreading_helps_those_that_a_palette_has_close():
    together = np.full((16, 16), 0.001)
    together[8:, 8:] = 1
    before = distances(seen_over_tissue(palette(16), 0.45))[:, 8:, 8:].min()
    assert distances(seen_over_tissue(spread_colors(together)[8:], 0.45)).min() > max(before, 16)


@pytest.mark.parametrize("k", [9, 12, 16])
@pytest.mark.parametrize("stain", [(207, 160, 196), (187, 115, 198), (186, 105, 184), (174, 114, 207), (207, 161, 244)])
def test_every_two_of_up_to_sixteen_concepts_are_told_apart_over_pale_and_dense_tissue(k, stain):
    found = spread_colors(np.ones((k, k)))
    assert len(set(found)) == k
    over = np.rint(blend(np.array(found), np.array(stain))).astype(np.uint8)
    assert distances(perceived_lab(over)).min() >= 15


def test_dark_and_pale_colors_go_to_what_matters_least():
    matters = np.arange(16.0)
    lightness = rgb2lab(np.array(spread_colors(np.minimum.outer(matters, matters))) / 255)[:, 0]
    extreme = np.abs(lightness - 65)
    assert np.all(np.diff(extreme) < 0.5)
    assert extreme[-4:].max() < 20
    assert extreme[:4].min() > 25


def test_few_concepts_get_the_palette_by_what_matters():
    assert spread_colors(np.ones((3, 3)) + np.diag([0, 1, 0]))[1] == palette(1)[0]


def test_another_color_is_far_from_those_that_are_taken():
    taken = list(palette(8))
    assert another_color([]) == palette(1)[0]
    for _ in range(4):
        taken.append(another_color(taken))
    assert distances(seen_over_tissue(taken, 0.45)).min() > 12


@pytest.mark.parametrize("stain", [(226, 190, 213), (184, 130, 175), (220, 150, 190)])
def test_a_swatch_is_found_again_in_the_overlay(stain):
    over = np.rint(blend(np.array(palette(8)), np.array(stain))).astype(np.uint8)
    swatches = perceived_lab(np.array([seen_color(one) for one in palette(8)], np.uint8))
    gaps = np.linalg.norm(perceived_lab(over)[:, :, None] - swatches[:, None], axis=-1)
    assert np.all(gaps.argmin(axis=2) == np.arange(8))  # in every vision; of the colours themselves half are missed


@given(st.integers(0, 255), st.integers(0, 255), st.floats(0, 1))
def test_blending_lies_between(color, beneath, opacity):
    found = blend(np.array([color] * 3), np.array([beneath] * 3), opacity)
    np.testing.assert_allclose(found, beneath + opacity * (color - beneath))


def test_a_shorter_palette_is_the_beginning_of_a_longer_one():
    full = palette(256)
    assert len(set(full)) == 256
    assert all(palette(k) == full[:k] for k in (1, 7, 8, 100))


def test_no_color_looks_like_haematoxylin_eosin_paper_or_ink():
    lightness, a, b = rgb2lab(np.array(palette(256)) / 255).T
    hue = np.degrees(np.arctan2(b, a)) % 360
    assert not np.any((hue > 294) | (hue < 20))
    assert lightness.min() > 11
    assert lightness.max() < 98


def test_normal_vision_is_plain_cielab():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 3), np.uint8)
    np.testing.assert_allclose(perceived_lab(rgb)[0], rgb2lab(rgb / 255), atol=0.02)


def test_dichromats_see_greys_as_greys_and_confuse_red_with_green():
    greys, red_green = np.array([[60] * 3, [200] * 3], np.uint8), np.array([[200, 60, 0], [90, 120, 0]], np.uint8)
    assert np.abs(perceived_lab(greys)[:, :, 1:]).max() < 0.05
    apart = np.linalg.norm(np.diff(perceived_lab(red_green), axis=1)[:, 0], axis=-1)
    assert apart[1:].max() < 0.4 * apart[0]


def test_it_is_fast():
    for cached in (colors._all_colors, colors._apart, colors._candidates):
        cached.cache_clear()
    start = time.process_time()
    palette(256)
    assert time.process_time() - start < 4  # about 0.4 s; the bound allows for slow machines


@pytest.mark.parametrize("k", [0, -1, 257])
def test_too_few_or_too_many_are_refused(k):
    with pytest.raises(OptionError, match=r"1 … 256"):
        palette(k)


def test_more_concepts_than_colors_are_refused():
    with pytest.raises(OptionError, match=r"1 … 256"):
        spread_colors(np.ones((257, 257)))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -1.0])
def test_what_matters_is_a_number(odd):
    together = np.ones((20, 20))
    together[3, 7] = odd
    with pytest.raises(OptionError, match="how much colours matter"):
        spread_colors(together)
