"""Projection against scipy's nnls in float64, the certificate, and the promises of the public function."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from histofactor.concepts.legacy import read_legacy
from histofactor.errors import OptionError
from histofactor.factor.nnls import (
    certify,
    gram,
    kkt_violation,
    project,
    relative_residual,
    solve_gram,
    unit_concepts,
)


def mixtures(H, rows, seed=0, noise=0.1):
    """Sparse mixtures of the concepts with noise, as features of tissue are."""
    rng = np.random.default_rng(seed)
    W = np.zeros((rows, len(H)), np.float32)
    for row in W:
        row[rng.choice(len(H), min(4, len(H)), replace=False)] = rng.gamma(1.0, 1.0, min(4, len(H)))
    X = W @ H
    return np.maximum(X + noise * X.std() * rng.normal(size=X.shape), 0).astype(np.float32)


def concepts(k=24, dim=40, seed=0):
    return np.random.default_rng(seed).gamma(0.5, 1.0, (k, dim)).astype(np.float32)


def oracle(X, H):
    Ht = H.T.astype(np.float64)
    return np.array([nnls(Ht, x)[0] for x in X.astype(np.float64)])


def violation(W, X, H):
    """KKT violation in float64 on unit-norm concepts, relative to the row's largest response."""
    U, norms = unit_concepts(H.astype(np.float64))
    return kkt_violation(W * norms, X.astype(np.float64) @ U.T, gram(U)).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_scipy(dtype):
    H = concepts().astype(dtype)
    X = mixtures(concepts(), 300).astype(dtype)
    W = project(X, H)
    assert W.dtype == dtype
    np.testing.assert_allclose(W, oracle(X, H), atol=1e-4 if dtype == np.float32 else 1e-6)
    assert violation(W, X, H) <= 1e-5


@pytest.mark.parametrize("name", ["uni", "prov_gigapath", "resnet"])
def test_published_banks(shared, name):
    banks = read_legacy(shared / "banks" / f"{name}.joblib")
    for k, H in banks.items():
        concepts_ = np.maximum(H, 0)
        X = mixtures(concepts_, 1000, seed=k, noise=0.3)
        before = X.copy(), concepts_.copy()
        W = project(X, concepts_)
        sample = slice(0, 1000, 5)
        assert (W[sample].argmax(1) == oracle(X[sample], concepts_).argmax(1)).mean() >= 0.995
        assert violation(W, X, concepts_) <= 1e-5
        np.testing.assert_array_equal(project(X[::7], concepts_), W[::7])
        np.testing.assert_array_equal(X, before[0])
        np.testing.assert_array_equal(concepts_, before[1])


@settings(max_examples=25)
@given(rows=st.integers(1, 700), k=st.integers(1, 40), dim=st.integers(1, 60), seed=st.integers(0, 2**16))
def test_rows_do_not_depend_on_the_batch(rows, k, dim, seed):
    H = concepts(k, dim, seed)
    X = mixtures(H, rows, seed)
    W = project(X, H)
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    np.testing.assert_array_equal(project(X[order], H), W[order])
    np.testing.assert_array_equal(project(X[rows // 2 : rows // 2 + 1], H), W[rows // 2 : rows // 2 + 1])
    assert violation(W, X, H) <= 1e-5
    assert (W >= 0).all()


def test_dependent_and_zero_concepts():
    H = concepts(6, 10)
    H = np.vstack([H, H[2] * 3, H[0] + H[1], np.zeros((1, 10), np.float32)])
    X = mixtures(H[:6], 200)
    W = project(X, H)
    assert violation(W, X, H) <= 1e-5
    assert (W[:, -1] == 0).all()
    best = oracle(X, H)
    np.testing.assert_allclose(np.linalg.norm(X - W @ H, axis=1), np.linalg.norm(X - best @ H, axis=1), atol=1e-4)


def test_more_concepts_than_dimensions():
    H = concepts(50, 8)
    X = mixtures(H, 200)
    assert violation(project(X, H), X, H) <= 1e-5


def test_scaling_a_concept_scales_its_weight():
    H, scale = concepts(), np.geomspace(0.01, 100, 24).astype(np.float32)[:, None]
    X = mixtures(H, 100)
    np.testing.assert_allclose(project(X, H * scale) * scale[:, 0], project(X, H), atol=1e-4)


def test_torch_in_torch_out():
    H, X = concepts(), mixtures(concepts(), 50)
    W = project(torch.from_numpy(X), torch.from_numpy(H))
    assert isinstance(W, torch.Tensor)
    np.testing.assert_array_equal(W.numpy(), project(X, H))
    half = project(torch.from_numpy(X).half(), torch.from_numpy(H))
    assert half.dtype == torch.float32
    np.testing.assert_array_equal(half.numpy(), project(X.astype(np.float16), H))


@pytest.mark.parametrize("name", ["uni", "prov_gigapath", "resnet"])
def test_half_precision_features_keep_their_labels(shared, name):
    banks = read_legacy(shared / "banks" / f"{name}.joblib")
    same = []
    for k in (16, 64, 256):
        H = np.maximum(banks[k], 0)
        X = mixtures(H, 2000, seed=k, noise=0.3)
        same.append(project(X.astype(np.float16), H).argmax(1) == project(X, H).argmax(1))
    assert np.mean(same) >= 0.999


def test_half_precision_features_widen_and_concepts_do_not_narrow():
    H, X = concepts(), mixtures(concepts(), 300).astype(np.float16)
    W = project(X, H)
    assert W.dtype == np.float32
    np.testing.assert_array_equal(W, project(X.astype(np.float32), H))
    assert violation(W, X, H) <= 1e-5


def test_gram_belongs_to_the_concepts_as_rounded(shared):
    """With the Gram matrix of concepts rounded otherwise than those in the product, a mixture is not found again."""
    H = np.maximum(read_legacy(shared / "banks/resnet.joblib")[64], 0).astype(np.float16)
    np.testing.assert_array_equal(gram(H), gram(H.astype(np.float32)))
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((100, 64)) < 0.06, rng.gamma(2.0, 1.0, (100, 64)), 0)
    X = (truth @ H.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(project(X, H), truth, atol=1e-2)


def test_empty_and_zero_features():
    H = concepts()
    assert project(np.zeros((0, 40), np.float32), H).shape == (0, 24)
    assert (project(np.zeros((3, 40), np.float32), H) == 0).all()


def test_solve_gram_is_project():
    H, X = concepts(), mixtures(concepts(), 300)
    U, norms = unit_concepts(H)
    np.testing.assert_allclose(solve_gram(X @ U.T, gram(U)) / norms, project(X, H), atol=1e-4)


def test_relative_residual():
    H, X = concepts(), mixtures(concepts(), 100)
    W = project(X, H)
    B, G = X @ H.T, gram(H)
    expected = np.linalg.norm(X - W @ H, axis=1) / np.linalg.norm(X, axis=1)
    np.testing.assert_allclose(relative_residual((X**2).sum(1), W, B, G), expected, atol=1e-3)
    assert (relative_residual(np.zeros(1), W[:1] * 0, B[:1] * 0, G) == 0).all()


def test_certify_measures_in_float64():
    H, X = concepts(), mixtures(concepts(), 600)
    W = project(X, H)
    certificate = certify(X, H, W)
    assert certificate.kkt.max() <= 1e-5
    expected = np.linalg.norm(X - W @ H, axis=1) / np.linalg.norm(X, axis=1)
    np.testing.assert_allclose(certificate.residual, expected, atol=1e-5)
    W[17] = 0
    assert certify(X, H, W).kkt.argmax() == 17


def test_certificate_sees_a_wrong_answer():
    H, X = concepts(), mixtures(concepts(), 20)
    W = project(X, H)
    W[3, 0] += 0.1
    bad = kkt_violation(W, X @ H.T, gram(H))
    assert bad[3] > 1e-3
    assert np.delete(bad, 3).max() < 1e-4


@pytest.mark.parametrize(
    ("X", "H", "word"),
    [
        (np.ones((3, 4)), np.ones((2, 5)), r"\(3, 4\).*\(2, 5\)"),
        (np.ones(4), np.ones((2, 4)), "shape|fit"),
        (np.ones((3, 4)), np.ones((0, 4)), "K ≥ 1"),
        (np.ones((3, 4)), -np.ones((2, 4)), "negative"),
        (np.ones((3, 4)), np.full((2, 4), np.nan), "NaN"),
    ],
)
def test_bad_arguments(X, H, word):
    with pytest.raises(OptionError, match=word):
        project(X, H)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite(value):
    X = mixtures(concepts(), 20)
    X[7, 3] = value
    with pytest.raises(ArithmeticError, match="not finite"):
        project(X, concepts())
