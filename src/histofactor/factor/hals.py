"""Coordinate descent on Gram products: the inner step of non-negative matrix factorization."""

from __future__ import annotations

import numba


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep_rows(W, B, G, sweeps):
    """Improve W (n, k) ≥ 0 in place on ½ tr(W G Wᵀ) − tr(Wᵀ B), one coordinate at a time.

    This is hierarchical alternating least squares (Cichocki and Phan, IEICE Trans. Fundamentals E92-A, 2009), written
    on the Gram matrix G (k, k) and the responses B (n, k). Returns the squared norm of the projected gradient at the
    start, summed over rows.
    """
    n, k = W.shape
    violation = 0.0
    for row in range(n):
        w = W[row]
        for sweep in range(sweeps):
            for j in range(k):
                slope = -B[row, j]
                for m in range(k):
                    slope += G[j, m] * w[m]
                if sweep == 0:
                    pull = slope if w[j] > 0.0 else min(slope, 0.0)
                    violation += pull * pull
                if G[j, j] > 0.0:
                    w[j] = max(w[j] - slope / G[j, j], 0.0)
    return violation
