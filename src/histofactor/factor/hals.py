"""Coordinate descent on Gram products: the inner step of non-negative matrix factorization.

The inner loops run over a tile of rows, so that one instruction moves many rows, and over four components at once, so
that each partial sum is stored once for four products.
"""

from __future__ import annotations

import numba
import numpy as np

_TILE = 128  # rows worked side by side


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _sweep_tile(v, b, g, s, sweeps):
    """Sweep the tile v (padded k, rows): v_j ← max(v_j + b_j − Σₘ g_jm·v_m, 0), for b and g divided by G_jj.

    Two components read v at once; the second then makes up for what the first has changed.
    """
    padded, rows = v.shape
    zero = v.dtype.type(0)
    for _ in range(sweeps):
        for j in range(0, padded, 2):
            for c in range(rows):
                s[0, c] = v[j, c] + b[j, c]
                s[1, c] = v[j + 1, c] + b[j + 1, c]
            for m in range(0, padded, 4):
                g0, g1, g2, g3 = g[j, m], g[j, m + 1], g[j, m + 2], g[j, m + 3]
                h0, h1, h2, h3 = g[j + 1, m], g[j + 1, m + 1], g[j + 1, m + 2], g[j + 1, m + 3]
                for c in range(rows):
                    v0, v1, v2, v3 = v[m, c], v[m + 1, c], v[m + 2, c], v[m + 3, c]
                    s[0, c] = s[0, c] - g0 * v0 - g1 * v1 - g2 * v2 - g3 * v3
                    s[1, c] = s[1, c] - h0 * v0 - h1 * v1 - h2 * v2 - h3 * v3
            h = g[j + 1, j]
            for c in range(rows):
                first = max(s[0, c], zero)
                v[j + 1, c] = max(s[1, c] - h * (first - v[j, c]), zero)
                v[j, c] = first


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep_rows(W, B, G, sweeps):
    """Improve W (n, k) ≥ 0 in place on ½ tr(W G Wᵀ) − tr(Wᵀ B), one coordinate at a time.

    This is hierarchical alternating least squares (Cichocki and Phan, IEICE Trans. Fundamentals E92-A, 2009), written
    on the Gram matrix G (k, k) and the responses B (n, k), all of one dtype and C-contiguous. Columns of W whose
    diagonal entry of G is 0 stay as they are.
    """
    n, k = W.shape
    padded = (k + 3) // 4 * 4
    v, b = np.zeros((padded, _TILE), W.dtype), np.zeros((padded, _TILE), W.dtype)
    g, s, inverse = np.zeros((padded, padded), W.dtype), np.empty((2, _TILE), W.dtype), np.zeros(k, W.dtype)
    for j in range(k):
        if G[j, j] > 0:
            inverse[j] = 1 / G[j, j]
        for m in range(k):
            g[j, m] = G[j, m] * inverse[j]
    for start in range(0, n, _TILE):
        rows = min(_TILE, n - start)
        for c in range(rows):
            for j in range(k):
                v[j, c] = W[start + c, j]
                b[j, c] = B[start + c, j] * inverse[j]
        _sweep_tile(v, b, g, s, sweeps)
        for c in range(rows):
            for j in range(k):
                W[start + c, j] = v[j, c]
