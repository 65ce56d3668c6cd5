"""Pieces of a label map that are too small, merged into what surrounds them; the map is read in bands and never held.

A piece is a set of px of one label that are connected by their sides. The smallest piece below the limit goes first,
of equal ones that of the lower label: it takes the label with which it shares the longest border (of equal ones the
lower), and so becomes one with all its neighbours of that label, until none below the limit is left. Label 0 is no
neighbour: a piece that borders on nothing else stays. Pieces of one size and label never touch, and what they take
does not depend on how pieces of other labels hang together: the order among them is of no account, so that a map
that is turned, mirrored or cut into other bands is merged alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import ResolutionError
from histofactor.records import Raster

_ROWS = 512  # of a band
_CACHED = 4  # bands kept

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Merging:
    """What merging small pieces did to a map.

    Attributes:
        labels: the merged map.
        share: of the px of label 1 and above that have another label now, in [0, 1].
        before, after: how many labels above 0 the map had, and has.
    """

    labels: Raster
    share: float
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces of a whole map; those of bands are numbered from top to bottom, and several may be one.

    Attributes:
        first: number of the first piece of every band, and one past the last of all.
        whole: (n,) for every piece of a band the number of the piece of the map that it is part of.
        label: (m,) of every piece of the map.
        area: (m,) px.
        pairs: (p, 2) pieces of the map that share a border, both of a label above 0, the lower number first.
        border: (p,) sides of px that they share.
    """

    first: Indices
    whole: Indices
    label: NDArray[np.int64]
    area: Indices
    pairs: Indices
    border: Indices


def least_px(min_area_um2: float | None, mpp: float | None) -> float | None:
    """The px of an area, None for None.

    Args:
        min_area_um2: the area in µm².
        mpp: µm/px of the label map, or None.

    Raises:
        ResolutionError: there is an area, and no µm/px.
    """
    if min_area_um2 is None:
        return None
    if mpp is None:
        raise ResolutionError(
            f"pieces below {min_area_um2:g} µm² cannot be told",
            expected="µm/px in the header of the input",
            got="none",
            mend="state it with --source-mpp, or leave --min-area out",
        )
    return min_area_um2 / mpp**2


def merge_small(labels: Raster, min_px: float | None, rows: int = _ROWS) -> Raster:
    """A label map without pieces of fewer px than ``min_px``, but for those that border on label 0 alone.

    Args:
        labels: (height, width); it must stay readable, unless it is an array.
        min_px: px that a piece has at least; None merges nothing.
        rows: px rows that are worked at a time, which changes nothing but the memory needed.

    Returns:
        The merged map, (height, width): an array for an array, else one that is computed as it is read.
    """
    return labels if min_px is None else merging(labels, min_px, rows).labels


def merging(labels: Raster, min_px: float, rows: int = _ROWS) -> Merging:
    """As ``merge_small``, with what it did to the map."""
    pieces = _find(labels, rows)
    new = _merged_labels(pieces, min_px)
    merged = _Merged(labels, rows, pieces.first, new[pieces.whole].astype(labels.dtype))
    counted = pieces.label > 0
    changed, of_all = pieces.area[new != pieces.label].sum(), pieces.area[counted].sum()
    return Merging(
        merged[:] if isinstance(labels, np.ndarray) else merged,
        float(changed / of_all) if of_all else 0.0,
        len(np.unique(pieces.label[counted])),
        len(np.unique(new[counted])),
    )


def piece_areas(labels: Raster) -> Indices:
    """Px of every piece of the labels from 1 on, label by label."""
    pieces = _find(labels, _ROWS)
    order = np.argsort(pieces.label, kind="stable")
    areas: Indices = pieces.area[order][pieces.label[order] > 0]
    return areas


class _Merged:
    """A label map of which every piece has its new label; see ``records.Raster``."""

    def __init__(self, labels: Raster, rows: int, first: Indices, new: NDArray[Any]) -> None:
        self._labels, self._rows, self._first, self._new = labels, rows, first, new
        self.shape, self.dtype = labels.shape, labels.dtype
        self._band = lru_cache(_CACHED)(self._read)

    def __getitem__(self, index: Any, /) -> Any:
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        top, bottom, step = rows.indices(self.shape[0])
        if bottom <= top:
            return self._labels[index]
        bands = range(top // self._rows, -(-bottom // self._rows))
        start = bands[0] * self._rows
        found = np.concatenate([self._band(band)[:, columns] for band in bands])
        return found[top - start : bottom - start : step]

    def _read(self, band: int) -> NDArray[Any]:
        parts = _components(self._labels[band * self._rows : (band + 1) * self._rows])
        found: NDArray[Any] = self._new[self._first[band] + parts]
        return found


def _find(labels: Raster, rows: int) -> _Pieces:
    """The pieces of a map and their common borders, by one pass over it."""
    owners, label, area, pairs, above = [0], list[NDArray[Any]](), list[Indices](), list[Indices](), None
    joined = list[Indices]()
    for start in range(0, labels.shape[0], rows):
        band = labels[start : start + rows]
        parts = _components(band) + owners[-1]
        n, places = np.unique(parts, return_index=True)
        label.append(band.reshape(-1)[places])
        area.append(np.bincount(parts.reshape(-1) - owners[-1], minlength=len(n)))
        pairs += [_meeting(parts, band, 0), _meeting(parts, band, 1)]
        if above is not None:
            seam = np.stack([above[0], parts[0]]), np.stack([above[1], band[0]])
            pairs.append(_meeting(*seam, 0))
            same = seam[1][0] == seam[1][1]
            joined.append(np.unique(seam[0][:, same], axis=1).T)
        above = parts[-1], band[-1]
        owners.append(owners[-1] + len(n))
    whole = _united(owners[-1], joined)
    of_first = np.zeros(whole.max() + 1, np.int64)
    of_first[whole] = np.concatenate(label)
    areas = np.bincount(whole, np.concatenate(area)).astype(np.int64)
    met, border = _counted([np.column_stack([whole[part[:, :2]], part[:, 2]]) for part in pairs])
    return _Pieces(np.array(owners), whole, of_first, areas, met, border)


def _components(band: NDArray[Any]) -> Indices:
    """The piece of every px of a band, from 0 on in reading order.

    Px of one label that follow each other in a row are a run; runs of one label that touch are joined once, where the
    later of the two begins.
    """
    begins = np.ones(band.shape, bool)
    begins[:, 1:] = band[:, 1:] != band[:, :-1]
    runs = begins.cumsum(dtype=np.int64).reshape(band.shape) - 1
    touch = (band[1:] == band[:-1]) & (begins[1:] | begins[:-1])
    joined = np.column_stack([runs[:-1][touch], runs[1:][touch]])
    parts: Indices = _united(int(runs[-1, -1]) + 1, [joined])[runs]
    return parts


def _meeting(parts: Indices, labels: NDArray[Any], axis: int) -> Indices:
    """Pieces that meet along an axis, both of labels above 0, and over how many sides: (p, 3)."""
    one, other = (slice(None, -1), slice(1, None)) if axis == 0 else ((slice(None), slice(None, -1)), np.s_[:, 1:])
    a, b = labels[one], labels[other]
    differ = (a != b) & (a > 0) & (b > 0)
    met, border = _counted([np.column_stack([parts[one][differ], parts[other][differ], np.ones(differ.sum(), int)])])
    return np.column_stack([met, border])


def _counted(parts: list[Indices]) -> tuple[Indices, Indices]:
    """Unordered pairs (p, 2), each once, and the sum (p,) of what is counted of each in rows (n, 3)."""
    rows = np.concatenate(parts)
    low, high = rows[:, :2].min(1), rows[:, :2].max(1)
    order = np.lexsort([high, low])
    low, high, counts = low[order], high[order], rows[order, 2]
    new = np.flatnonzero(np.diff(low, prepend=-1) | np.diff(high, prepend=-1))
    sums = np.add.reduceat(counts, new) if len(new) else counts
    return np.column_stack([low[new], high[new]]), sums


def _united(n: int, joined: list[Indices]) -> Indices:
    """For each of n pieces of bands, the piece of the map: those that are joined are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate(joined) if joined else np.zeros((0, 2), np.int64)
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), (n, n))
    found: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def _merged_labels(pieces: _Pieces, min_px: float) -> NDArray[np.int64]:
    """The new label (m,) of every piece of a map."""
    label, area = pieces.label.copy(), pieces.area.copy()
    small = (area < min_px) & (label > 0)
    neighbours = _neighbours(pieces, small)
    parent = np.arange(len(label))
    heap = [(int(area[one]), int(label[one]), int(one)) for one in np.flatnonzero(small)]
    heapify(heap)

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = int(parent[one])
        return one

    while heap:
        px, _, one = heappop(heap)
        if parent[one] != one or area[one] != px:  # it became part of another, or grew
            continue
        shared: dict[int, int] = {}  # label → border
        around: dict[int, int] = {}  # piece → border
        for other, border in neighbours.pop(one).items():
            at = root(other)
            around[at] = around.get(at, 0) + border
            shared[int(label[at])] = shared.get(int(label[at]), 0) + border
        if not shared:
            continue
        label[one] = min(shared, key=lambda value: (-shared[value], value))
        joined = [at for at in around if label[at] == label[one]]
        grown = int(area[one] + sum(area[at] for at in joined))
        for at in joined:
            parent[at] = one
        area[one] = grown
        if grown < min_px:
            mine = {at: border for at, border in around.items() if at not in joined}
            for at in joined:
                for other, border in neighbours.pop(at).items():
                    if (there := root(other)) != one:
                        mine[there] = mine.get(there, 0) + border
            neighbours[one] = mine
            heappush(heap, (grown, int(label[one]), one))
    return np.array([label[root(one)] for one in range(len(label))], np.int64)


def _neighbours(pieces: _Pieces, small: NDArray[np.bool_]) -> dict[int, dict[int, int]]:
    """For every small piece its neighbours, and the border with each."""
    found: dict[int, dict[int, int]] = {int(one): {} for one in np.flatnonzero(small)}
    for low, high, border in _rows(pieces, small):
        if low in found:
            found[low][high] = border
        if high in found:
            found[high][low] = border
    return found


def _rows(pieces: _Pieces, small: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    kept = small[pieces.pairs].any(1)
    yield from zip(*pieces.pairs[kept].T.tolist(), pieces.border[kept].tolist(), strict=True)
