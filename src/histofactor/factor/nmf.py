"""Factorization of one image or several: X ≈ W·H with W, H ≥ 0.

On an encoder's features this is deep feature factorization (Collins et al., ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from histofactor.errors import OptionError
from histofactor.factor.hals import sweep_rows
from histofactor.factor.workers import map_blocks

_SWEEPS = 3  # inner sweeps per matrix product: cheap beside the product, and each brings the optimum closer
_SERIAL_FLOP = 1e8  # a pass over the features with less work than this is not worth starting threads
_GRAM_BLOCK = 4096
_MOMENTUM = (0.25, 0.5, 0.95)  # lowest, first and highest extrapolation of H
_GROWTH = 1.1  # of the extrapolation, with every step that lowers the objective

Floats = NDArray[np.floating[Any]]
Float = NDArray[np.float32]


@overload
def factorize(X: Floats, k: int, *, seed: int = 0, tol: float = 5e-5, max_iter: int = 500) -> tuple[Float, Float]: ...
@overload
def factorize(
    X: Sequence[Floats], k: int, *, seed: int = 0, tol: float = 5e-5, max_iter: int = 500
) -> tuple[list[Float], Float]: ...


def factorize(
    X: Floats | Sequence[Floats], k: int, *, seed: int = 0, tol: float = 5e-5, max_iter: int = 500
) -> tuple[Float | list[Float], Float]:
    """Minimise ½‖X − W·H‖² over W ≥ 0 and H ≥ 0, for one image or for several that share H.

    Alternates hierarchical least squares on W and H, both on Gram products, from a non-negative singular value
    start (Boutsidis and Gallopoulos, Pattern Recognition 41, 2008); H is extrapolated and restarts when the objective
    rises (Ang and Gillis, Neural Computation 31, 2019). Wide features are first replaced by their 2k leading singular
    components, and the result is refined on the features themselves. Deterministic for a seed, on any number of cores.

    Args:
        X: (N, C) features ≥ 0; or a sequence of images (N_i, C), factorized together (co-segmentation).
        k: number of components, 1 ≤ k ≤ min(N, C), where N counts the rows of all images.
        seed: seed of the small values that fill the zeros of the start.
        tol: stop when a step lowers the objective by no more than this share of it.
        max_iter: largest number of alternations.

    Returns:
        (W (N, k), H (k, C)), float32, the rows of H of unit length. For a sequence, W is a list of (N_i, k).

    Raises:
        OptionError: k does not fit X, images differ in C, or X is negative or not finite.
    """
    images = [X] if isinstance(X, np.ndarray) else list(X)
    _check(images, k)
    A = np.ascontiguousarray(images[0] if len(images) == 1 else np.concatenate(images), np.float32)
    # One slice: what happens between the blocks runs on single-threaded BLAS too, the same on any number of cores.
    ((W, H),) = map_blocks(lambda _: _fit(A, k, seed, tol, max_iter), 1, 1)
    if isinstance(X, np.ndarray):
        return W, H
    return np.split(W, np.cumsum([len(image) for image in images])[:-1]), H


class _Problem(NamedTuple):
    """Features Z·Vᵀ with Z (N, r) and an orthonormal basis V (C, r), or plain Z where V is None."""

    Z: Float
    V: Float | None
    sq_norm: float  # ‖X‖²


def _fit(A: Float, k: int, seed: int, tol: float, max_iter: int) -> tuple[Float, Float]:
    """Start, descend on the leading components where that pays, then on the features; see ``factorize``."""
    wide = 8 * k <= min(A.shape)
    V, sq_norm = _leading_components(A, 2 * k if wide else k)
    Z = A @ V
    W, Ht = _start(Z[:, :k], V[:, :k], 0.3 * np.sqrt(A.mean() / k), seed)
    steps = 0
    if wide:
        W, Ht, steps = _descend(_Problem(Z, V, sq_norm), W, Ht, tol, max_iter // 2)
    W, Ht, _ = _descend(_Problem(A, None, sq_norm), W, Ht, tol, max_iter - steps)
    norms = np.linalg.norm(Ht, axis=0)
    return W * norms, np.ascontiguousarray((Ht / np.where(norms > 0, norms, 1)).T)


def _descend(problem: _Problem, W: Float, Ht: Float, tol: float, max_iter: int) -> tuple[Float, Float, int]:
    """Alternate until the objective stalls; returns (W, Hᵀ, number of steps)."""
    lowest, momentum, highest = _MOMENTUM
    ahead, last = Ht.copy(), np.inf  # ahead: Hᵀ extrapolated
    for step in range(1, max_iter + 1):
        XtW, WtW = _update_weights(problem, W, ahead)
        previous, Ht = Ht, ahead
        sweep_rows(Ht, XtW, WtW, _SWEEPS)
        explained = 2 * np.vdot(XtW, Ht).astype(np.float64) - np.vdot(WtW, Ht.T @ Ht)
        objective = (problem.sq_norm - explained) / 2
        if objective <= last and last - objective <= tol * objective:
            return W, Ht, step
        if objective > last:
            ahead, momentum = Ht.copy(), max(momentum / 2, lowest)
        else:
            ahead, momentum = np.maximum(Ht + momentum * (Ht - previous), 0), min(momentum * _GROWTH, highest)
        last = objective
    return W, Ht, max_iter


def _update_weights(problem: _Problem, W: Float, Ht: Float) -> tuple[Float, Float]:
    """Improve W in place, reading the features once; returns (XᵀW (C, k), WᵀW (k, k))."""
    Z, V, _ = problem
    (r, k), G = (Z.shape[1], W.shape[1]), Ht.T @ Ht
    Hz = Ht if V is None else V.T @ Ht

    def update_block(rows: slice) -> tuple[Float, Float]:
        X, U = Z[rows], W[rows]
        sweep_rows(U, X @ Hz, G, _SWEEPS)
        return X.T @ U, U.T @ U

    flop = len(Z) * (4 * r * k + 2 * _SWEEPS * k * k)
    blocks = 1 if flop < _SERIAL_FLOP else 4 * ceil(flop / _SERIAL_FLOP)
    products, grams = zip(*map_blocks(update_block, len(Z), ceil(len(Z) / blocks)), strict=True)
    ZtW = np.sum(products, axis=0)
    return ZtW if V is None else V @ ZtW, np.sum(grams, axis=0)


def _leading_components(A: Float, r: int) -> tuple[Float, float]:
    """The r leading right singular vectors of A (C, r), largest first, and ‖A‖²."""
    tall = A if A.shape[1] <= len(A) else A.T
    S = np.sum(map_blocks(lambda rows: tall[rows].T @ tall[rows], len(tall), _GRAM_BLOCK), axis=0)
    values, V = eigh(S, subset_by_index=(len(S) - r, len(S) - 1), check_finite=False)
    values, V = values[::-1], V[:, ::-1]
    if tall is not A:
        V = (A.T @ V) / np.sqrt(np.where(values > 0, values, np.inf))
    return np.ascontiguousarray(V), float(np.trace(S, dtype=np.float64))


def _start(Z: Float, V: Float, fill: float, seed: int) -> tuple[Float, Float]:
    """Non-negative double SVD; zeros become random values up to ``fill`` so that descent can free them.

    Args:
        Z: (N, k) responses to the leading right singular vectors, X·V.
        V: (C, k) leading right singular vectors of X.
        fill: largest value for the zeros.
        seed: seed of these values.

    Returns:
        (W (N, k), Hᵀ (C, k)), float32.
    """
    (N, k), C = Z.shape, len(V)
    W, Ht = np.zeros((N, k), np.float32), np.zeros((C, k), np.float32)
    for j in range(k):
        sides = [(np.maximum(s * Z[:, j], 0), np.maximum(s * V[:, j], 0)) for s in (1, -1)]
        u, v = max(sides, key=lambda side: float(np.linalg.norm(side[0]) * np.linalg.norm(side[1])))
        nu, nv = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        if nu > 0 and nv > 0:
            scale = np.sqrt(nu * nv)
            W[:, j], Ht[:, j] = u / nu * scale, v / nv * scale
    rng = np.random.default_rng(seed)
    for M in (W, Ht):
        zeros = M == 0
        M[zeros] = fill * rng.random(np.count_nonzero(zeros), np.float32)
    return W, Ht


def _check(images: list[Floats], k: int) -> None:
    """Raise OptionError unless the images are valid feature matrices with room for k components."""
    shapes = [image.shape for image in images]
    if not images or any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
        raise OptionError("cannot factorize", expected="features X (N, C), all of the same C", got=f"X {shapes}")
    size = sum(shape[0] for shape in shapes), shapes[0][1]
    if not 1 <= k <= min(size):
        raise OptionError(
            "cannot factorize",
            expected="X (N, C) with 1 ≤ k ≤ min(N, C)",
            got=f"X {size}, k = {k}",
            mend="ask for fewer components, or give a larger image",
        )
    if any(not np.isfinite(image).all() or (image < 0).any() for image in images):
        raise OptionError("cannot factorize", expected="finite features ≥ 0", got="negative, NaN or infinite features")
