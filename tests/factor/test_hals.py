"""Coordinate sweeps: against a plain loop, and on to the non-negative least squares solution."""

import numpy as np
import pytest

from histofactor.factor.hals import sweep_rows
from histofactor.factor.nnls import gram, solve_gram


def problem(n, k, dtype=np.float64):
    rng = np.random.default_rng(0)
    H, X = rng.gamma(0.5, 1.0, (k, 20)).astype(dtype), rng.gamma(0.5, 1.0, (n, 20)).astype(dtype)
    return rng.random((n, k)).astype(dtype), X @ H.T, H @ H.T


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-4), (np.float64, 1e-12)])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 3), (128, 4), (300, 9)])
def test_a_sweep_minimises_over_each_coordinate_in_turn(n, k, dtype, atol):
    W, B, G = problem(n, k, dtype)
    expected = W.copy()
    for _ in range(2):
        for j in range(k):
            expected[:, j] = np.maximum(expected[:, j] + (B[:, j] - expected @ G[:, j]) / G[j, j], 0)
    sweep_rows(W, B, G, 2)
    np.testing.assert_allclose(W, expected, atol=atol)


def test_sweeps_converge_to_the_exact_solution():
    W, B, _ = problem(50, 6)
    G = gram(np.random.default_rng(0).gamma(0.5, 1.0, (6, 20)))
    sweep_rows(W, B, G, 1000)
    np.testing.assert_allclose(W, solve_gram(B, G, tol=1e-12), atol=1e-8)


def test_a_zero_component_stays_put():
    W = np.ones((2, 2))
    sweep_rows(W, np.zeros((2, 2)), np.zeros((2, 2)), 1)
    assert (W == 1).all()
