"""Nested levels: the clusters of the largest K, put together two by two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def nest(
    centroids: NDArray[np.floating[Any]], counts: NDArray[np.int64], ks: Sequence[int]
) -> dict[int, NDArray[np.intp]]:
    """Merge clusters by Ward's rule (JASA 58, 1963): always the two that raise the inertia least.

    Merging clusters of n and m rows raises the inertia by n m / (n + m) ‖c − c'‖²: sizes and centroids tell it.

    Args:
        centroids: (M, d).
        counts: (M,) rows of every cluster, ≥ 1.
        ks: numbers of clusters wanted, each ≤ M.

    Returns:
        For every K the owner (M,), from 0 to K - 1, of every cluster. A cluster of a smaller K is a union of clusters
        of every larger one. Owners are numbered by falling number of rows.
    """
    means, sizes = centroids.astype(np.float64), counts.astype(np.float64)
    owner = np.arange(len(means))
    squares = (means**2).sum(1)
    gaps = squares[:, None] + squares - 2 * means @ means.T
    costs = np.maximum(gaps, 0) * (sizes[:, None] * sizes / (sizes[:, None] + sizes))
    np.fill_diagonal(costs, np.inf)
    found = {}
    for clusters in range(len(means), 0, -1):
        if clusters in ks:
            found[clusters] = _by_size(owner, counts)
        if clusters == 1 or clusters <= min(ks):
            break
        a, b = sorted(np.unravel_index(costs.argmin(), costs.shape))
        means[a] = (sizes[a] * means[a] + sizes[b] * means[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        owner[owner == b] = a
        alive = np.isfinite(costs[a]) | np.isfinite(costs[b])
        alive[[a, b]] = False
        row = np.full(len(means), np.inf)
        row[alive] = ((means[alive] - means[a]) ** 2).sum(1) * (sizes[a] * sizes[alive] / (sizes[a] + sizes[alive]))
        costs[b], costs[:, b] = np.inf, np.inf
        costs[a], costs[:, a] = row, row
    return found


def _by_size(owner: NDArray[np.intp], counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Owners renumbered from 0 by falling number of rows; of equals the one with the first cluster comes first."""
    kept, compact = np.unique(owner, return_inverse=True)
    order = np.argsort(-np.bincount(compact, counts), kind="stable")
    rank = np.empty(len(kept), np.intp)
    rank[order] = np.arange(len(kept))
    return rank[compact]
