"""Factorization of one image or several: X ≈ W·H with W, H ≥ 0.

On an encoder's features this is deep feature factorization (Collins et al., ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.factor.hals import sweep_rows
from histofactor.factor.workers import map_blocks

_SWEEPS = 3  # inner sweeps per matrix product: cheap beside the product, and each brings the optimum closer
_SERIAL_FLOP = 1e8  # a pass over the features with less work than this is not worth starting threads
_SKETCH_ROWS, _SKETCH_ROWS_PER_COMPONENT = 2048, 16
_WIDE, _RANK = 6, 4  # features of at least 6k rows and columns are sketched by 4k components
_ITERATIONS, _OVERSAMPLING = 2, 4  # of the subspace iteration
_MOMENTUM = (0.25, 0.8, 0.95)  # lowest, first and highest extrapolation of H
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
    rises (Ang and Gillis, Neural Computation 31, 2019). Most steps are made on a sketch, every so-manieth row of many
    and the leading singular components of wide features, and the last few on the features themselves. Deterministic
    for a seed, on any number of cores.

    Args:
        X: (N, C) features ≥ 0; or a sequence of images (N_i, C), factorized together (co-segmentation).
        k: number of components, 1 ≤ k ≤ min(N, C), where N counts the rows of all images.
        seed: seed of the start.
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
    """Start and descend on a sketch of the features, then descend on the features themselves; see ``factorize``."""
    stride = max(1, len(A) // max(_SKETCH_ROWS, _SKETCH_ROWS_PER_COMPONENT * k))
    sketch = np.ascontiguousarray(A[::stride])
    wide = _WIDE * k <= min(sketch.shape)
    V = _leading_components(sketch, _RANK * k if wide else k, seed)
    Z = sketch @ V
    W, Ht = _start(Z[:, :k], V[:, :k], 0.3 * np.sqrt(sketch.mean() / k), seed)
    features, steps = _Problem(A, None, _sq_norm(A)), 0
    if wide or stride > 1:
        problem = _Problem(Z if wide else sketch, V if wide else None, _sq_norm(sketch))
        W, Ht, steps = _descend(problem, W, Ht, 2 * tol, max_iter // 2)
    if stride > 1:  # the other rows have no weights yet
        W = np.zeros((len(A), k), np.float32)
        _update_weights(features, W, Ht)
    W, Ht, _ = _descend(features, W, Ht, tol, max_iter - steps)
    norms = np.linalg.norm(Ht, axis=0)
    return W * norms, np.ascontiguousarray((Ht / np.where(norms > 0, norms, 1)).T)


def _sq_norm(A: Float) -> float:
    """‖A‖², its rows summed in float64."""
    return float(np.einsum("nc,nc->n", A, A).sum(dtype=np.float64))


def _descend(problem: _Problem, W: Float, Ht: Float, tol: float, max_iter: int) -> tuple[Float, Float, int]:
    """Alternate until the objective stalls; returns (W, Hᵀ, number of steps)."""
    lowest, momentum, highest = _MOMENTUM
    ahead, last = Ht.copy(), np.inf  # ahead: Hᵀ extrapolated
    for step in range(1, max_iter + 1):
        XtW, WtW = _update_weights(problem, W, ahead)
        previous, Ht = Ht, ahead
        sweep_rows(Ht, XtW, WtW, _SWEEPS)
        explained = 2 * float(np.vdot(XtW, Ht)) - float(np.vdot(WtW, Ht.T @ Ht))
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
    if flop < _SERIAL_FLOP:
        ZtW, WtW = update_block(slice(None))
    else:
        block = ceil(len(Z) / (4 * ceil(flop / _SERIAL_FLOP)))
        products, grams = zip(*map_blocks(update_block, len(Z), block), strict=True)
        ZtW, WtW = np.sum(products, axis=0), np.sum(grams, axis=0)
    return ZtW if V is None else V @ ZtW, WtW


def _leading_components(A: Float, r: int, seed: int) -> Float:
    """The r leading right singular vectors of A (C, r), largest first, by subspace iteration from a random basis.

    See Halko, Martinsson and Tropp, SIAM Review 53, 2011. A start needs no more than their rough directions.
    """
    width = min(r + _OVERSAMPLING, *A.shape)
    Q = np.random.default_rng(seed).standard_normal((A.shape[1], width), np.float32)
    for _ in range(_ITERATIONS):
        Q = np.linalg.qr(A.T @ (A @ Q)).Q
    Z = A @ Q
    _, U = np.linalg.eigh(Z.T @ Z)
    return np.ascontiguousarray(Q @ U[:, : -r - 1 : -1])


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
    parts = np.maximum(Z, 0), np.maximum(V, 0), np.maximum(-Z, 0), np.maximum(-V, 0)
    z, v, minus_z, minus_v = (np.linalg.norm(part, axis=0) for part in parts)
    flip = z * v < minus_z * minus_v
    z, v = np.where(flip, minus_z, z), np.where(flip, minus_v, v)
    positive = (z > 0) & (v > 0)
    balance = np.sqrt(np.where(positive, v, 0) / np.where(positive, z, 1))  # gives both factors the same norm
    W: Float = np.where(flip, parts[2], parts[0]) * balance
    Ht: Float = np.where(flip, parts[3], parts[1]) * np.sqrt(np.where(positive, z, 0) / np.where(positive, v, 1))
    rng = np.random.default_rng(seed)
    for M in (W, Ht):
        np.copyto(M, fill * rng.random(M.shape, np.float32), where=M == 0)
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
