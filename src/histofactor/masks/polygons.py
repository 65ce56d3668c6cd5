"""Labels to polygons in level-0 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, shape

from histofactor.records import LabelMap


@dataclass(frozen=True, slots=True)
class Piece:
    """One connected piece of one phenotype.

    Attributes:
        label: its label, ≥ 1.
        area_px: its exact area in px of the label map, before simplification.
        pixel: (row, column) of its first px in the label map: the leftmost one of its uppermost row.
        polygon: its outline with holes as inner rings; valid, in whole level-0 px.
    """

    label: int
    area_px: int
    pixel: tuple[int, int]
    polygon: Polygon


def polygons(
    label_map: LabelMap,
    l0_per_px: tuple[float, float],
    *,
    tolerance_px: float = 1.0,
    min_area_px: int = 64,
) -> list[Piece]:
    """Return the 4-connected pieces of every phenotype as polygons; equal maps give equal lists.

    Boundaries between two pieces are simplified once for both, so neighbours neither overlap nor part by more
    than the rounding to whole pixels. Without simplification and with ``l0_per_px`` ≥ 1 nothing is lost: px
    column c covers the level-0 columns from ⌊x + c · l0_per_px + ½⌋ on, and rows likewise.

    Args:
        label_map: labels (height, width); label 0 gets no polygon.
        l0_per_px: (x, y) level-0 px per px of the label map.
        tolerance_px: corners that span a triangle of less than this squared, in px of the label map, are cut
            (Visvalingam & Whyatt, 1993); the default straightens the stairs of pixels. 0 keeps every corner.
        min_area_px: smaller pieces are left out; the default, 64 px, is smaller than a nucleus at 0.5 µm/px.

    Returns:
        The pieces. One that rounding to level-0 px cuts in two appears as two with the area of the whole.
    """
    labels, outlines = _trace(label_map.labels[:], min_area_px)
    areas, pixels = np.rint(shapely.area(outlines)).astype(int).tolist(), [_first_pixel(o) for o in outlines]
    if tolerance_px > 0:
        edge_matched = shapely.transform(shapely.segmentize(outlines, 1.0), np.rint)
        outlines = shapely.coverage_simplify(edge_matched, tolerance_px)
    scale, origin = np.array(l0_per_px), np.array(label_map.origin)
    placed = shapely.set_precision(shapely.transform(outlines, lambda xy: xy * scale + origin), 1.0)
    parts, owners = shapely.get_parts(placed, return_index=True)
    return [
        Piece(labels[owner], areas[owner], pixels[owner], part)
        for part, owner in zip(parts, owners, strict=True)
        if part.geom_type == "Polygon" and not part.is_empty
    ]


def _trace(labels: NDArray[np.unsignedinteger[Any]], min_area_px: int) -> tuple[list[int], NDArray[np.object_]]:
    """Return label and exact outline, in px, of every piece that is large enough."""
    traced = rasterio.features.shapes(labels, mask=labels > 0, connectivity=4)
    outlines = [(int(label), shapely.make_valid(shape(ring), method="structure")) for ring, label in traced]
    kept = [(label, outline) for label, outline in outlines if outline.area >= min_area_px]
    return [label for label, _ in kept], np.array([outline for _, outline in kept], dtype=object)


def _first_pixel(outline: Polygon) -> tuple[int, int]:
    x, y = shapely.get_coordinates(outline).T
    return int(y.min()), int(x[y == y.min()].min())
