"""Where factorization starts: the leading singular vectors of the features, made non-negative."""

from __future__ import annotations

import numba
import numpy as np
import scipy.linalg

from histofactor.records import Float

_FILL = 0.3  # largest start value of what the singular vectors leave at zero, beside the mean of the weights


def leading_subspace(A: Float, width: int) -> tuple[Float, Float]:
    """A basis near the leading right singular vectors of A, by one step of subspace iteration from some of its rows.

    See Halko, Martinsson and Tropp, SIAM Review 53, 2011. A start and a sketch need no more than rough directions.

    Args:
        A: (N, C) features.
        width: number of directions, no more than N or C.

    Returns:
        (V (C, width), orthonormal; A·V (N, width)).
    """
    rows = A[np.arange(width) * len(A) // width]
    V = np.ascontiguousarray(scipy.linalg.qr(A.T @ (A @ rows.T), mode="economic", check_finite=False)[0])
    return V, A @ V


def singular_start(Z: Float, V: Float, k: int, mean: float, seed: int) -> tuple[Float, Float]:
    """Non-negative double SVD of Z·Vᵀ (Boutsidis and Gallopoulos, Pattern Recognition 41, 2008).

    Zeros become small random values, so that descent can free them.

    Args:
        Z: (N, r) coordinates of the features.
        V: (C, r) orthonormal basis.
        k: number of components, no more than r.
        mean: mean of the features, the scale of the random values.
        seed: seed of these values.

    Returns:
        (W (N, k), Hᵀ (C, k)), float32.
    """
    leading = np.ascontiguousarray(np.linalg.eigh(Z.T @ Z)[1][:, : -k - 1 : -1])
    rng = np.random.default_rng(seed)
    fill = np.float32(_FILL * np.sqrt(mean / k))
    W, Ht = Z @ leading, V @ leading
    _fold(W, Ht, fill * rng.random(W.shape, np.float32), fill * rng.random(Ht.shape, np.float32))
    return W, Ht


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fold(W, Ht, fill_W, fill_H):
    """Keep of each pair of columns the signs that carry more, with both factors of one norm; fill the zeros."""
    w_plus, w_minus = _squares(W)
    h_plus, h_minus = _squares(Ht)
    scale_W, scale_H = np.zeros_like(W[0]), np.zeros_like(W[0])
    for j in range(len(scale_W)):
        sign, w, h = 1, w_plus[j], h_plus[j]
        if w_plus[j] * h_plus[j] < w_minus[j] * h_minus[j]:
            sign, w, h = -1, w_minus[j], h_minus[j]
        if w > 0 and h > 0:
            scale_W[j], scale_H[j] = sign * (h / w) ** 0.25, sign * (w / h) ** 0.25
    for M, scale, fill in ((W, scale_W, fill_W), (Ht, scale_H, fill_H)):
        for i in range(len(M)):
            for j in range(len(scale)):
                value = M[i, j] * scale[j]
                M[i, j] = value if value > 0 else fill[i, j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _squares(M):
    """The squared norms of the positive and of the negative parts of the columns."""
    plus, minus = np.zeros(M.shape[1]), np.zeros(M.shape[1])
    for i in range(M.shape[0]):
        for j in range(M.shape[1]):
            square = np.float64(M[i, j]) ** 2
            plus[j] += square if M[i, j] > 0 else 0.0
            minus[j] += square if M[i, j] < 0 else 0.0
    return plus, minus
