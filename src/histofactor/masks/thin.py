"""Straighter arcs of the same topology: Visvalingam–Whyatt simplification of shared boundaries."""

from __future__ import annotations

from heapq import heappop, heappush

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.masks.arcs import Boundaries


@numba.njit(cache=True, nogil=True)
def _twice_area(p, q, s):
    """Twice the signed area of a triangle of three (row, column), in px²."""
    return (np.int64(q[0]) - p[0]) * (np.int64(s[1]) - p[1]) - (np.int64(q[1]) - p[1]) * (np.int64(s[0]) - p[0])


@numba.njit(cache=True, nogil=True)
def _side(y, x, p, q, r, c):
    """On which side of the line through p and q a lattice point lies, in placed coordinates."""
    return (y[q[0]] - y[p[0]]) * (x[c] - x[p[1]]) - (x[q[1]] - x[p[1]]) * (y[r] - y[p[0]])


@numba.njit(cache=True, nogil=True)
def _span(y, x, triangle, r):
    """Leftmost and rightmost x where row r cuts a triangle."""
    low, high = np.inf, -np.inf
    for i in range(3):
        p, q = triangle[i], triangle[(i + 1) % 3]
        y0, y1, x0, x1 = y[p[0]], y[q[0]], x[p[1]], x[q[1]]
        if min(y0, y1) <= y[r] <= max(y0, y1):
            cut = x1 if y0 == y1 else x0 + (x1 - x0) * (y[r] - y0) / (y1 - y0)
            low, high = min(low, cut), max(high, cut)
    return low, high


@numba.njit(cache=True, nogil=True)
def _is_free(vertex, y, x, p, v, q):
    """Whether no vertex but its corners lies in the triangle or on its rim, so that pq may replace pv and vq."""
    if _side(y, x, p, q, v[0], v[1]) == 0:  # v lies on pq
        return True
    per_column = (x[-1] - x[0]) / (len(x) - 1)
    left, right = min(p[1], v[1], q[1]), max(p[1], v[1], q[1])
    for r in range(min(p[0], v[0], q[0]), max(p[0], v[0], q[0]) + 1):
        low, high = _span(y, x, (p, v, q), r)
        first = max(left, int((low - x[0]) / per_column) - 2)  # placed columns are less than 2 off an even spacing
        last = min(right, int((high - x[0]) / per_column) + 3)
        for c in range(first, last + 1):
            is_corner = (r == p[0] and c == p[1]) or (r == v[0] and c == v[1]) or (r == q[0] and c == q[1])
            if vertex[r, c] and not is_corner:
                a, b, d = _side(y, x, p, v, r, c), _side(y, x, v, q, r, c), _side(y, x, q, p, r, c)
                if (a >= 0 and b >= 0 and d >= 0) or (a <= 0 and b <= 0 and d <= 0):
                    return False
    return True


@numba.njit(cache=True, nogil=True)
def _thin_arc(arc, is_ring, fewest, limit, vertex, y, x, links):
    """Mark the points of an arc that go by a step of -1 to the next, in ``links`` = (before, after, area) (3, n)."""
    n = arc.shape[0] - is_ring  # of a ring the last point is the first
    before, after, area = links
    for i in range(n):
        before[i], after[i] = i - 1, i + 1
    if is_ring:
        before[0], after[n - 1] = n - 1, 0
    inner = (0, n) if is_ring else (1, n - 1)
    heap = [np.int64(0) for _ in range(0)]
    for i in range(*inner):
        area[i] = abs(_twice_area(arc[before[i]], arc[i], arc[after[i]]))
        if area[i] <= limit:
            heappush(heap, area[i] << 32 | i)
    while heap and n > fewest:
        key = heappop(heap)
        i = int(key & 0xFFFFFFFF)
        p, q = before[i], after[i]
        if q < 0 or area[i] != key >> 32 or not _is_free(vertex, y, x, arc[p], arc[i], arc[q]):
            continue
        vertex[arc[i, 0], arc[i, 1]] = False
        after[i] = -1
        after[p], before[q] = q, p
        n -= 1
        for j in (p, q):
            if inner[0] <= j < inner[1]:
                area[j] = abs(_twice_area(arc[before[j]], arc[j], arc[after[j]]))
                if area[j] <= limit:
                    heappush(heap, area[j] << 32 | j)


@numba.njit(cache=True, nogil=True)
def _thin_all(points, start, piece, free, fewest, limit, y, x):
    vertex = np.zeros((y.shape[0], x.shape[0]), np.bool_)
    for i in range(points.shape[0]):
        vertex[points[i, 0], points[i, 1]] = True
    links = np.empty((3, (start[1:] - start[:-1]).max()), np.int64)
    new_points, new_start = np.empty_like(points), np.zeros_like(start)
    n = 0
    for k in range(start.shape[0] - 1):
        arc = points[start[k] : start[k + 1]]
        is_inside = piece[2 * k] >= 0 and piece[2 * k + 1] >= 0
        if is_inside:
            _thin_arc(arc, free[k], fewest[k], limit, vertex, y, x, links)
        for i in range(arc.shape[0] - free[k]):
            if not is_inside or links[1, i] >= 0:
                new_points[n, 0], new_points[n, 1] = arc[i, 0], arc[i, 1]
                n += 1
        if free[k]:
            new_points[n, 0], new_points[n, 1] = new_points[new_start[k], 0], new_points[new_start[k], 1]
            n += 1
        new_start[k + 1] = n
    return new_points[:n], new_start


def thin(boundaries: Boundaries, limit: int, y: NDArray[np.int64], x: NDArray[np.int64]) -> Boundaries:
    """Drop points where three in a row span a triangle of at most ``limit`` / 2 px², the smallest first.

    A point stays if another vertex lies in its triangle at the places ``y`` (rows) and ``x`` (columns) of the lattice,
    so arcs that meet only at junctions there still do (Visvalingam & Whyatt 1993, with a check as in Saalfeld 1999).
    Junctions stay, arcs to the outside are left alone, and no arc falls flat.

    Args:
        boundaries: as traced.
        limit: twice the area, in px².
        y, x: increasing places of the lattice's rows and columns in whole numbers.

    Returns:
        The same arcs with fewer points.
    """
    points, start, piece, _, ends = boundaries
    if len(start) < 2:
        return boundaries
    pairs = np.sort(ends.reshape(-1, 2), axis=1)
    _, group, members = np.unique(pairs @ [ends.max() + 2, 1], return_inverse=True, return_counts=True)
    fewest = np.where(pairs[:, 0] == pairs[:, 1], 4, np.where(members[group] > 1, 3, 2))
    points, start = _thin_all(points, start, piece, pairs[:, 0] < 0, fewest, limit, y, x)
    return boundaries._replace(points=points, start=start)
