"""The start: a basis near the singular vectors, and the non-negative double singular value decomposition."""

import numpy as np
import pytest

from histofactor.factor.start import leading_subspace, singular_start


def features(rows=90, dim=40, rank=5):
    rng = np.random.default_rng(0)
    return (rng.gamma(0.5, 1.0, (rows, rank)) @ rng.gamma(0.5, 1.0, (rank, dim))).astype(np.float32)


@pytest.mark.parametrize("width", [5, 12, 40])
def test_the_basis_is_orthonormal_and_spans_features_of_low_rank(width):
    A = features()
    V, Z = leading_subspace(A, width)
    assert V.shape == (40, width)
    np.testing.assert_allclose(V.T @ V, np.eye(width), atol=1e-5)
    np.testing.assert_allclose(Z @ V.T, A, atol=1e-4 * A.max())


def test_the_basis_captures_nearly_as_much_as_the_singular_vectors():
    A = features() + np.random.default_rng(1).random((90, 40), np.float32)
    _, Z = leading_subspace(A, 12)
    best = (np.linalg.svd(A, compute_uv=False)[:12] ** 2).sum()
    assert 0.98 * best <= (Z**2).sum() <= 1.0001 * best


def test_zero_features_leave_an_orthonormal_basis():
    V, Z = leading_subspace(np.zeros((20, 10), np.float32), 4)
    np.testing.assert_allclose(V.T @ V, np.eye(4), atol=1e-6)
    assert (Z == 0).all()


def folded(A, k):
    """Non-negative double SVD, component by component from NumPy's SVD; zeros stay."""
    U, S, Vt = np.linalg.svd(A.astype(np.float64), full_matrices=False)
    parts = []
    for u, s, v in zip(U.T[:k], S[:k], Vt[:k], strict=True):
        pairs = [(np.maximum(sign * u, 0), np.maximum(sign * v, 0)) for sign in (1, -1)]
        w, h = max(pairs, key=lambda pair: np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]))
        parts.append(s * np.outer(w, h))
    return parts


def test_components_are_the_larger_signed_parts_of_the_singular_vectors():
    A = features()
    V, Z = leading_subspace(A, 40)
    W, Ht = singular_start(Z, V, 4, 0.0, 0)
    for j, expected in enumerate(folded(A, 4)):
        np.testing.assert_allclose(np.outer(W[:, j], Ht[:, j]), expected, atol=1e-4 * A.max())
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), np.linalg.norm(Ht, axis=0), rtol=1e-4)


def test_zeros_become_small_values_of_the_seed():
    A = features()
    V, Z = leading_subspace(A, 8)
    (W, Ht), (same, _), (other, _) = (singular_start(Z, V, 4, float(A.mean()), seed) for seed in (0, 0, 1))
    assert (W > 0).all()
    assert (Ht > 0).all()
    np.testing.assert_array_equal(W, same)
    bare, _ = singular_start(Z, V, 4, 0.0, 0)
    np.testing.assert_array_equal(W[bare > 0], other[bare > 0])
    assert (W[bare == 0] != other[bare == 0]).all()
    assert W[bare == 0].max() <= 0.3 * np.sqrt(A.mean() / 4)
