"""Coordinate sweeps reach the non-negative least squares solution."""

import numpy as np

from histofactor.factor.hals import sweep_rows
from histofactor.factor.nnls import gram, solve_gram


def test_sweeps_converge_to_the_exact_solution():
    rng = np.random.default_rng(0)
    H, X = rng.gamma(0.5, 1.0, (6, 20)), rng.gamma(0.5, 1.0, (50, 20))
    B, G = X @ H.T, gram(H)
    W = np.zeros((50, 6))
    first = sweep_rows(W, B, G, 1)
    for _ in range(50):
        last = sweep_rows(W, B, G, 20)
    np.testing.assert_allclose(W, solve_gram(B, G, tol=1e-12), atol=1e-8)
    assert last < 1e-12 * first


def test_a_zero_component_stays_put():
    W = np.ones((2, 2))
    sweep_rows(W, np.zeros((2, 2)), np.zeros((2, 2)), 1)
    assert (W == 1).all()
