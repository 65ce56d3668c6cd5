"""Factorization of one or more images against scikit-learn's objective."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from histofactor.errors import OptionError
from histofactor.factor.nmf import factorize


def features(rows=600, dim=48, rank=6, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, 1.0, (rows, rank)) @ rng.gamma(0.5, 1.0, (rank, dim))
    return np.maximum(X + noise * rng.normal(size=X.shape), 0).astype(np.float32)


def objective(X, W, H):
    return 0.5 * np.linalg.norm(X - W @ H) ** 2


@pytest.mark.parametrize("k", [1, 4, 12])
@pytest.mark.parametrize("shape", [(600, 48), (150, 200), (2000, 128)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_objective_no_worse_than_scikit_learn(k, shape):
    X = features(*shape)
    W, H = factorize(X, k)
    peer = NMF(k, init="nndsvda", max_iter=500, random_state=0)
    with threadpool_limits(1):
        reference = objective(X, peer.fit_transform(X), peer.components_)
    assert objective(X, W, H) <= 1.005 * reference


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 4, 6])
@pytest.mark.parametrize("shape", [(600, 48), (150, 200), (6000, 40)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_as_good_as_scikit_learn_up_to_the_true_rank(shape, k, seed):
    X = features(*shape, seed=seed)
    peer = NMF(k, random_state=0)
    with threadpool_limits(1):
        reference = objective(X, peer.fit_transform(X), peer.components_)
    assert objective(X, *factorize(X, k)) <= 1.001 * reference


@settings(max_examples=25)
@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 9), st.integers(0, 9), st.sampled_from([1 / 16, 4]))
def test_scaled_features_scale_the_weights(rows, dim, k, seed, scale):
    X = features(rows, dim, seed=seed)
    k = min(k, rows, dim)
    W, H = factorize(X, k)
    scaled, same = factorize(X * np.float32(scale), k)
    np.testing.assert_array_equal(scaled, W * np.float32(scale))
    np.testing.assert_array_equal(same, H)
    assert objective(X, W, H) <= objective(X, 0 * W, H)


@settings(max_examples=25)
@given(st.integers(40, 3000), st.integers(12, 60), st.integers(1, 9), st.integers(0, 9))
def test_more_steps_never_end_higher(rows, dim, k, seed):
    X = features(rows, dim, seed=seed)
    short, long = (objective(X, *factorize(X, k, max_iter=steps)) for steps in (4, 60))
    assert long <= 1.001 * short


def test_tall_and_wide_agree():
    X = features(300, 80)
    W, H = factorize(X, 8, tol=1e-7, max_iter=2000)
    V, U = factorize(X.T, 8, tol=1e-7, max_iter=2000)
    assert objective(X, W, H) == pytest.approx(objective(X.T, V, U), rel=5e-3)


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


def test_independent_of_the_number_of_threads():
    X = features(3000, 160)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = factorize(X, 12)
    finally:
        numba.set_num_threads(before)
    for a, b in zip(alone, factorize(X, 12), strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_share_components():
    X = features()
    W, H = factorize(X, 5)
    parts, shared = factorize([X[:100], X[100:101], X[101:]], 5)
    assert [len(part) for part in parts] == [100, 1, 499]
    np.testing.assert_array_equal(np.concatenate(parts), W)
    np.testing.assert_array_equal(shared, H)
    ((alone,), _) = factorize([X], 5)
    np.testing.assert_array_equal(alone, W)


def test_a_small_image_borrows_components_from_the_others():
    parts, H = factorize((features(2), features(50)), 5)
    assert parts[0].shape == (2, 5)
    assert H.shape == (5, 48)


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
    with pytest.raises(OptionError, match="≥ 0"):
        factorize([features(), X], 3)


@pytest.mark.parametrize("images", [[], [np.ones((4, 3)), np.ones((4, 2))], [np.ones(3)], np.ones(3)])
def test_images_that_do_not_fit(images):
    with pytest.raises(OptionError, match="same C"):
        factorize(images, 1)


def test_a_negative_seed():
    with pytest.raises(OptionError, match="seed is out of range; expected 0 or more; got -1"):
        factorize(features(), 3, seed=-1)
