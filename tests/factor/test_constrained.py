"""Wishes against their definitions and scipy."""

import numpy as np
import pytest
from scipy.optimize import nnls

from histofactor.errors import OptionError
from histofactor.factor.constrained import Wish
from histofactor.factor.nnls import project


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    H = rng.gamma(0.5, 1.0, (10, 20))
    W = rng.dirichlet(np.full(10, 0.3), 60)
    return np.maximum(W @ H + 0.1 * rng.normal(size=(60, 20)), 0), H


def test_l1_is_least_squares_with_a_lower_response(problem):
    X, H = problem
    norms = np.linalg.norm(H, axis=1)
    U, penalty = H / norms[:, None], 0.4
    W = project(X, H, wish=Wish(l1=penalty), tol=1e-9) * norms
    slope = X @ U.T - penalty - W @ (U @ U.T)
    assert np.abs(slope[W > 0]).max() < 1e-6
    assert slope[W == 0].max() < 1e-6
    assert (W > 0).sum() < (project(X, H) > 0).sum()


@pytest.mark.parametrize("most", [1, 2, 3])
def test_max_nonzero(problem, most):
    X, H = problem
    W = project(X, H, wish=Wish(max_nonzero=most))
    assert (W > 0).sum(1).max() <= most
    U = H / np.linalg.norm(H, axis=1, keepdims=True)
    if most == 1:
        np.testing.assert_array_equal(W.argmax(1), (X @ U.T).argmax(1))
    for x, w in zip(X, W, strict=True):  # optimal on the concepts it chose
        chosen = w > 0
        np.testing.assert_allclose(w[chosen], nnls(H[chosen].T, x)[0], atol=1e-5)


def test_max_nonzero_beyond_need_changes_nothing(problem):
    X, H = problem
    np.testing.assert_array_equal(project(X, H, wish=Wish(max_nonzero=10)), project(X, H))


def test_simplex_sums_to_one_and_is_optimal(problem):
    X, H = problem
    W = project(X, H, wish=Wish(simplex=True), tol=1e-10)
    np.testing.assert_allclose(W.sum(1), 1.0, atol=1e-12)
    assert (W >= 0).all()
    weight = 1e5  # a heavy extra equation is the same constraint, in the limit
    Ht = np.vstack([H.T, np.full(len(H), weight)])
    for x, w in zip(X, W, strict=True):
        np.testing.assert_allclose(w, nnls(Ht, np.append(x, weight))[0], atol=1e-4)


def test_simplex_with_a_zero_concept_and_zero_features(problem):
    X, H = problem
    W = project(np.vstack([X[:3], X[:1] * 0]), np.vstack([H, H[:1] * 0]), wish=Wish(simplex=True))
    np.testing.assert_allclose(W.sum(1), 1.0, atol=1e-9)
    assert (W[:, -1] == 0).all()
    with pytest.raises(OptionError, match="sum to one"):
        project(X, H * 0, wish=Wish(simplex=True))


@pytest.mark.parametrize(
    "wish",
    [
        Wish(l1=-1),
        Wish(l1=float("nan")),
        Wish(max_nonzero=0),
        Wish(l1=1, simplex=True),
        Wish(max_nonzero=2, simplex=True),
    ],
)
def test_wishes_that_cannot_be_granted(problem, wish):
    with pytest.raises(OptionError):
        project(*problem, wish=wish)
