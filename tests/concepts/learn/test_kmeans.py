"""K-means: exact passes against a plain float64 reference, seeds, repair of empty clusters, cosine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from histofactor.concepts.learn.kmeans import KMeansOptions, assign, draw_seeds, kmeans, lloyd, unit_rows


def mixture(n, d=12, parts=20, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.gamma(0.5, 2.0, (parts, d))
    rows = centres[rng.integers(parts, size=n)] + 0.3 * rng.random((n, d))
    return rows.astype(np.float32)


@settings(max_examples=30)
@given(n=st.integers(1, 400), k=st.integers(1, 9), d=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_pass_is_that_of_plain_float64(n, k, d, seed):
    rng = np.random.default_rng(seed)
    X, C = rng.random((n, d), dtype=np.float32), rng.random((k, d), dtype=np.float32)
    (found,) = assign(X, C)
    distances = ((X[:, None].astype(float) - C) ** 2).sum(-1)
    chosen = distances[np.arange(n), found.labels]
    np.testing.assert_allclose(chosen, distances.min(1), atol=1e-5 * d)
    np.testing.assert_allclose(found.inertia, chosen.sum(), rtol=1e-4, atol=1e-5 * n * d)
    np.testing.assert_array_equal(found.counts, np.bincount(found.labels, minlength=k))
    for i in range(k):
        np.testing.assert_allclose(found.sums[i], X[found.labels == i].sum(0, dtype=float), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.gaps, chosen, rtol=1e-4, atol=1e-5 * d)


def test_many_rows_are_worked_in_blocks_with_the_same_result():
    X, C = mixture(20_000), mixture(7, seed=1)
    (whole,), parts = assign(X, C), [assign(X[i : i + 5000], C)[0] for i in range(0, 20_000, 5000)]
    np.testing.assert_array_equal(whole.labels, np.concatenate([part.labels for part in parts]))
    np.testing.assert_allclose(whole.sums, sum(part.sums for part in parts), rtol=1e-9)


@pytest.mark.parametrize("k", [5, 40])
def test_as_good_as_lloyd_until_convergence(k):
    X = mixture(30_000)
    ours = assign(X, kmeans(X, k))[0].inertia
    theirs = KMeans(k, n_init=1, random_state=0).fit(X).inertia_
    assert ours <= 1.05 * theirs


def test_more_seeds_are_no_worse_on_the_first_batch():
    X = mixture(3000, parts=60)
    one, ten = (assign(X, kmeans(X, 30, KMeansOptions(seeds=seeds, passes=1)))[0].inertia for seeds in (1, 10))
    assert ten <= one


def test_a_cluster_without_rows_moves_to_the_farthest():
    X = np.array([[0, 0], [0, 0.1], [5, 5], [9, 9]], np.float32)
    lost = np.array([[0, 0], [100, 100], [6, 6]], np.float32)
    ((inertia, centroids),) = lloyd(X, [lost], 10)
    assert (assign(X, centroids)[0].counts > 0).all()
    assert inertia == pytest.approx(0.005, abs=1e-4)


def test_seeds_are_rows_far_apart():
    X = mixture(2000, parts=6)
    seeds = draw_seeds(X, 6, np.random.default_rng(0))
    assert all((seed == X).all(1).any() for seed in seeds)
    own, first = assign(X, seeds, X[:6])
    assert len({own.labels[int((seed == X).all(1).argmax())] for seed in seeds}) == 6
    assert own.inertia < 0.5 * first.inertia


def test_clusterings_that_are_passed_over_together_do_not_mix():
    X = mixture(9000)
    starts = [X[:4], X[10:30], X[40:49]]
    for (inertia, centroids), start in zip(lloyd(X, starts, 3), starts, strict=True):
        ((alone, own),) = lloyd(X, [start], 3)
        assert inertia == pytest.approx(alone, rel=1e-6)
        np.testing.assert_allclose(centroids, own, rtol=1e-5)


def test_spherical_centroids_have_unit_length_and_gather_by_cosine():
    rng = np.random.default_rng(0)
    directions = unit_rows(rng.random((3, 8), dtype=np.float32))
    X = directions[rng.integers(3, size=900)] * rng.gamma(1, 9, (900, 1)).astype(np.float32) + np.float32(1e-3)
    centroids = kmeans(unit_rows(X), 3, KMeansOptions(spherical=True))
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-5)
    assert (centroids @ directions.T).max(0).min() > 0.999


def test_zero_rows_stay_zero():
    np.testing.assert_allclose(unit_rows(np.array([[0, 0], [3, 4]], np.float32)), [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_one_seed_gives_the_same_bits_and_the_rows_stay():
    X = mixture(10_000)
    before = X.copy()
    first, second, other = (kmeans(X, 12, KMeansOptions(seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(X, before)
    assert not np.array_equal(first, other)
