"""Descent of ½‖X − W·H‖² over W ≥ 0 and H ≥ 0: alternating least squares with extrapolation and restarts.

A step reads the features once, for both products. Small problems are worked in one compiled loop, large ones in blocks
of rows on all cores.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numba
import numpy as np

from histofactor.base.workers import map_blocks
from histofactor.factor.hals import sweep_rows
from histofactor.records import Float

SWEEPS = 3  # inner sweeps per matrix product: cheap beside the product, and each brings the optimum closer
_SERIAL_FLOP = 2e8  # a pass over the features with less work than this is not worth starting threads
_LOWEST, _FIRST, _HIGHEST = 0.25, 0.8, 0.95  # extrapolation of H
_GROWTH = 1.1  # of the extrapolation, with every step that lowers the objective


class Problem(NamedTuple):
    """Features Z·Vᵀ with Z (N, r) and an orthonormal basis V (C, r), or plain Z where V is empty."""

    Z: Float
    V: Float
    sq_norm: float  # ‖X‖²


def plain(X: Float) -> Problem:
    """The problem of features (N, C) themselves; ‖X‖² is summed in float64 over the rows."""
    return Problem(X, np.zeros((0, 0), np.float32), float(np.einsum("nc,nc->n", X, X).sum(dtype=np.float64)))


def descend(problem: Problem, W: Float, Ht: Float, tol: float, max_iter: int) -> int:
    """Improve W (N, k) and Hᵀ (C, k) in place until the objective stalls.

    H is extrapolated and restarts when the objective rises (Ang and Gillis, Neural Computation 31, 2019). The same on
    any number of cores.

    Args:
        problem: the features.
        W: weights ≥ 0, C-contiguous.
        Ht: components ≥ 0, C-contiguous.
        tol: stop when a step lowers the objective by no more than this share of it.
        max_iter: largest number of steps.

    Returns:
        The number of steps made.
    """
    Z, V, sq_norm = problem
    k = W.shape[1]
    flop = len(Z) * (4 * Z.shape[1] * k + 2 * SWEEPS * k * k)
    if flop < _SERIAL_FLOP:
        return int(_descend_serially(problem, W, Ht, tol, max_iter))
    block = ceil(len(Z) / (4 * ceil(flop / _SERIAL_FLOP)))
    ahead, last, momentum = Ht.copy(), -np.inf, _FIRST
    for step in range(1, max_iter + 1):
        H, G = V.T @ ahead if len(V) else ahead, ahead.T @ ahead
        ZtW, WtW = _update_weights_in_blocks(Z, H, G, W, block)
        explained, momentum = _update_components(Ht, ahead, V @ ZtW if len(V) else ZtW, WtW, last, momentum)
        if 0 <= explained - last <= tol * (sq_norm / 2 - explained):
            return step
        last = explained
    return max_iter


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _descend_serially(problem, W, Ht, tol, max_iter):
    """``descend`` for few features, without threads."""
    Z, V, sq_norm = problem
    ahead, last, momentum = Ht.copy(), -np.inf, _FIRST
    for step in range(1, max_iter + 1):
        H, G = np.dot(V.T, ahead) if len(V) else ahead, np.dot(ahead.T, ahead)
        ZtW, WtW = _update_weights(Z, H, G, W)
        explained, momentum = _update_components(Ht, ahead, np.dot(V, ZtW) if len(V) else ZtW, WtW, last, momentum)
        if 0 <= explained - last <= tol * (sq_norm / 2 - explained):
            return step
        last = explained
    return max_iter


def _update_weights_in_blocks(Z: Float, H: Float, G: Float, W: Float, block: int) -> tuple[Float, Float]:
    """``_update_weights`` on all cores, ``block`` rows at a time."""
    parts = map_blocks(lambda rows: _update_weights(Z[rows], H, G, W[rows]), len(Z), block)
    ZtW, WtW = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    return ZtW, WtW


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _update_weights(Z, H, G, W):
    """Improve W in place given the components (r, k) and their Gram matrix G (k, k); returns (ZᵀW, WᵀW)."""
    sweep_rows(W, np.dot(Z, H), G, SWEEPS)
    return np.dot(Z.T, W), np.dot(W.T, W)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _update_components(Ht, ahead, XtW, WtW, last, momentum):
    """Improve Hᵀ, from its extrapolation ``ahead``, which then becomes that of the new Hᵀ.

    Returns (explained, momentum of the next step), where ½‖X‖² − explained is the objective and ``last`` is what was
    explained before.
    """
    sweep_rows(ahead, XtW, WtW, SWEEPS)
    explained = _inner(XtW, ahead) - _inner(WtW, np.dot(ahead.T, ahead)) / 2
    rises = explained < last
    beta, zero = Ht.dtype.type(0 if rises else momentum), Ht.dtype.type(0)
    for c in range(Ht.shape[0]):
        for j in range(Ht.shape[1]):
            new = ahead[c, j]
            ahead[c, j] = max(new + beta * (new - Ht[c, j]), zero)
            Ht[c, j] = new
    return explained, max(momentum / 2, _LOWEST) if rises else min(momentum * _GROWTH, _HIGHEST)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _inner(A, B):
    """⟨A, B⟩ in float64."""
    total = 0.0
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            total += np.float64(A[i, j]) * np.float64(B[i, j])
    return total
