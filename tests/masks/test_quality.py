"""Blurred, inked and folded tissue is marked so, other tissue is not, and cells are the same however px are cut."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.masks import quality
from histofactor.masks.quality import CELL_PX, HALO_PX, MEASURES, NAMES, marks, measure

CELLS = 24
FOCUS, PEN, FOLD = (NAMES.index(name) + 1 for name in ("out of focus", "pen", "fold"))


def made(seed=0, cells=CELLS):
    """Stroma of fibres with nuclei in it, (side, side, 3) uint8, as sharp as 1 µm/px can be."""
    rng, side = np.random.default_rng(seed), cells * CELL_PX
    fibres = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), sigmaX=5, sigmaY=0.8)
    eosin = np.clip(0.25 + 0.18 * fibres / fibres.std(), 0, None)
    nuclei = np.zeros((side, side), np.float32)
    for x, y in rng.integers(0, side, (side * side // 700, 2)):
        axes = tuple(int(one) for one in rng.integers(2, 5, 2))
        cv2.ellipse(
            nuclei, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.3, 0.8)), -1
        )
    density = eosin[..., None] * (0.07, 0.99, 0.11) + nuclei[..., None] * (0.65, 0.70, 0.29)
    density += 0.01 * rng.normal(size=density.shape)
    return np.rint(245 * 10.0**-density).clip(0, 255).astype(np.uint8)


def measured(rgb):
    halo = (HALO_PX, HALO_PX)
    return measure(np.pad(rgb, (halo, halo, (0, 0)), mode="symmetric"))


def marked(rgb):
    cells = measured(rgb)
    return marks(cells, np.ones(cells.shape[:2], bool))


def share(found, label):
    return float((found == label).mean())


def layer(rgb, *density):
    """The image under a layer of the same density all over."""
    return np.rint(rgb * 10.0 ** -np.array(density)).astype(np.uint8)


def test_tissue_as_it_should_be_is_not_marked():
    assert (marked(made()) > 0).mean() <= 0.01


@pytest.mark.parametrize("sigma_um", [1.86, 3.0, 6.0])
def test_blurred_tissue_is_out_of_focus(sigma_um):
    found = marked(cv2.GaussianBlur(made(), (0, 0), sigma_um))
    assert share(found, FOCUS) > 0.9
    assert share(found, PEN) == 0


def test_half_that_is_blurred_is_told_from_the_half_that_is_not():
    rgb = made()
    rgb[:, : rgb.shape[1] // 2] = cv2.GaussianBlur(rgb, (0, 0), 3)[:, : rgb.shape[1] // 2]
    found = marked(rgb)
    assert share(found[:, : CELLS // 2 - 4], FOCUS) > 0.9
    assert share(found[:, CELLS // 2 + 4 :], FOCUS) == 0


def test_plain_ground_with_the_noise_of_a_camera_is_not_out_of_focus():
    plain = np.clip(np.random.default_rng(0).normal((225, 180, 215), 2, (CELLS * CELL_PX, CELLS * CELL_PX, 3)), 0, 255)
    assert not marked(plain.astype(np.uint8)).any()


@pytest.mark.parametrize(
    "density", [(0.6, 0.46, 0.05), (0.7, 0.15, 0.4), (0.82, 0.82, 0.82)], ids=["blue", "green", "black"]
)
def test_ink_is_pen(density):
    assert share(marked(layer(made(), *density)), PEN) > 0.9


def test_a_brown_layer_is_no_pen():
    assert share(marked(layer(made(), 0.27, 0.57, 0.78)), PEN) == 0


def test_a_fold_looks_more_so_than_what_lies_beside_it():
    rgb = made()
    band = slice(8 * CELL_PX, 13 * CELL_PX)
    rgb[:, band] = (rgb[:, band].astype(float) * made(1)[:, band] / 255).astype(np.uint8)
    cells = measured(rgb)
    score = quality.scores(cells, np.ones(cells.shape[:2], bool))[..., FOLD - 1]
    assert np.median(score[:, 8:13]) > np.quantile(np.delete(score, np.s_[7:14], 1), 0.99)
    assert share(np.delete(marked(rgb), np.s_[7:14], 1), FOLD) <= 0.01


def test_only_tissue_is_marked():
    cells = measured(cv2.GaussianBlur(made(), (0, 0), 6))
    tissue = np.zeros(cells.shape[:2], bool)
    assert not marks(cells, tissue).any()
    tissue[:6, :6] = True
    found = marks(cells, tissue)
    assert found[tissue].all()
    assert not found[~tissue].any()


def test_measures_of_one_color():
    found = measured(np.full((CELL_PX, 2 * CELL_PX, 3), (245, 122, 24), np.uint8))
    assert found.shape == (1, 2, MEASURES)
    density = -np.log10(np.array([245, 122, 24]) / 245)
    np.testing.assert_allclose(found[0, 1, 3:6], density, rtol=1e-5)
    np.testing.assert_allclose(found[0, 1, 6:9], density, rtol=1e-5)
    np.testing.assert_allclose(found[..., :3], np.log(1e-4), rtol=1e-6)


def test_detail_is_that_of_the_wavelet():
    rgb = made(cells=3)
    density = np.maximum(-np.log10(rgb.astype(float) / 245), 0).mean(-1)
    smooth = density
    for level in range(3):
        kernel = np.zeros(4 * 2**level + 1)
        kernel[:: 2**level] = np.array([1, 4, 6, 4, 1]) / 16
        rows = np.apply_along_axis(np.convolve, 0, smooth, kernel, "same")
        smoother = np.apply_along_axis(np.convolve, 1, rows, kernel, "same")
        detail = np.abs(smooth - smoother)[CELL_PX : 2 * CELL_PX, CELL_PX : 2 * CELL_PX].mean()
        np.testing.assert_allclose(measure(rgb)[0, 0, level], np.log(detail + 1e-4), rtol=2e-3)
        smooth = smoother


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**16))
def test_cells_are_the_same_bytes_however_they_are_cut(row, column, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (8 * CELL_PX, 8 * CELL_PX, 3), np.uint8)
    whole = measure(rgb)
    for rows in (slice(0, row), slice(row, 6)):
        for columns in (slice(0, column), slice(column, 6)):
            y, x = (slice(one.start * CELL_PX, (one.stop + 2) * CELL_PX) for one in (rows, columns))
            assert measure(rgb[y, x]).tobytes() == np.ascontiguousarray(whole[rows, columns]).tobytes()


def test_there_is_a_limit_and_a_color_for_every_name():
    assert len(NAMES) == len(quality.COLORS) == len(quality.LIMITS) == len(quality.GOES_ON)
