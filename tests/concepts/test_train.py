import warnings

import numpy as np
import pytest

from histofactor.concepts.bank_file import load_banks, save_bank
from histofactor.concepts.train import banks_from_features, cluster
from histofactor.errors import BankError, OptionError
from histofactor.records import EncoderKey

KEY = EncoderKey("embedded", None, "layer3", "relu")
CENTRES = np.array([[9, 0, 0, 1], [0, 9, 1, 0], [5, 5, 5, 5]], np.float32)
SIZES = (50, 200, 100)


@pytest.fixture
def features():
    """Three well separated phenotypes of 50, 200 and 100 tokens."""
    rng = np.random.default_rng(0)
    rows = np.repeat(CENTRES, SIZES, axis=0) + rng.random((350, 4), dtype=np.float32) * 0.2
    return rows[rng.permutation(350)]


def test_phenotypes_are_found_most_frequent_first(features):
    found = cluster(features, [3])[3]
    assert found.counts == (200, 100, 50)
    np.testing.assert_allclose(found.centroids, CENTRES[[1, 2, 0]] + 0.1, atol=0.02)
    assert found.centroids.dtype == np.float32


def test_centroids_and_inertia_are_those_of_the_nearest_tokens(features):
    for k, found in cluster(features, [2, 3]).items():
        distances = ((features[:, None].astype(float) - found.centroids) ** 2).sum(-1)
        nearest = distances.argmin(1)
        np.testing.assert_array_equal(np.bincount(nearest, minlength=k), found.counts)
        for i in range(k):
            np.testing.assert_allclose(features[nearest == i].mean(0), found.centroids[i], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(distances.min(1).sum(), found.inertia, rtol=1e-4)


def test_one_seed_gives_one_result_and_the_input_stays(features):
    before = features.copy()
    first, second, other = (cluster(features, [12], seed=seed)[12] for seed in (3, 3, 4))
    np.testing.assert_array_equal(features, before)
    np.testing.assert_array_equal(first.centroids, second.centroids)
    assert not np.array_equal(first.centroids, other.centroids)


def test_as_many_clusters_as_tokens(features):
    found = cluster(features[:4], [1, 4])
    np.testing.assert_allclose(found[1].centroids, features[:4].mean(0, keepdims=True), rtol=1e-5)
    assert found[4].counts == (1, 1, 1, 1)


def test_banks_of_every_k_fit_into_one_file(features, tmp_path):
    banks = banks_from_features(features, [8, 2], KEY, mpp=1.0, seed=5, provenance={"images": 7})
    assert [len(bank.names) for bank in banks] == [2, 8]
    assert all(bank.encoder == KEY and bank.mpp == 1.0 for bank in banks)
    facts = banks[1].provenance
    assert (facts["images"], facts["tokens"], facts["seed"]) == (7, 350, 5)
    assert sum(facts["counts"]) == 350
    save_bank(banks, tmp_path / "bank.safetensors")
    loaded = load_banks(tmp_path / "bank.safetensors")
    np.testing.assert_array_equal(loaded[8].vectors, banks[1].vectors)
    assert loaded[8].provenance == facts


@pytest.mark.parametrize("ks", [[], [0], [-1], [2, 2], [2.0], ["2"], [True]])
def test_ks_that_are_not_numbers_of_concepts(features, ks):
    with pytest.raises(OptionError, match="distinct integers"):
        cluster(features, ks)


def test_too_few_tokens(features):
    with pytest.raises(BankError, match=r"at least 4 distinct tokens.*got 3 tokens"):
        cluster(features[:3], [2, 4])
    with pytest.raises(BankError, match="at least 1 distinct tokens"):
        cluster(features[:0], [1])


def test_too_few_distinct_tokens(features):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as outside of tests
        with pytest.raises(BankError, match="at least 3 distinct"):
            cluster(np.repeat(features[:2], 10, axis=0), [3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_features_must_be_finite_and_non_negative(features, value):
    features[7, 2] = value
    with pytest.raises(BankError, match="finite features ≥ 0"):
        cluster(features, [2])


def test_features_must_be_a_float32_table(features):
    for wrong in (features.astype(np.float64), features[0], features[:, :0]):
        with pytest.raises(BankError, match="float32 array"):
            cluster(wrong, [1])


def test_a_concept_of_empty_tokens_is_refused(features):
    features[:20] = 0
    with pytest.raises(BankError, match="all zero"):
        banks_from_features(features, [4], KEY)
