"""Borders that follow the image: against plain loops, in bands, and where colours change."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.masks.borders import RADIUS, REACH, ROUNDS, ImageBorders, WeighedRows, followed


def made(height, width, k=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = (rng.random((height, width, k)) * (rng.random((height, width, k)) < 0.4)).astype(np.float32)
    colours = np.repeat(rng.random((height, width, 1)), 3, -1).astype(np.float32) * 0.2
    tissue = rng.random((height, width)) < 0.8
    return weights * tissue[..., None], colours, tissue


def by_hand(weights, colours, tissue):
    found = weights.astype(np.float64)
    for _ in range(ROUNDS):
        before, found = found, np.zeros_like(found)
        for y, x in zip(*np.nonzero(tissue), strict=True):
            rows = slice(max(0, y - RADIUS), y + RADIUS + 1)
            columns = slice(max(0, x - RADIUS), x + RADIUS + 1)
            v, u = np.mgrid[rows, columns][:, : tissue.shape[0] - rows.start, : tissue.shape[1] - columns.start]
            apart = ((colours[v, u].astype(np.float64) - colours[y, x]) ** 2).sum(-1) / (2 * 0.035**2)
            near = np.exp(-((v - y) ** 2 + (u - x) ** 2) / 8 - apart) * tissue[v, u]
            found[y, x] = (near[..., None] * before[v, u]).sum((0, 1)) / near.sum()
    return found


def rows_of(arrays, start, stop):
    weights, colours, tissue = (one[start:stop] for one in arrays)
    residual = np.arange(start, stop, dtype=np.float32)[:, None].repeat(weights.shape[1], 1)
    return WeighedRows((start, stop), weights, residual, tissue, ~tissue, colours)


def test_weights_are_the_means_that_loops_find():
    arrays = made(14, 11)
    np.testing.assert_allclose(followed(*arrays), by_hand(*arrays), atol=1e-6)


@given(st.integers(1, 40), st.lists(st.integers(1, 39), unique=True, max_size=5), st.integers(0, 4))
def test_bands_give_the_bits_of_the_whole(height, cuts, stopped):
    arrays = made(height, 5, seed=height)
    edges = [0, *sorted(cut for cut in cuts if cut < height), height]
    borders, parts = ImageBorders(height), []
    for index, (start, stop) in enumerate(pairwise(edges)):
        if index == stopped:  # a run that goes on from what was kept
            state, borders = borders.state(), ImageBorders(height)
            borders.restore(state)
        parts.append(borders.rows(rows_of(arrays, start, stop)))
    assert [part.g_rows[0] for part in parts] == [0, *(part.g_rows[1] for part in parts[:-1])]
    assert parts[-1].g_rows[1] == height
    assert np.array_equal(np.concatenate([part.weights for part in parts]), followed(*arrays))
    assert np.array_equal(np.concatenate([part.residual for part in parts])[:, 0], np.arange(height))
    assert np.array_equal(np.concatenate([part.tissue for part in parts]), arrays[2])


def test_rows_come_as_late_as_they_must():
    arrays, borders = made(60, 4), ImageBorders(60)
    assert borders.rows(rows_of(arrays, 0, REACH)).g_rows == (0, 0)
    assert borders.rows(rows_of(arrays, REACH, 40)).g_rows == (0, 40 - REACH)
    assert borders.rows(rows_of(arrays, 40, 60)).g_rows == (40 - REACH, 60)


def test_a_border_is_drawn_where_the_colour_changes():
    """Where a concept is ahead by little in the colour of another, the other takes the place."""
    weights, colours = np.zeros((20, 30, 2), np.float32), np.zeros((20, 30, 3), np.float32)
    weights[:, :18, 0], weights[:, 18:, 1], colours[:, 15:] = 1, 1, 0.5
    weights[:, 15:18] = (0.55, 0.45)
    assert np.array_equal(weights.argmax(-1), np.broadcast_to(np.arange(30) >= 18, (20, 30)))
    found = followed(weights, colours, np.ones((20, 30), bool)).argmax(-1)
    assert np.array_equal(found, np.broadcast_to(np.arange(30) >= 15, (20, 30)))


def test_what_is_no_tissue_takes_no_part():
    weights, colours, tissue = made(12, 12)
    others = weights.copy()
    others[~tissue] = 7
    found = followed(others, colours, tissue)
    assert np.array_equal(found, followed(weights, colours, tissue))
    assert not found[~tissue].any()


def test_an_even_colour_keeps_the_sum_of_weights_within_a_constant_field():
    weights = np.full((9, 9, 2), 0.25, np.float32)
    found = followed(weights, np.zeros((9, 9, 3), np.float32), np.ones((9, 9), bool))
    assert found == pytest.approx(0.25)
