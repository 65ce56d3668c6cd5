"""The four methods against plain definitions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls

from histofactor.concepts.bank.record import new_bank
from histofactor.errors import EncoderError, OptionError
from histofactor.masks.bands import by_owner
from histofactor.records import Leaves
from histofactor.segmentation.method import METHODS, Factorization, Tokens, method_of, weigh


@pytest.fixture
def X(tiny_bank):  # noqa: N802
    rng = np.random.default_rng(1)
    mixed = rng.gamma(0.3, 1.0, (200, 6)) @ tiny_bank.vectors
    return (mixed + 0.1 * rng.random(mixed.shape)).astype(np.float32)


def tokens(method, X, bank):
    aims = METHODS[method].directions(bank)
    B = X if aims is None else X @ aims
    return Tokens(B.astype(np.float32), (X**2).sum(1), bank.encoder, 1.0)


def run(method, X, bank, how=None):
    return weigh(METHODS[method], tokens(method, X, bank), bank, how or Factorization(components=4))


def test_project_is_nnls_on_unit_concepts(X, tiny_bank):
    W, residual, bank = run("project", X, tiny_bank)
    U = tiny_bank.vectors / np.linalg.norm(tiny_bank.vectors, axis=1, keepdims=True)
    expected = np.array([nnls(U.T.astype(float), x)[0] for x in X.astype(float)])
    np.testing.assert_allclose(W, expected, atol=1e-3)
    np.testing.assert_allclose(
        residual, np.linalg.norm(X - expected @ U, axis=1) / np.linalg.norm(X, axis=1), atol=1e-3
    )
    assert bank is tiny_bank


def test_cluster_is_the_nearest_concept(X, tiny_bank):
    W, residual, _ = run("cluster", X, tiny_bank)
    distances = np.linalg.norm(X[:, None] - tiny_bank.vectors, axis=2)
    np.testing.assert_array_equal(W.argmax(1), distances.argmin(1))
    assert (W >= 0).all()
    expected = np.minimum(distances.min(1) / np.linalg.norm(X, axis=1), 1)
    np.testing.assert_allclose(residual, expected, atol=2e-3)


@pytest.mark.parametrize("leaves", [1, 3])
def test_cluster_with_one_concept_gives_it_all_tissue(X, tiny_bank, leaves):
    one = new_bank(tiny_bank.vectors[:leaves].mean(0, keepdims=True), tiny_bank.encoder)
    if leaves > 1:
        one = replace(one, leaves=Leaves(tiny_bank.vectors[:leaves], (0,) * leaves))
    W, residual, _ = run("cluster", X, one)
    weights = by_owner(W, METHODS["cluster"].owners(one))
    assert weights.shape == (len(X), 1)
    assert (weights > 0).all()
    centroids = one.vectors if leaves == 1 else one.leaves.vectors
    nearest = np.linalg.norm(X[:, None] - centroids, axis=2).min(1)
    np.testing.assert_allclose(residual, np.minimum(nearest / np.linalg.norm(X, axis=1), 1), atol=2e-3)


def test_cluster_with_concepts_that_are_alike_takes_the_first(X, tiny_bank):
    alike = new_bank(np.repeat(tiny_bank.vectors[:1], 3, 0), tiny_bank.encoder)
    W, _, _ = run("cluster", X, alike)
    assert (W > 0).all()
    np.testing.assert_array_equal(W.argmax(1), 0)


def test_cluster_of_unions_is_the_nearest_leaf(X, tiny_bank):
    owned = (0, 1, 1, 0, 2, 1)
    means = np.stack([tiny_bank.vectors[np.equal(owned, i)].mean(0) for i in range(3)])
    union = replace(new_bank(means, tiny_bank.encoder), leaves=Leaves(tiny_bank.vectors, owned))
    assert METHODS["cluster"].owners(union) == owned
    W, residual, bank = run("cluster", X, union)
    finest, left, _ = run("cluster", X, tiny_bank)
    np.testing.assert_array_equal(W, finest)
    np.testing.assert_array_equal(residual, left)
    np.testing.assert_array_equal(by_owner(W, owned).argmax(1), np.array(owned)[finest.argmax(1)])
    assert bank is union


@pytest.mark.parametrize("method", ["project", "factorize"])
def test_other_methods_take_the_means_of_unions(X, tiny_bank, method):
    means = np.stack([tiny_bank.vectors[:3].mean(0), tiny_bank.vectors[3:].mean(0)])
    plain = new_bank(means, tiny_bank.encoder)
    union = replace(plain, leaves=Leaves(tiny_bank.vectors, (0, 0, 0, 1, 1, 1)))
    assert METHODS[method].owners(union) is None
    np.testing.assert_array_equal(run(method, X, union)[0], run(method, X, plain)[0])
    W = run(method, X, plain)[0]
    assert by_owner(W, None) is W


def test_cluster_of_interpolated_features_is_cluster_of_interpolated_scores(X, tiny_bank):
    middle = 0.5 * (X[:1] + X[1:2])
    W, _, _ = run("cluster", X, tiny_bank)
    of_middle, _, _ = run("cluster", middle, tiny_bank)
    assert (W[0] + W[1]).argmax() == of_middle.argmax()


def test_single_explains_the_image_with_its_own_components(X, tiny_bank):
    W, residual, bank = run("single", X, tiny_bank)
    assert bank.vectors.shape == (4, 12)
    assert bank.encoder == tiny_bank.encoder
    expected = np.linalg.norm(X - W @ bank.vectors, axis=1) / np.linalg.norm(X, axis=1)
    np.testing.assert_allclose(residual, expected, atol=5e-3)


def test_factorize_hands_components_to_their_nearest_concept(X, tiny_bank):
    own, _, components = run("single", X, tiny_bank)
    W, _, bank = run("factorize", X, tiny_bank)
    assert bank is tiny_bank
    U = tiny_bank.vectors / np.linalg.norm(tiny_bank.vectors, axis=1, keepdims=True)
    nearest = (components.vectors @ U.T).argmax(1)
    for concept in range(6):
        np.testing.assert_allclose(W[:, concept], own[:, nearest == concept].sum(1), rtol=1e-6)


def test_factorize_asks_for_no_more_components_than_there_can_be(X, tiny_bank):
    W, _, _ = run("factorize", X[:3], tiny_bank, Factorization(components=20))
    assert W.shape == (3, 6)


def test_single_with_too_many_components_says_so(X, tiny_bank):
    with pytest.raises(OptionError, match="k = 13"):
        run("single", X, tiny_bank, Factorization(components=13))


@pytest.mark.parametrize("method", METHODS)
def test_methods_return_weights_and_residuals_in_range(method, X, tiny_bank):
    W, residual, bank = run(method, X, tiny_bank)
    assert W.shape == (200, len(bank.vectors))
    assert W.dtype == residual.dtype == np.float32
    assert (W >= 0).all()
    assert ((residual >= 0) & (residual <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_features_that_are_not_finite(method, X, tiny_bank):
    bad = tokens(method, X, tiny_bank)
    B = bad.B.copy()
    B[3, 1] = np.nan
    with pytest.raises(EncoderError, match="not finite"):
        weigh(METHODS[method], replace(bad, B=B), tiny_bank, Factorization())


def test_unknown_method_and_missing_bank(X, tiny_bank):
    with pytest.raises(OptionError, match="'magic'"):
        method_of("magic")
    with pytest.raises(OptionError, match="needs concepts"):
        weigh(METHODS["project"], tokens("single", X, tiny_bank), None, Factorization())


def test_raw_is_nnls_on_the_concepts_as_they_are(X, tiny_bank):
    W, residual, bank = run("raw", X, tiny_bank)
    H = tiny_bank.vectors.astype(float)
    expected = np.array([nnls(H.T, x)[0] for x in X.astype(float)])
    np.testing.assert_allclose(W, expected, atol=2e-3)
    left = np.linalg.norm(X - expected @ H, axis=1) / np.linalg.norm(X, axis=1)
    np.testing.assert_allclose(residual, left, atol=1e-3)
    assert bank is tiny_bank


@pytest.mark.parametrize("method", ["project", "raw", "factorize"])
def test_weights_of_the_parts_of_a_mixture_add_up(method, X, tiny_bank):
    whole, residual, _ = run(method, X, tiny_bank)
    owners = (0, 1, 0, 2, 1, 0)
    means = np.array([tiny_bank.vectors[np.array(owners) == one].mean(0) for one in range(3)])
    merged = replace(new_bank(means, tiny_bank.encoder), parts=Leaves(tiny_bank.vectors, owners))
    W, same, _ = run(method, X, merged)
    expected = np.stack([whole[:, [0, 2, 5]].sum(1), whole[:, [1, 4]].sum(1), whole[:, 3]], 1)
    np.testing.assert_allclose(W, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(same, residual, rtol=1e-4, atol=1e-5)
