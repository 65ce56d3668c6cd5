"""K-means on a sample that fits in memory: seeds, growing batches, exact passes.

The objective is the inertia Σ min_k ‖x − c_k‖². Seeds come from k-means++ (Arthur & Vassilvitskii, SODA 2007) on a
small prefix of the sample. Batches then grow by doubling prefixes, each holding the one before (nested mini-batches:
Newling & Fleuret, NIPS 2016), so that the last passes see every row and little work was spent on rows before it
mattered. The rows of a sample come in random order, so every prefix is a sample too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.records import Float

_BLOCK, _BLOCKS = 4096, 32  # rows per task, at least; tasks, at most
_SEED_ROWS = 16  # rows for every centroid that seeds are drawn from
_TRIALS = 4  # candidates at every draw of a seed
_BATCH_PASSES = 3  # passes over a prefix before it doubles, at most
_SETTLED = 1e-3  # a pass that lowers the inertia by a smaller share than this ends a prefix

Indices = NDArray[np.int32]
_Part = tuple[Indices, NDArray[np.int64], NDArray[np.float64], Float]  # labels, counts, sums, squared distances


@dataclass(frozen=True, slots=True)
class KMeansOptions:
    """How k-means is run.

    Attributes:
        seed: of the draws.
        seeds: so many starts, of which the one of least inertia on the first batch goes on.
        passes: exact passes over the whole sample, at most.
        spherical: rows and centroids have unit length, so nearness is by cosine (Dhillon & Modha, 2001).
    """

    seed: int = 0
    seeds: int = 3
    passes: int = 2
    spherical: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """One exact pass over rows.

    Attributes:
        labels: (N,) nearest centroid of every row.
        counts: (K,) rows of every cluster.
        sums: (K, d) float64, their sums.
        gaps: (N,) ‖x − c‖² of every row.
        inertia: their sum.
    """

    labels: Indices
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    gaps: Float
    inertia: float


def assign(X: Float, *centroids: Float) -> list[Assigned]:
    """Find the nearest centroid of every row, and what the next centroids need, for several clusterings in one pass.

    Nearest is argmax x·c − ½‖c‖²: one matrix product for all, and no (N, K) array is ever held.

    Args:
        X: (N, d) rows.
        centroids: (K, d) of every clustering.
    """
    aims = np.ascontiguousarray(np.concatenate(centroids).T)
    halves = [(0.5 * (one.astype(np.float64) ** 2).sum(1)).astype(np.float32) for one in centroids]
    ends = np.cumsum([0, *map(len, centroids)])

    def assign_block(rows: slice) -> list[_Part]:
        part = X[rows]
        scores, norms = part @ aims, np.einsum("nd,nd->n", part, part)
        return [
            _nearest(part, norms, scores[:, a:b], half) for (a, b), half in zip(pairwise(ends), halves, strict=True)
        ]

    parts = map_blocks(assign_block, len(X), max(_BLOCK, -(-len(X) // _BLOCKS)))
    return [_joined([part[i] for part in parts]) for i in range(len(centroids))]


def _joined(parts: list[_Part]) -> Assigned:
    """The blocks of one clustering put together, in their order."""
    labels, gaps = (np.concatenate([part[i] for part in parts]) for i in (0, 3))
    counts, sums = parts[0][1].copy(), parts[0][2].copy()
    for _, more, further, _ in parts[1:]:
        counts += more
        sums += further
    return Assigned(labels, counts, sums, gaps, float(gaps.sum(dtype=np.float64)))


def kmeans(X: Float, k: int, options: KMeansOptions | None = None) -> Float:
    """Cluster rows that come in random order.

    Args:
        X: (N, d) float32, N ≥ K; of unit length where the clustering is spherical.
        k: number of clusters.
        options: seeds and passes.

    Returns:
        (K, d) float32 centroids, each nearest to at least one row if there are K distinct rows.
    """
    options = options or KMeansOptions()
    first = X[: max(_SEED_ROWS * k, _BLOCK)]

    def begun(starts: slice) -> tuple[float, Float]:
        seeds = draw_seeds(first, k, np.random.default_rng([options.seed, k, starts.start]))
        return lloyd(first, [seeds], _BATCH_PASSES, options.spherical)[0]

    centroids = min(map_blocks(begun, options.seeds, 1), key=lambda found: found[0])[1]
    rows = 2 * len(first)
    while rows <= len(X) // 2:
        ((_, centroids),) = lloyd(X[:rows], [centroids], _BATCH_PASSES, options.spherical)
        rows *= 2
    ((_, centroids),) = lloyd(X, [centroids], options.passes, options.spherical)
    return centroids


def lloyd(X: Float, starts: Sequence[Float], passes: int, spherical: bool = False) -> list[tuple[float, Float]]:
    """Pass over the rows until the inertia settles (Lloyd, 1982); a cluster that lost its rows moves to a far row.

    Args:
        X: (N, d) rows.
        starts: (K, d) centroids to start from, of several clusterings that are passed over together.
        passes: at most so many.
        spherical: whether centroids have unit length.

    Returns:
        For every clustering the inertia of its last pass, and its centroids (K, d) after it.
    """
    before, centroids = [np.inf] * len(starts), list(starts)
    for _ in range(passes):
        found = assign(X, *centroids)
        centroids = [_moved(X, one, spherical) for one in found]
        settled = [one.inertia > (1 - _SETTLED) * last for one, last in zip(found, before, strict=True)]
        before = [one.inertia for one in found]
        if all(settled) and all(one.counts.all() for one in found):
            break
    return list(zip(before, centroids, strict=True))


def _moved(X: Float, found: Assigned, spherical: bool) -> Float:
    """The centroids after a pass."""
    empty = np.flatnonzero(found.counts == 0)
    centroids = (found.sums / np.maximum(found.counts, 1)[:, None]).astype(np.float32)
    if len(empty):
        centroids[empty] = X[np.argsort(-found.gaps, kind="stable")[: len(empty)]]
    return unit_rows(centroids) if spherical else centroids


def draw_seeds(X: Float, k: int, rng: np.random.Generator) -> Float:
    """Draw K rows, each with a chance that grows with the squared distance to those drawn before (k-means++, greedy).

    Args:
        X: (N, d) rows, N ≥ K.
        k: number of rows to draw.
        rng: source of chance.

    Returns:
        (K, d).
    """
    norms = np.einsum("nd,nd->n", X, X)
    seeds = np.empty((k, X.shape[1]), np.float32)
    gaps = np.full(len(X), np.inf, np.float32)
    for index in range(k):
        chances = np.cumsum(gaps, dtype=np.float64) if index else np.arange(1.0, len(X) + 1)
        drawn = np.searchsorted(chances, rng.random(_TRIALS) * chances[-1], side="right")
        rivals = X[np.minimum(drawn, len(X) - 1)]
        closer = rivals @ X.T
        closer *= -2
        closer += norms
        closer += np.einsum("td,td->t", rivals, rivals)[:, None]
        np.clip(closer, 0, gaps, out=closer)
        chosen = closer.sum(1, dtype=np.float64).argmin()
        seeds[index], gaps = rivals[chosen], closer[chosen]
    return seeds


def unit_rows(X: Float) -> Float:
    """Rows (N, d) scaled to unit length; zero rows stay."""
    norms = np.sqrt(np.einsum("nd,nd->n", X, X, dtype=np.float64))[:, None]
    units: Float = np.divide(X, norms, out=np.zeros_like(X), where=norms > 0, casting="same_kind")
    return units


@numba.njit(cache=True, nogil=True)
def _nearest(X: Float, norms: Float, S: Float, half: Float) -> Any:
    """Labels, counts, sums and squared distances of the rows X (n, d) with responses S (n, K)."""
    (n, d), k = X.shape, len(half)
    labels, gaps = np.empty(n, np.int32), np.empty(n, np.float32)
    counts, sums = np.zeros(k, np.int64), np.zeros((k, d), np.float64)
    for i in range(n):
        best, label = S[i, 0] - half[0], 0
        for j in range(1, k):
            score = S[i, j] - half[j]
            if score > best:
                best, label = score, j
        for c in range(d):
            sums[label, c] += X[i, c]
        labels[i], counts[label] = label, counts[label] + 1
        gaps[i] = max(norms[i] - 2 * best, np.float32(0))
    return labels, counts, sums, gaps
