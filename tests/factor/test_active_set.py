"""The solver of one block, where the public function does not reach."""

import numpy as np
import pytest

from histofactor.factor import active_set
from histofactor.factor.active_set import solve_rows


def test_known_solution():
    G = np.array([[1.0, 0.5], [0.5, 1.0]])
    W = solve_rows(np.array([[1.0, 0.2], [1.0, 1.0], [-1.0, -2.0]]), G, 1e-9)
    np.testing.assert_allclose(W, [[1.0, 0.0], [2 / 3, 2 / 3], [0.0, 0.0]], atol=1e-12)


def test_a_weight_can_leave_the_free_set_again():
    # the first concept has the steepest descent, yet the optimum is the other two without it
    H = np.array([[1.0, 1.0, 0.1], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    H /= np.linalg.norm(H, axis=1, keepdims=True)
    x = np.array([1.0, 1.0, -0.5])
    W = solve_rows((H @ x)[None], H @ H.T, 1e-12)
    np.testing.assert_allclose(W, [[0.0, 1.0, 1.0]], atol=1e-9)


def test_not_finite():
    with pytest.raises(ArithmeticError, match="not finite"):
        solve_rows(np.array([[np.nan, 1.0]]), np.eye(2), 1e-6)


def test_rows_that_do_not_converge_are_counted(monkeypatch):
    monkeypatch.setattr(active_set, "_solve_rows", lambda B, G, tol, limit, W: 3)
    with pytest.raises(ArithmeticError, match="3 of 5 rows did not converge"):
        solve_rows(np.ones((5, 2)), np.eye(2), 1e-6)
