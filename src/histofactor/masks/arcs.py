"""Boundaries between label pieces as arcs that neighbours share, and rings made of them.

The corners of px form a lattice. Edges of it run between px of different pieces; where three or four meet is a
junction, and between two junctions runs an arc. An arc is traced once, thinned once, and used by the pieces on both of
its sides, so they can neither overlap nor part. A ring keeps its piece to the right, as seen on screen.

Directions are 0 east, 1 south, 2 west, 3 north. ``ids`` holds the piece of every px with a frame of one px around,
which is -1: the outside.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

_CORNER, _JUNCTION = 1, 2  # kinds of lattice points by the edges that leave it: bit d for direction d
_KIND = np.array([0, 0, 0, 1, 0, 0, 1, 2, 0, 1, 0, 2, 1, 2, 2, 2], np.uint8)
_DIRECTION = np.array([-1, 0, 1, -1, 2, -1, -1, -1, 3], np.int64)  # of a single edge
_ROW, _COLUMN = np.array([0, 1, 0, -1]), np.array([1, 0, -1, 0])
_SEEN = 16


class Boundaries(NamedTuple):
    """Arcs: arc k has the points from ``start[k]`` to ``start[k + 1] - 1``, both its ends among them.

    Half-arc 2k runs along arc k, half-arc 2k + 1 runs back.

    Attributes:
        points: (n, 2) int32 (row, column) on the lattice.
        start: (arcs + 1,) first point of every arc, and n.
        piece: of every half-arc the piece to its right; -1 is the outside, 0 what has no label.
        following: of every half-arc the one that goes on around that piece.
        ends: of every half-arc the number of the junction it leads to; -1 where an arc closes without one.
    """

    points: NDArray[np.int32]
    start: NDArray[np.int64]
    piece: NDArray[np.int32]
    following: NDArray[np.int64]
    ends: NDArray[np.int64]


@numba.njit(cache=True, nogil=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True, nogil=True)
def number_pieces(labels, min_area):
    """Number the 4-connected pieces of equal labels ≥ 1 from 1 on, in the order of their first px.

    Pieces of fewer than ``min_area`` px count as px without a label, which are number 0.

    Returns (ids with their frame (height + 2, width + 2), label of every piece, area of every piece in px); entry 0 of
    label and area says nothing.
    """
    h, w = labels.shape
    ids = np.full((h + 2, w + 2), -1, np.int32)
    parent, area, label_of = (
        np.zeros(h * w + 1, np.int32),
        np.zeros(h * w + 1, np.int32),
        np.zeros(h * w + 1, labels.dtype),
    )
    count = 1
    for r in range(h):
        for c in range(w):
            label = labels[r, c]
            above = ids[r, c + 1] if r > 0 and labels[r - 1, c] == label else 0
            before = ids[r + 1, c] if c > 0 and labels[r, c - 1] == label else 0
            i = max(above, before)
            if above and before and above != before:
                a, b = _root(parent, above), _root(parent, before)
                i = min(a, b)
                parent[max(a, b)] = i
            elif i == 0 and label > 0:
                i = count
                parent[i], label_of[i] = i, label
                count += 1
            ids[r + 1, c + 1] = i
            area[i] += 1
    for i in range(count - 1, 0, -1):  # what hangs on a root comes after it
        if parent[i] != i:
            area[parent[i]] += area[i]
    pieces = 1
    for i in range(1, count):
        if parent[i] != i:
            parent[i] = parent[parent[i]]
        elif area[i] < min_area:
            parent[i] = 0
        else:
            area[pieces], label_of[pieces] = area[i], label_of[i]
            parent[i] = pieces
            pieces += 1
    for r in range(1, h + 1):
        for c in range(1, w + 1):
            ids[r, c] = parent[ids[r, c]]
    return ids, label_of[:pieces].copy(), area[:pieces].copy()


@numba.njit(cache=True, nogil=True)
def piece_sums(ids, values, pieces):
    """Sum of the values (height, width) of every piece, float64."""
    total = np.zeros(pieces)
    for r in range(values.shape[0]):
        for c in range(values.shape[1]):
            total[ids[r + 1, c + 1]] += values[r, c]
    return total


@numba.njit(cache=True, nogil=True)
def _edges(ids):
    """Edges that leave every lattice point, as bits; its junctions in reading order; its number of corners."""
    h, w = ids.shape[0] - 1, ids.shape[1] - 1
    lattice = np.empty((h, w), np.uint8)
    junctions, corners = 0, 0
    for r in range(h):
        for c in range(w):
            nw, ne, sw, se = ids[r, c], ids[r, c + 1], ids[r + 1, c], ids[r + 1, c + 1]
            edges = (ne != se) | (sw != se) << 1 | (nw != sw) << 2 | (nw != ne) << 3
            lattice[r, c] = edges
            corners += _KIND[edges] == _CORNER
            junctions += _KIND[edges] == _JUNCTION
    at = np.empty(junctions, np.int64)
    found = 0
    for r in range(h):
        for c in range(w):
            if _KIND[lattice[r, c]] == _JUNCTION:
                at[found] = r * w + c
                found += 1
    return lattice, at, corners


@numba.njit(cache=True, nogil=True)
def _around(ids, r, c, quarter):
    """Piece of the px to the left of the edge that leaves a lattice point in a direction, modulo 4."""
    quarter %= 4
    return ids[r + (0 < quarter < 3), c + (quarter < 2)]


@numba.njit(cache=True, nogil=True)
def _walk(lattice, r, c, d, points, n):
    """Follow the boundary from a lattice point to a junction or back, writing its points; returns how it arrives."""
    r0, c0 = r, c
    points[n, 0], points[n, 1] = r, c
    while True:
        r, c = r + _ROW[d], c + _COLUMN[d]
        edges = lattice[r, c] & 15
        kind = _KIND[edges]
        lattice[r, c] |= _SEEN
        if kind:
            n += 1
            points[n, 0], points[n, 1] = r, c
            if kind == _JUNCTION or (r == r0 and c == c0):
                return r, c, d, n + 1
            d = _DIRECTION[edges & ~(1 << (d + 2) % 4)]


@numba.njit(cache=True, nogil=True)
def _next_direction(ids, r, c, d):
    """Where the ring of the piece on the right goes on at a junction that it reaches in direction d.

    Where the piece touches itself across the junction the ring keeps to the side it follows, so that no ring
    touches itself: enclosed sides become holes of their own.
    """
    piece = _around(ids, r, c, d + 2)
    if _around(ids, r, c, d) == piece:
        return (d + 3) % 4
    return d if _around(ids, r, c, d + 1) == piece else (d + 1) % 4


@numba.njit(cache=True, nogil=True)
def trace(ids):
    """Trace all boundaries of numbered pieces."""
    lattice, at, corners = _edges(ids)
    w = lattice.shape[1]
    leaving = np.full((at.shape[0], 4), -1, np.int64)
    bound = 2 * at.shape[0] + corners // 4 + 1
    points = np.empty((corners + 2 * bound, 2), np.int32)
    start = np.zeros(bound + 1, np.int64)
    piece, ends, arrival = np.empty(2 * bound, np.int32), np.empty(2 * bound, np.int64), np.empty(2 * bound, np.int8)
    k, n = 0, 0
    for j in range(at.shape[0]):
        r, c = at[j] // w, at[j] % w
        for d in range(4):
            if lattice[r, c] & 1 << d and leaving[j, d] < 0:
                r1, c1, d1, n = _walk(lattice, r, c, d, points, n)
                j1 = np.searchsorted(at, r1 * w + c1)
                leaving[j, d], leaving[j1, (d1 + 2) % 4] = 2 * k, 2 * k + 1
                piece[2 * k], piece[2 * k + 1] = _around(ids, r, c, d + 1), _around(ids, r, c, d)
                ends[2 * k], ends[2 * k + 1] = j1, j
                arrival[2 * k], arrival[2 * k + 1] = d1, (d + 2) % 4
                k += 1
                start[k] = n
    joined = k
    for r in range(lattice.shape[0]):
        for c in range(w):
            if lattice[r, c] == 3:  # the upper left corner of a boundary that no arc has come by
                _, _, _, n = _walk(lattice, r, c, 0, points, n)
                piece[2 * k], piece[2 * k + 1] = ids[r + 1, c + 1], ids[r, c]
                ends[2 * k], ends[2 * k + 1] = -1, -1
                k += 1
                start[k] = n
    following = np.arange(2 * k)
    for half in range(2 * joined):
        j = ends[half]
        following[half] = leaving[j, _next_direction(ids, at[j] // w, at[j] % w, arrival[half])]
    return Boundaries(points[:n], start[: k + 1], piece[: 2 * k], following, ends[: 2 * k])


@numba.njit(cache=True, nogil=True)
def assemble(points, start, piece, following):
    """Join arcs to the closed rings of all pieces.

    Returns (corners (n, 2) as (row, column), first corner of every ring and the end, piece of every ring).
    """
    used = np.zeros(piece.shape[0], np.bool_)
    corners = np.empty((2 * points.shape[0] + piece.shape[0], 2), np.int32)
    first = np.zeros(piece.shape[0] + 1, np.int64)
    owner = np.empty(piece.shape[0], np.int32)
    n, rings = 0, 0
    for begin in range(piece.shape[0]):
        if used[begin] or piece[begin] < 1:
            continue
        half = begin
        while not used[half]:
            used[half] = True
            a, b = start[half // 2], start[half // 2 + 1]
            for i in range(b - a - 1):
                p = a + i if half % 2 == 0 else b - 1 - i
                corners[n, 0], corners[n, 1] = points[p, 0], points[p, 1]
                n += 1
            half = following[half]
        corners[n, 0], corners[n, 1] = corners[first[rings], 0], corners[first[rings], 1]
        n += 1
        owner[rings] = piece[begin]
        rings += 1
        first[rings] = n
    return corners[:n], first[: rings + 1], owner[:rings]
