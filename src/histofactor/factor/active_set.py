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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _factor_rows(G, free, L, y, b, start, count):
    """Rebuild rows start..count of the Cholesky factor L of G[free, free], and y = L⁻¹ b[free]."""
    for i in range(start, count):
        gi = free[i]
        yi = b[gi]
        for j in range(i):
            s = G[gi, free[j]]
            for m in range(j):
                s -= L[i, m] * L[j, m]
            s /= L[j, j]
            L[i, j] = s
            yi -= s * y[j]
        d = G[gi, gi]
        for m in range(i):
            d -= L[i, m] * L[i, m]
        if d <= _DEPENDENT * G[gi, gi]:
            return False
        L[i, i] = np.sqrt(d)
        y[i] = yi / L[i, i]
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve_free(L, y, z, count):
    """Back substitution z = L⁻ᵀ y; returns the smallest entry of z."""
    smallest = np.inf
    for i in range(count - 1, -1, -1):
        s = y[i]
        for m in range(i + 1, count):
            s -= L[m, i] * z[m]
        z[i] = s / L[i, i]
        smallest = min(smallest, z[i])
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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _steepest(g, G, w, b, free, is_free, barred, count):
    """Negative gradient g = b − G·w, and the fixed concept that promises most; returns (index, its gradient)."""
    K = b.shape[0]
    for k in range(K):
        g[k] = b[k]
    for i in range(count):
        wi = w[i]
        row = G[free[i]]
        for k in range(K):
            g[k] -= wi * row[k]
    best = -1
    slope = -np.inf
    for k in range(K):
        if g[k] > slope and not is_free[k] and not barred[k]:
            slope = g[k]
            best = k
    return best, slope


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve_row(b, G, tol, work, index, flags):
    """Solve one row; weights of the free concepts end in work[0, :count]; returns (count, converged)."""
    K = b.shape[0]
    w, z, y, g, L = work[0], work[1], work[2], work[3], work[4:]
    free, is_free, barred = index, flags[0], flags[1]
    is_free[:] = False
    barred[:] = False
    scale = 0.0
    for k in range(K):
        scale = max(scale, abs(b[k]))
    count = 0
    for _ in range(30 * K + 30):
        j, slope = _steepest(g, G, w, b, free, is_free, barred, count)
        if j < 0 or slope <= tol * scale:
            return count, True
        free[count] = j
        w[count] = 0.0
        if not _factor_rows(G, free, L, y, b, count, count + 1):
            barred[j] = True  # inside the span of the free concepts
            continue
        smallest = _solve_free(L, y, z, count + 1)
        if z[count] <= 0.0:
            barred[j] = True  # only rounding made it look like descent
            continue
        is_free[j] = True
        count += 1
        while smallest <= 0.0:
            first, count = _retreat(w, z, free, is_free, count)
            _factor_rows(G, free, L, y, b, first, count)
            smallest = _solve_free(L, y, z, count)
        for i in range(count):
            w[i] = z[i]
        barred[:] = False
    return count, False


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve_rows(B, G, tol, W):
    """Fill W (n, K) row by row; returns the number of rows that did not converge."""
    n, K = B.shape
    work = np.empty((K + 4, K))
    index = np.empty(K, np.int64)
    flags = np.empty((2, K), np.bool_)
    b = np.empty(K)
    failed = 0
    for row in range(n):
        for k in range(K):
            b[k] = B[row, k]
            W[row, k] = 0.0
        count, converged = _solve_row(b, G, tol, work, index, flags)
        for i in range(count):
            W[row, index[i]] = work[0, i]
        if not converged:
            failed += 1
    return failed


def solve_rows(B: Floats, G: NDArray[np.float64], tol: float) -> Floats:
    """Solve the rows of one block, B (n, K), in the calling thread; see ``nnls.solve_gram``."""
    if not np.isfinite(B).all():
        raise ArithmeticError("the responses are not finite: the features hold NaN, infinity or values that overflow")
    W = np.empty(B.shape, B.dtype)
    failed = _solve_rows(np.ascontiguousarray(B), G, tol, W)
    if failed:
        raise ArithmeticError(f"{failed} of {len(B)} rows did not converge; is the Gram matrix symmetric?")
    return W
