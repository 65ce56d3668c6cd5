"""The search for colours, against all there are and against the same steps in plain NumPy."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.base.color_search import Wanted, _least_of, search_colors


def wanted(k, n, seed):
    """Whole numbers, whose sums are exact in any order."""
    rng = np.random.default_rng(seed)
    weights, lacks, alike = (rng.integers(0, 9, (size, size)).astype(np.float32) for size in (k, n, n))
    return Wanted(*(np.triu(one, 1) + np.triu(one, 1).T for one in (weights, lacks, alike)))


def cost(want, color):
    apart = want.weights * want.lacks[np.ix_(color, color)] + want.alike[np.ix_(color, color)]
    return float(apart[~np.eye(len(color), dtype=bool)].sum())


def plain(want, start, seed, steps, tabu=40):
    """The same search, all of its arrays made anew at every step."""
    waits = np.random.default_rng(seed).integers(tabu // 2, tabu, steps)
    color, barred = start.copy(), np.zeros((len(start), len(want.lacks)))
    best, least = color.copy(), np.inf
    for step in range(steps):
        costs = want.weights @ want.lacks[color] + want.alike[color].sum(0) - want.alike[color]
        now = costs[np.arange(len(color)), color]
        if now.sum() < least:
            best, least = color.copy(), now.sum()
        if now.sum() == 0:
            break
        gains = costs - now[:, None]
        gains[:, color] = np.inf
        gains[barred > step] = np.inf
        if gains.min() == np.inf:
            continue
        concept, place = np.unravel_index(gains.argmin(), gains.shape)
        barred[concept, color[concept]] = step + 1 + waits[step]
        color[concept] = place
    return best


@pytest.mark.parametrize("seed", range(5))
def test_few_concepts_get_the_best_colors_there_are(seed):
    want = wanted(4, 7, seed)
    found = search_colors(want, np.arange(4), 4)
    assert len(set(found.tolist())) == 4
    assert cost(want, found) == min(cost(want, np.array(one)) for one in permutations(range(7), 4))


@pytest.mark.parametrize(("k", "n", "seed"), [(2, 3, 0), (5, 50, 1), (20, 90, 2), (30, 60, 3)])
def test_every_step_is_that_of_the_plain_search(k, n, seed):
    want, start = wanted(k, n, seed), np.random.default_rng(seed).permutation(n)[:k]
    found = search_colors(want, start, 1)
    np.testing.assert_array_equal(found, plain(want, start, 0, max(64, 2**16 // k)))


def test_of_several_searches_the_best_counts():
    want = wanted(25, 60, 7)
    costs = [cost(want, plain(want, np.arange(25), seed, 2**16 // 25)) for seed in range(3)]
    assert cost(want, search_colors(want, np.arange(25), 3)) == min(costs)


def test_colors_that_cost_nothing_stay():
    free = Wanted(np.zeros((3, 3), np.float32), np.ones((5, 5), np.float32), np.zeros((5, 5), np.float32))
    np.testing.assert_array_equal(search_colors(free, np.array([4, 0, 2]), 2), [4, 0, 2])


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40))
def test_the_least_of_floats_by_their_bits(values):
    """As NumPy finds it, below and above zero and among infinities; zeros of either sign are equal."""
    assert _least_of(np.array(values, np.float32)) == np.min(np.array(values, np.float32))
