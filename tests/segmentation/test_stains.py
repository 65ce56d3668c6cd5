from types import SimpleNamespace

import numpy as np
import pytest

from histofactor.segmentation.stains import StainWatch
from histofactor.slides.geometry.windows import Window
from histofactor.slides.stain import MEASURES, measure_stain

STRIDE, GRID = 4, (6, 5)  # columns and rows


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (GRID[1] * STRIDE, GRID[0] * STRIDE, 3), np.uint8)


def plan_of(windows, tissue=None):
    frame = SimpleNamespace(stride_px=STRIDE, g_size=GRID)
    tissue = np.ones(GRID[::-1], bool) if tissue is None else tissue
    return SimpleNamespace(frame=frame, g_tissue=tissue, rows=[SimpleNamespace(windows=windows)])


def seen_by(window, rgb):
    """A window of an image, mirrored beyond it."""
    reach = 12
    wide = np.pad(rgb, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    y, x = window.y + reach, window.x + reach
    return wide[y : y + window.size[1], x : x + window.size[0]]


WINDOWS = [Window(-6, -6, (20, 16)), Window(6, -6, (20, 16)), Window(-6, 6, (20, 16)), Window(6, 6, (20, 16))]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 2, 0)])
def test_every_tissue_cell_is_measured_once_whatever_the_order(rgb, order):
    tissue = np.random.default_rng(1).random(GRID[::-1]) < 0.7
    watch = StainWatch(plan_of(WINDOWS, tissue))
    for index in order:
        watch.see(WINDOWS[index], seen_by(WINDOWS[index], rgb))
    np.testing.assert_array_equal(watch.found, measure_stain(rgb, STRIDE)[tissue])


def test_the_first_window_of_the_plan_counts(rgb):
    watch, other = StainWatch(plan_of([Window(0, 0, (24, 20)), Window(4, 4, (16, 8))])), 255 - rgb
    watch.see(Window(4, 4, (16, 8)), other[4:12, 4:20])
    watch.see(Window(0, 0, (24, 20)), rgb)
    watch.see(Window(4, 4, (16, 8)), other[4:12, 4:20])
    np.testing.assert_array_equal(watch.found, measure_stain(rgb, STRIDE).reshape(-1, MEASURES))


def test_turned_windows_and_those_of_another_plan_are_passed_over(rgb):
    watch = StainWatch(plan_of([Window(0, 0, (24, 20), turns=1), Window(2, 2, (3, 3))]))
    watch.see(Window(0, 0, (24, 20), turns=1), rgb)
    watch.see(Window(0, 0, (24, 20)), rgb)
    watch.see(Window(2, 2, (3, 3)), rgb[2:5, 2:5])  # holds no whole cell
    assert np.isnan(watch.found).all()


def test_units_are_means_of_their_cells(rgb):
    watch = StainWatch(plan_of([Window(0, 0, (24, 8))]))  # the first two rows
    watch.see(Window(0, 0, (24, 8)), rgb[:8])
    units = np.full(30, -1)
    units[[0, 7, 20]], units[29] = 0, 2
    measured = measure_stain(rgb, STRIDE).reshape(-1, MEASURES)
    found = watch.of(units, 3)
    np.testing.assert_allclose(found[0], measured[[0, 7]].mean(0), rtol=1e-5)
    assert np.isnan(found[1:]).all()
