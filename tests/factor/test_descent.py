"""Descent: the objective falls to a stationary point, in one loop as in blocks, on a basis as on plain features."""

import numpy as np
import pytest

from histofactor.factor import descent
from histofactor.factor.descent import Problem, descend, plain


def problem(rows=300, dim=40, k=5, noise=0.1):
    rng = np.random.default_rng(0)
    X = rng.gamma(0.5, 1.0, (rows, k)) @ rng.gamma(0.5, 1.0, (k, dim))
    X = np.maximum(X + noise * rng.normal(size=X.shape), 0).astype(np.float32)
    return X, rng.random((rows, k), np.float32), rng.random((dim, k), np.float32)


def objective(X, W, Ht):
    return 0.5 * np.linalg.norm(X.astype(np.float64) - W @ Ht.T.astype(np.float64)) ** 2


def test_the_problem_of_plain_features():
    X, _, _ = problem()
    Z, V, sq_norm = plain(X)
    assert Z is X
    assert V.size == 0
    assert sq_norm == pytest.approx(np.linalg.norm(X.astype(np.float64)) ** 2, rel=1e-6)


def test_ends_where_no_entry_wants_to_move():
    X, W, Ht = problem()
    descend(plain(X), W, Ht, 0.0, 3000)
    for gradient, M in (((W @ Ht.T - X) @ Ht, W), ((W @ Ht.T - X).T @ W, Ht)):
        scale = np.abs(X.T @ W).max()
        assert gradient.min() >= -1e-3 * scale
        assert np.abs(gradient * (M > 0)).max() <= 1e-3 * scale


def test_stops_at_the_first_step_that_gains_too_little():
    X, W, Ht = problem()
    ends = []
    for steps in range(1, 200):
        U, Vt = W.copy(), Ht.copy()
        made = descend(plain(X), U, Vt, 1e-3, steps)
        ends.append(objective(X, U, Vt))
        if made < steps:
            break
    assert made == steps - 1 > 3
    assert ends[-1] == ends[-2]
    assert ends[-1] < 0.1 * objective(X, W, Ht)
    assert 0 <= ends[-3] - ends[-2] <= 1.01e-3 * ends[-2]


def test_a_whole_basis_changes_nothing():
    X, W, Ht = problem()
    V = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 40)))[0].astype(np.float32)
    U, Vt = W.copy(), Ht.copy()
    descend(plain(X), W, Ht, 0.0, 20)
    descend(Problem(X @ V, V, plain(X).sq_norm), U, Vt, 0.0, 20)
    np.testing.assert_allclose(U @ Vt.T, W @ Ht.T, atol=1e-2)


@pytest.mark.parametrize("basis", [False, True])
def test_blocks_on_all_cores_do_what_one_loop_does(monkeypatch, basis):
    X, W, Ht = problem()
    V = np.eye(40, dtype=np.float32)
    features = Problem(X, V, plain(X).sq_norm) if basis else plain(X)
    U, Vt = W.copy(), Ht.copy()
    assert descend(features, W, Ht, 0.0, 6) == 6
    monkeypatch.setattr(descent, "_SERIAL_FLOP", 1e5)
    assert descend(features, U, Vt, 0.0, 6) == 6
    np.testing.assert_allclose(U, W, atol=1e-3)
    np.testing.assert_allclose(Vt, Ht, atol=1e-3)
