"""Every K at once: nested or separate, against plain references."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.cluster import KMeans

from histofactor.concepts.bank.file import load_banks, save_bank
from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import TrainOptions, banks_from_features, train_levels
from histofactor.errors import BankError, OptionError
from histofactor.factor.nnls import project
from histofactor.records import EncoderKey

KEY = EncoderKey("embedded", None, "layer3", "relu")
CENTRES = np.array([[9, 0, 0, 1], [0, 9, 1, 0], [5, 5, 5, 5]], np.float32)
SIZES = (50, 200, 100)
SEPARATE = TrainOptions(nested=False)


@pytest.fixture
def features():
    """Three well separated phenotypes of 50, 200 and 100 tokens."""
    rng = np.random.default_rng(0)
    rows = np.repeat(CENTRES, SIZES, axis=0) + rng.random((350, 4), dtype=np.float32) * 0.2
    return rows[rng.permutation(350)]


@pytest.fixture(scope="module")
def tissue():
    """Thirty overlapping phenotypes in 10 channels."""
    rng = np.random.default_rng(1)
    centres = rng.gamma(0.6, 2.0, (30, 10))
    rows = centres[rng.integers(30, size=6000)] + rng.gamma(1.0, 0.4, (6000, 10))
    return rows.astype(np.float32)


def nearest(X, vectors):
    return ((X[:, None].astype(float) - vectors) ** 2).sum(-1)


@pytest.mark.parametrize("options", [TrainOptions(), SEPARATE])
def test_phenotypes_are_found_most_frequent_first(features, options):
    found = train_levels(features, [3], options)[3]
    assert found.counts.tolist() == [200, 100, 50]
    np.testing.assert_allclose(found.vectors, CENTRES[[1, 2, 0]] + 0.1, atol=0.02)
    assert found.vectors.dtype == np.float32


@pytest.mark.parametrize("k", [4, 12, 40])
def test_separate_levels_are_nearest_centroids_and_as_good_as_lloyd(tissue, k):
    found = train_levels(tissue, [4, 12, 40], SEPARATE)[k]
    distances = nearest(tissue, found.vectors)
    np.testing.assert_allclose(distances[np.arange(6000), found.labels], distances.min(1), atol=1e-3)
    np.testing.assert_allclose(found.inertia, distances.min(1).sum(), rtol=1e-4)
    np.testing.assert_array_equal(found.counts, np.bincount(found.labels, minlength=k))
    assert found.inertia <= 1.03 * KMeans(k, n_init=3, random_state=0).fit(tissue).inertia_


def test_nested_levels_are_unions_of_the_finest(tissue):
    levels = train_levels(tissue, [5, 40, 17])
    assert list(levels) == [5, 17, 40]
    finest = levels[40]
    np.testing.assert_array_equal(finest.owners, np.arange(40))
    for coarse, fine in pairwise(levels.values()):
        assert len(set(zip(fine.labels, coarse.labels, strict=True))) == len(fine.vectors)
    for k, level in levels.items():
        np.testing.assert_array_equal(level.labels, level.owners[finest.labels])
        np.testing.assert_array_equal(level.counts, np.bincount(level.labels, minlength=k))
        assert (np.diff(level.counts) <= 0).all()


def test_means_and_inertia_of_unions_are_those_of_their_tokens(tissue):
    level = train_levels(tissue, [6, 40])[6]
    for concept in range(6):
        own = tissue[level.labels == concept].astype(float)
        np.testing.assert_allclose(level.vectors[concept], own.mean(0), rtol=2e-2)
    apart = ((tissue - level.vectors[level.labels].astype(float)) ** 2).sum()
    np.testing.assert_allclose(level.inertia, apart, rtol=1e-2)


def test_spherical_levels_gather_by_cosine(tissue):
    options = TrainOptions(kmeans=KMeansOptions(spherical=True))
    found = train_levels(tissue, [12], options)[12]
    units = tissue / np.linalg.norm(tissue, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    cosines = units @ found.vectors.T
    np.testing.assert_allclose(cosines[np.arange(6000), found.labels], cosines.max(1), atol=1e-5)


def test_components_of_a_factorization(tissue):
    levels = train_levels(tissue, [4, 10], TrainOptions("nmf"))
    for k, level in levels.items():
        assert level.owners is None
        W = project(tissue, level.vectors)
        np.testing.assert_array_equal(level.labels, W.argmax(1))
        np.testing.assert_array_equal(level.counts, np.bincount(level.labels, minlength=k))
        np.testing.assert_allclose(level.inertia, ((tissue - W @ level.vectors) ** 2).sum(), rtol=1e-3)
    assert levels[10].inertia < levels[4].inertia


def test_one_seed_gives_one_result_and_the_input_stays(features):
    before = features.copy()
    runs = [train_levels(features, [12], TrainOptions(kmeans=KMeansOptions(seed=seed)))[12] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(features, before)
    np.testing.assert_array_equal(runs[0].vectors, runs[1].vectors)
    assert not np.array_equal(runs[0].vectors, runs[2].vectors)


def test_as_many_clusters_as_tokens(features):
    found = train_levels(features[:4], [1, 4], SEPARATE)
    np.testing.assert_allclose(found[1].vectors, features[:4].mean(0, keepdims=True), rtol=1e-5)
    assert found[4].counts.tolist() == [1, 1, 1, 1]


def test_banks_of_every_k_fit_into_one_file(features, tmp_path):
    banks = banks_from_features(features, [8, 2, 4], KEY, mpp=1.0, provenance={"images": 7})
    assert [len(bank.names) for bank in banks] == [2, 4, 8]
    assert all(bank.encoder == KEY and bank.mpp == 1.0 for bank in banks)
    assert banks[0].provenance["images"] == 7
    assert sum(banks[0].provenance["counts"]) == 350
    assert banks[0].parents is None
    assert banks[2].leaves is None
    for coarse, fine in pairwise(banks):
        owners = coarse.leaves.owners
        finer = range(8) if fine.leaves is None else fine.leaves.owners
        assert all(fine.parents[finer[leaf]] == owners[leaf] for leaf in range(8))
    save_bank(banks, tmp_path / "bank.safetensors")
    loaded = load_banks(tmp_path / "bank.safetensors")
    np.testing.assert_array_equal(loaded[2].leaves.vectors, banks[2].vectors)
    assert loaded[2].leaves.owners == banks[0].leaves.owners


def test_separate_banks_know_no_parents(features):
    for bank in banks_from_features(features, [2, 8], KEY, options=SEPARATE):
        assert bank.parents is None
        assert bank.leaves is None


@pytest.mark.parametrize("ks", [[], [0], [-1], [2, 2], [2.0], ["2"], [True], [257]])
def test_ks_that_are_not_numbers_of_concepts(features, ks):
    with pytest.raises(OptionError, match="distinct integers"):
        train_levels(features, ks)


def test_an_unknown_algorithm(features):
    with pytest.raises(OptionError, match="one of kmeans, nmf"):
        train_levels(features, [2], TrainOptions("magic"))


def test_too_few_tokens(features):
    with pytest.raises(BankError, match=r"at least 4 distinct tokens.*got 3 tokens"):
        train_levels(features[:3], [2, 4])
    with pytest.raises(BankError, match="at least 1 distinct tokens"):
        train_levels(features[:0], [1])


def test_too_few_distinct_tokens(features):
    with pytest.raises(BankError, match="at least 3 distinct"):
        train_levels(np.repeat(features[:2], 10, axis=0), [3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_features_must_be_finite_and_non_negative(features, value):
    features[7, 2] = value
    with pytest.raises(BankError, match="finite features ≥ 0"):
        train_levels(features, [2])


def test_features_must_be_a_float32_table(features):
    for wrong in (features.astype(np.float64), features[0], features[:, :0]):
        with pytest.raises(BankError, match="float32 array"):
            train_levels(wrong, [1])


def test_a_concept_of_empty_tokens_is_refused(features):
    features[:20] = 0
    with pytest.raises(BankError, match="all zero"):
        banks_from_features(features, [4], KEY)
