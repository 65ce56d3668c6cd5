"""The exact solver: non-negative least squares on Gram products, one active set per row.

For one row the problem is min_{w ≥ 0} ½ wᵀGw − bᵀw with G = H·Hᵀ and b = H·x. The active-set method of
Lawson and Hanson (Solving Least Squares Problems, 1974, ch. 23), in the Gram form of Bro and de Jong (J. Chemometrics
11, 1997), walks from the empty set: it frees the concept with the steepest descent, solves on the free set, and
steps back to the boundary where a weight would turn negative. The Cholesky factor of the free Gram block grows by
one row per step. All arithmetic inside is float64; rows are independent, so a row does not depend on its batch.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_DEPENDENT = 1e-12  # squared distance to the span of the free atoms, relative to the atom, that counts as inside
_FAST = {"reassoc", "contract", "nsz", "nnan"}  # lets sums and maxima use vector registers, in an order that is fixed


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _extend(G, free, L, y, b, count):
    """Extend the Cholesky factor L of G[free, free] and y = L⁻¹ b[free] by position ``count``.

    The diagonal of L holds reciprocals. Returns whether the new concept lies outside the span of the others.
    """
    row, atom = L[count], G[free[count]]
    left = atom[free[count]]
    y_new = b[free[count]]
    for m in range(count):
        s = atom[free[m]]
        for n in range(m):
            s -= L[m, n] * row[n]
        row[m] = s * L[m, m]
        left -= row[m] * row[m]
        y_new -= row[m] * y[m]
    if left <= _DEPENDENT * atom[free[count]]:
        return False
    row[count] = 1.0 / np.sqrt(left)
    y[count] = y_new * row[count]
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _solve_free(L, y, z, count):
    """Back substitution z = L⁻ᵀ y; returns the smallest entry of z."""
    for i in range(count):
        z[i] = y[i]
    smallest = np.inf
    for i in range(count - 1, -1, -1):
        zi = z[i] * L[i, i]
        z[i] = zi
        smallest = min(smallest, zi)
        for m in range(i):
            z[m] -= zi * L[i, m]
    return smallest


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _retreat(w, z, free, is_free, count):
    """Step from w towards z until a weight reaches zero and fix those; returns (first fixed position, count)."""
    step = 1.0
    for i in range(count):
        if z[i] <= 0.0:
            step = min(step, w[i] / (w[i] - z[i]))
    first = count
    kept = 0
    for i in range(count):
        moved = w[i] + step * (z[i] - w[i])
        if z[i] <= 0.0 and (w[i] <= 0.0 or w[i] / (w[i] - z[i]) <= step):
            is_free[free[i]] = False
            first = min(first, kept)
        else:
            free[kept] = free[i]
            w[kept] = max(moved, 0.0)
            kept += 1
    return first, kept


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _gradient(g, G, w, b, free, count):
    """Negative gradient g = b − G·w, four free concepts at a time."""
    K = b.shape[0]
    for k in range(K):
        g[k] = b[k]
    i = 0
    while i + 4 <= count:
        g0, g1, g2, g3 = G[free[i]], G[free[i + 1]], G[free[i + 2]], G[free[i + 3]]
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        for k in range(K):
            g[k] -= w0 * g0[k] + w1 * g1[k] + w2 * g2[k] + w3 * g3[k]
        i += 4
    while i < count:
        g0, w0 = G[free[i]], w[i]
        for k in range(K):
            g[k] -= w0 * g0[k]
        i += 1


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _steepest(g, free, barred, n_barred, count):
    """The fixed concept that promises most, and its slope; overwrites g where a concept is free or barred."""
    for i in range(count):
        g[free[i]] = -np.inf
    for i in range(n_barred):
        g[barred[i]] = -np.inf
    slope = -np.inf
    for k in range(g.shape[0]):
        slope = max(slope, g[k])
    for k in range(g.shape[0]):
        if g[k] == slope:
            return k, slope
    return -1, slope


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve_row(b, G, tol, limit, work, index, is_free):
    """Solve one row; weights of the free concepts end in work[0, :count]; returns (count, converged).

    With ``limit`` free concepts it stops there: non-negative orthogonal matching pursuit.
    """
    K = b.shape[0]
    w, z, y, g, L = work[0], work[1], work[2], work[3], work[4:]
    free, barred = index[0], index[1]
    n_barred = 0
    is_free[:] = False
    scale = 0.0
    for k in range(K):
        scale = max(scale, abs(b[k]))
    count = 0
    for _ in range(30 * K + 30):
        if count == limit:
            return count, True
        _gradient(g, G, w, b, free, count)
        j, slope = _steepest(g, free, barred, n_barred, count)
        while slope > tol * scale:
            free[count] = j
            w[count] = 0.0
            smallest = 0.0
            if _extend(G, free, L, y, b, count):
                smallest = _solve_free(L, y, z, count + 1)
                if z[count] > 0.0:
                    break
            barred[n_barred] = j  # inside the span of the free concepts, or descent by rounding only
            n_barred += 1
            j, slope = _steepest(g, free, barred, n_barred, count)
        else:
            return count, True
        is_free[j] = True
        count += 1
        while smallest <= 0.0:
            first, count = _retreat(w, z, free, is_free, count)
            for position in range(first, count):
                _extend(G, free, L, y, b, position)
            smallest = _solve_free(L, y, z, count)
        for i in range(count):
            w[i] = z[i]
        n_barred = 0
    return count, False


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve_rows(B, G, tol, limit, W):
    """Fill W (n, K) row by row; returns the number of rows that did not converge."""
    n, K = B.shape
    work = np.empty((K + 4, K))
    index = np.empty((2, K), np.int64)
    is_free = np.empty(K, np.bool_)
    b = np.empty(K)
    failed = 0
    for row in range(n):
        for k in range(K):
            b[k] = B[row, k]
            W[row, k] = 0.0
        count, converged = _solve_row(b, G, tol, limit, work, index, is_free)
        for i in range(count):
            W[row, index[0, i]] = work[0, i]
        if not converged:
            failed += 1
    return failed


def solve_rows(B: Floats, G: NDArray[np.float64], tol: float, limit: int = -1) -> Floats:
    """Solve the rows of one block, B (n, K), in the calling thread; see ``nnls.solve_gram``.

    Args:
        B: (n, K) responses.
        G: (K, K) Gram matrix, float64.
        tol: as for ``solve_gram``.
        limit: most non-zero weights of a row; -1 for no limit.
    """
    if not np.isfinite(B).all():
        raise ArithmeticError("the responses are not finite: the features hold NaN, infinity or values that overflow")
    W = np.empty(B.shape, B.dtype)
    failed = _solve_rows(np.ascontiguousarray(B), G, tol, limit, W)
    if failed:
        raise ArithmeticError(f"{failed} of {len(B)} rows did not converge; is the Gram matrix symmetric?")
    return W
