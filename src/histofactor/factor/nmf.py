"""Factorization of one image's features: X ≈ W·H with W, H ≥ 0 (deep feature factorization, Collins et al. 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from histofactor.errors import OptionError
from histofactor.factor.hals import sweep_rows
from histofactor.factor.workers import map_blocks

_SWEEPS = 4  # inner sweeps per matrix product: cheap beside the product, and each brings the optimum closer
_BLOCK = 1024  # rows that one thread takes through product and sweeps

Floats = NDArray[np.floating[Any]]


def factorize(
    X: Floats, k: int, *, seed: int = 0, tol: float = 1e-4, max_iter: int = 500
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Minimise ½‖X − W·H‖² over W ≥ 0 and H ≥ 0.

    Alternates hierarchical least squares on W and H, both on Gram products, from a non-negative singular value
    start (Boutsidis and Gallopoulos, Pattern Recognition 41, 2008). Deterministic for a seed.

    Args:
        X: (N, C) features ≥ 0.
        k: number of components, 1 ≤ k ≤ min(N, C).
        seed: seed of the small values that fill the zeros of the start.
        tol: stop when the projected gradient has shrunk to this share of its first norm.
        max_iter: largest number of alternations.

    Returns:
        (W (N, k), H (k, C)), float32, the rows of H of unit length.

    Raises:
        OptionError: k does not fit X, or X is negative or not finite.
    """
    _check(X, k)
    A = np.ascontiguousarray(X, np.float32)
    W, H = _start(A, k, seed)
    Ht = np.ascontiguousarray(H.T)
    first = 0.0
    for step in range(max_iter):
        violation, XtW, WtW = _update_weights(A, W, Ht)
        violation += sweep_rows(Ht, XtW, WtW, _SWEEPS)
        if step == 0:
            first = violation
        elif violation <= tol * tol * first:
            break
    norms = np.linalg.norm(Ht, axis=0)
    return W * norms, np.ascontiguousarray((Ht / np.where(norms > 0, norms, 1)).T)


def _update_weights(
    A: NDArray[np.float32], W: NDArray[np.float32], Ht: NDArray[np.float32]
) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """Improve W in place, reading A once; returns (squared projected gradient, XᵀW (C, k), WᵀW (k, k))."""
    G = Ht.T @ Ht

    def update_block(rows: slice) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
        X, V = A[rows], W[rows]
        violation = sweep_rows(V, X @ Ht, G, _SWEEPS)
        return violation, X.T @ V, V.T @ V

    violations, products, grams = zip(*map_blocks(update_block, len(A), _BLOCK), strict=True)
    return sum(violations), np.sum(products, axis=0), np.sum(grams, axis=0)


def _start(A: NDArray[np.float32], k: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Non-negative double SVD from the eigenvectors of the smaller Gram matrix, zeros filled with small values."""
    N, C = A.shape
    if C <= N:
        _, V = eigh(A.T @ A, subset_by_index=(C - k, C - 1))
        U = A @ V
    else:
        _, U = eigh(A @ A.T, subset_by_index=(N - k, N - 1))
        V = A.T @ U
    U, V = U[:, ::-1], V[:, ::-1]  # descending; of each pair one side is unit, the other carries the singular value
    W, H = np.zeros((N, k), np.float32), np.zeros((k, C), np.float32)
    for j in range(k):
        sides = [(np.maximum(s * U[:, j], 0), np.maximum(s * V[:, j], 0)) for s in (1, -1)]
        u, v = max(sides, key=lambda side: float(np.linalg.norm(side[0]) * np.linalg.norm(side[1])))
        nu, nv = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        if nu > 0 and nv > 0:
            scale = np.sqrt(nu * nv)
            W[:, j], H[j] = u / nu * scale, v / nv * scale
    rng = np.random.default_rng(seed)
    fill = np.sqrt(A.mean() / k) / 100
    W[W == 0] = fill * rng.random(np.count_nonzero(W == 0), np.float32)
    H[H == 0] = fill * rng.random(np.count_nonzero(H == 0), np.float32)
    return W, H


def _check(X: Floats, k: int) -> None:
    """Raise OptionError unless X is a valid feature matrix with room for k components."""
    if X.ndim != 2 or not 1 <= k <= min(X.shape):
        raise OptionError(
            "cannot factorize",
            expected="X (N, C) with 1 ≤ k ≤ min(N, C)",
            got=f"X {X.shape}, k = {k}",
            mend="ask for fewer components, or give a larger image",
        )
    if not np.isfinite(X).all() or (X < 0).any():
        raise OptionError("cannot factorize", expected="finite features ≥ 0", got="negative, NaN or infinite features")
