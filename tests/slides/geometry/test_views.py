"""Views: turned, moved, at even and odd px."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.slides.geometry.views import cell_px, views_of
from histofactor.slides.geometry.windows import Window, nearest_cell


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
