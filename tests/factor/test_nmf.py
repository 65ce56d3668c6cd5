"""Per-image factorization against scikit-learn's objective."""

import numpy as np
import pytest
from sklearn.decomposition import NMF

from histofactor.errors import OptionError
from histofactor.factor.nmf import factorize


def features(rows=600, dim=48, rank=6, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, 1.0, (rows, rank)) @ rng.gamma(0.5, 1.0, (rank, dim))
    return np.maximum(X + noise * rng.normal(size=X.shape), 0).astype(np.float32)


def objective(X, W, H):
    return 0.5 * np.linalg.norm(X - W @ H) ** 2


@pytest.mark.parametrize("k", [1, 4, 12])
@pytest.mark.parametrize("shape", [(600, 48), (150, 200)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_objective_no_worse_than_scikit_learn(k, shape):
    X = features(*shape)
    W, H = factorize(X, k)
    peer = NMF(k, init="nndsvda", max_iter=500, random_state=0)
    reference = objective(X, peer.fit_transform(X), peer.components_)
    assert objective(X, W, H) <= 1.005 * reference


def test_recovers_an_exact_factorization():
    X = features(noise=0.0)
    W, H = factorize(X, 6, tol=1e-6, max_iter=2000)
    assert objective(X, W, H) <= 1e-4 * objective(X, W * 0, H)


def test_shapes_signs_and_norms():
    X = features()
    before = X.copy()
    W, H = factorize(X, 5)
    assert W.shape == (600, 5)
    assert H.shape == (5, 48)
    assert (W >= 0).all()
    assert (H >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(H, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(X, before)


def test_deterministic_for_a_seed():
    X = features()
    for a, b in zip(factorize(X, 5, seed=3), factorize(X, 5, seed=3), strict=True):
        np.testing.assert_array_equal(a, b)


def test_zero_features():
    W, H = factorize(np.zeros((10, 6), np.float32), 2)
    assert np.abs(W @ H).max() == 0


@pytest.mark.parametrize("k", [0, -1, 49])
def test_impossible_number_of_components(k):
    with pytest.raises(OptionError, match=f"k = {k}"):
        factorize(features(), k)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_bad_features(value):
    X = features()
    X[2, 2] = value
    with pytest.raises(OptionError, match="≥ 0"):
        factorize(X, 3)
