"""Regions as GeoJSON for QuPath."""

from __future__ import annotations

import gzip
import io
import json
import os
from typing import Any

import numpy as np
import shapely
from skimage import measure

from histofactor.export.files import atomic, stable_uuid
from histofactor.masks.polygons import Piece, polygons
from histofactor.records import Segmentation


def write_geojson(
    segmentation: Segmentation,
    path: str | os.PathLike[str],
    *,
    tolerance_px: float = 1.0,
    min_area_px: int = 64,
) -> None:
    """Write ``regions.geojson.gz``: a FeatureCollection of level-0 polygons that QuPath ≥ 0.6 opens.

    Every connected piece is one locked annotation, since annotations are what QuPath edits, exports and
    detects cells within. It holds its phenotype as classification, and as measurements ``area_px`` (of the
    label map), ``area_um2`` where the µm/px is known, and ``mean_margin``: all of the labels before
    simplification. Equal segmentations of files of one name give equal bytes.

    Args:
        segmentation: the labels, margins and level-0 frame.
        path: the file to write.
        tolerance_px: as in ``polygons``; 0 keeps every corner.
        min_area_px: as in ``polygons``; smaller pieces are left out.

    Raises:
        OutputError: the file cannot be written.
    """
    pieces = polygons(
        segmentation.label_map, segmentation.l0_per_px, tolerance_px=tolerance_px, min_area_px=min_area_px
    )
    margins = _piece_margins(segmentation, pieces)
    with atomic(path) as temporary, temporary.open("wb") as raw:
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text:
            text.write('{"type":"FeatureCollection","features":[')
            for index, (piece, margin) in enumerate(zip(pieces, margins, strict=True)):
                text.write(",\n" if index else "\n")
                json.dump(_feature(segmentation, piece, margin), text, ensure_ascii=False, separators=(",", ":"))
            text.write("\n]}\n")


def _piece_margins(segmentation: Segmentation, pieces: list[Piece]) -> list[float]:
    """Return the mean margin of every piece."""
    numbered = measure.label(segmentation.label_map.labels[:], background=0, connectivity=1)  # type: ignore[no-untyped-call]
    sums = np.bincount(numbered.ravel(), weights=segmentation.margin[:].ravel())
    rows, cols = np.array([piece.pixel for piece in pieces], dtype=np.intp).reshape(-1, 2).T
    means: list[float] = (sums[numbered[rows, cols]] / [piece.area_px for piece in pieces]).tolist()
    return means


def _feature(segmentation: Segmentation, piece: Piece, mean_margin: float) -> dict[str, Any]:
    label_map, slide = segmentation.label_map, segmentation.slide
    name = slide.path.name if slide.path is not None else ""
    measurements: dict[str, float] = {"area_px": piece.area_px, "mean_margin": round(mean_margin, 6)}
    if label_map.mpp is not None:
        measurements["area_um2"] = round(piece.area_px * label_map.mpp**2, 3)
    return {
        "type": "Feature",
        "id": str(stable_uuid("region", name, piece.label, piece.polygon.wkb_hex)),
        "geometry": {"type": "Polygon", "coordinates": _rings(piece)},
        "properties": {
            "objectType": "annotation",
            "classification": {
                "name": label_map.names[piece.label - 1],
                "color": list(label_map.colors[piece.label - 1]),
            },
            "isLocked": True,
            "measurements": measurements,
        },
    }


def _rings(piece: Piece) -> list[Any]:
    rings = (piece.polygon.exterior, *piece.polygon.interiors)
    return [shapely.get_coordinates(ring).astype(int).tolist() for ring in rings]
