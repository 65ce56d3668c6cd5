"""Labels to polygons in level-0 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from histofactor.base.workers import map_ahead
from histofactor.masks.arcs import assemble, number_pieces, piece_sums, trace
from histofactor.masks.thin import thin
from histofactor.masks.tiles import Tile, read_tile, tissue_tiles
from histofactor.records import LabelMap, Raster

_Places = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Piece:
    """One connected piece of one phenotype.

    Attributes:
        label: its label, ≥ 1.
        area_px: its exact area in px of the label map, before simplification.
        mean_margin: exact mean of the margins of its px; None where no margins were given.
        tissue_piece: number of the piece of tissue that it belongs to, from 1 on.
        polygon: its outline with holes as inner rings; valid, in whole level-0 px.
    """

    label: int
    area_px: int
    mean_margin: float | None
    tissue_piece: int
    polygon: Polygon


@dataclass(frozen=True, slots=True)
class Outlining:
    """How labels become polygons.

    Attributes:
        tolerance_px: corners that span a triangle of at most this squared, in px of the label map, are cut
            (Visvalingam & Whyatt, 1993); the default straightens the stairs of pixels. 0 keeps every corner.
        min_area_px: smaller pieces, and smaller parts of cut ones, are left out; the default, 64 px, is smaller than
            a nucleus at 0.5 µm/px.
        tile_px: pieces of tissue that are wider or higher are cut into tiles, and their phenotypes with them;
            a multiple of ``cell_px``. It bounds memory: at the default about 0.3 GB for each of two threads.
        cell_px: tissue further apart than twice this counts as separate pieces of tissue, which are simplified
            without regard for each other; keep it well above 2 · tolerance_px², by which an outline may move.
    """

    tolerance_px: float = 1.0
    min_area_px: int = 64
    tile_px: int = 4096
    cell_px: int = 64


def polygons(
    label_map: LabelMap,
    l0_per_px: tuple[float, float],
    *,
    tolerance_px: float = 1.0,
    min_area_px: int = 64,
) -> list[Piece]:
    """Return the pieces of ``stream_polygons`` as a list.

    Args:
        label_map: labels (height, width); label 0 gets no polygon.
        l0_per_px: (x, y) level-0 px per px of the label map.
        tolerance_px, min_area_px: as in ``Outlining``.

    Returns:
        The pieces.
    """
    return list(stream_polygons(label_map, l0_per_px, options=Outlining(tolerance_px, min_area_px)))


def stream_polygons(
    label_map: LabelMap,
    l0_per_px: tuple[float, float],
    *,
    margin: Raster | None = None,
    options: Outlining = Outlining(),
) -> Iterator[Piece]:
    """Yield the 4-connected pieces of every phenotype as polygons, tile by tile; equal maps give equal pieces.

    A boundary between two pieces is simplified once for both, in level-0 px: with ``l0_per_px`` ≥ 1 neighbours neither
    overlap nor part, and every polygon is valid. Borders of tiles are kept as they are, so the parts of a cut piece
    fit; each part counts as a piece. Without simplification and with ``l0_per_px`` ≥ 1 nothing is lost: px column c
    covers the level-0 columns from ⌊x + c · l0_per_px + ½⌋ on, and rows likewise. With the default tolerance every px
    that changes its label lies within 2 px of a boundary.

    With ``l0_per_px`` < 1 outlines are simplified in px and then rounded, which may let neighbours overlap by a
    level-0 px, and may cut a piece in two: they appear as two with the area of the whole.

    Args:
        label_map: labels (height, width); label 0 gets no polygon.
        l0_per_px: (x, y) level-0 px per px of the label map.
        margin: (height, width), for the mean margins.
        options: tolerance, least area, tiles.

    Yields:
        The pieces, tile by tile in a fixed order.
    """
    tiles = tissue_tiles(label_map.labels, options.tile_px, options.cell_px)
    for pieces in map_ahead(partial(_tile_pieces, label_map, l0_per_px, margin, options), tiles):
        yield from pieces


def _tile_pieces(
    label_map: LabelMap, l0_per_px: tuple[float, float], margin: Raster | None, options: Outlining, tile: Tile
) -> list[Piece]:
    ids, labels, areas = number_pieces(read_tile(label_map.labels, tile), options.min_area_px)
    count = len(labels) - 1  # without the px that are in no piece
    means = np.full(count, None)
    if margin is not None:
        sums = piece_sums(ids, np.array(margin[tile.rows, tile.columns]), len(labels))
        means[:] = (sums[1:] / areas[1:]).tolist()
    x, y = (
        origin + np.arange(span.start, span.stop + 1) * per_px
        for origin, per_px, span in zip(label_map.origin, l0_per_px, (tile.columns, tile.rows), strict=True)
    )
    if min(l0_per_px) >= 1:
        x, y = np.floor(x + 0.5), np.floor(y + 0.5)
        shapes, owners = _outlines(ids, (x, y), (x, y), options.tolerance_px), np.arange(count)
    else:
        shapes = _outlines(ids, (x, y), (np.arange(len(x)), np.arange(len(y))), options.tolerance_px)
        shapes, owners = shapely.get_parts(shapely.set_precision(shapes, 1.0), return_index=True)
        shapes, owners = shapes[shapely.area(shapes) > 0], owners[shapely.area(shapes) > 0]
    measured = labels[1:][owners].tolist(), areas[1:][owners].tolist(), means[owners].tolist()
    return [
        Piece(label, area, mean, tile.tissue_piece, shape)
        for label, area, mean, shape in zip(*measured, shapes.tolist(), strict=True)
    ]


def _outlines(ids: NDArray[np.int32], places: _Places, exact: _Places, tolerance_px: float) -> NDArray[np.object_]:
    """Polygons of the pieces in the order of their numbers, at (x, y) places; thinned to be valid at ``exact``."""
    boundaries = trace(ids)
    if tolerance_px > 0:
        x, y = (np.asarray(side, np.int64) for side in exact)
        boundaries = thin(boundaries, int(2 * tolerance_px**2 + 1e-9), y, x)
    corners, first, owner = assemble(*boundaries[:4])
    points = np.column_stack([places[0][corners[:, 1]], places[1][corners[:, 0]]])
    rings = shapely.linearrings(points, indices=np.repeat(np.arange(len(owner)), np.diff(first)))
    order = np.lexsort([~shapely.is_ccw(rings), owner])  # the outer ring of a piece first, then its holes
    polygons: NDArray[np.object_] = shapely.polygons(rings[order], indices=owner[order] - 1)
    return polygons
