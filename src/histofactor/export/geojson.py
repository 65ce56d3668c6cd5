"""Regions as GeoJSON for QuPath."""

from __future__ import annotations

import gzip
import io
import json
import os
from typing import Any, Protocol

import shapely
from shapely.geometry import LinearRing

from histofactor.base.files import atomic, stable_uuid
from histofactor.base.text import markup_text
from histofactor.export.overlay import Placed
from histofactor.export.tables import hex_color
from histofactor.masks.polygons import Outlining, Piece, stream_polygons
from histofactor.records import Color, Raster

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SOURCE = "histofactor"


class Outlined(Placed, Protocol):
    """What has regions: a ``Segmentation``, or as much of one."""

    @property
    def margin(self) -> Raster | None:
        """Margins of its px, or None where there are none."""


def write_geojson(
    segmentation: Outlined,
    path: str | os.PathLike[str],
    *,
    tolerance_px: float = 1.0,
    min_area_px: int = 64,
    source: str = SOURCE,
) -> None:
    """Write ``regions.geojson.gz``: a FeatureCollection of level-0 polygons that QuPath ≥ 0.6 opens.

    Every connected piece is one locked annotation, since annotations are what QuPath edits, exports and
    detects cells within. It holds its phenotype as classification, and as measurements its ``label``, for two may
    have one name, ``area_px`` (of the label map), ``area_um2`` where the µm/px is known, and ``mean_margin``: all of
    the labels before simplification; and the number of its ``tissue_piece``. As metadata it tells its ``source``, by
    which a second import finds what the first one brought, its ``color``, for classes that are there keep theirs, and
    of an artefact ``excluded``, which is ``yes``; the class of an artefact begins with ``Artefact: ``.
    Pieces are traced tile by tile and written at once, so that neither the labels nor the polygons of a whole slide are
    ever held. Equal segmentations of files of one name give equal bytes, ids among them. Names are written as
    ``class_name`` says.

    Args:
        segmentation: the labels, margins and level-0 frame.
        path: the file to write.
        tolerance_px, min_area_px: as in ``Outlining``; a tolerance of 0 keeps every corner.
        source: what the regions tell as their ``source``.

    Raises:
        OutputError: the file cannot be written.
    """
    label_map, margin = segmentation.label_map, segmentation.margin
    pieces = stream_polygons(
        label_map, segmentation.l0_per_px, margin=margin, options=Outlining(tolerance_px, min_area_px)
    )
    with atomic(path) as temporary, temporary.open("wb") as raw:
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=raw, mtime=0)
        with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text:
            text.write('{"type":"FeatureCollection","features":[')
            for index, piece in enumerate(pieces):
                text.write((",\n" if index else "\n") + _feature(segmentation, piece, source))
            text.write("\n]}\n")


def _feature(segmentation: Outlined, piece: Piece, source: str) -> str:
    label_map, path = segmentation.label_map, segmentation.slide.path
    rings = "],[".join(map(_coordinates, (piece.polygon.exterior, *piece.polygon.interiors)))
    geometry = f'{{"type":"Polygon","coordinates":[[{rings}]]}}'
    measurements: dict[str, float] = {"label": piece.label, "area_px": piece.area_px}
    if piece.mean_margin is not None:
        measurements["mean_margin"] = round(piece.mean_margin, 6)
    if label_map.mpp is not None:
        measurements["area_um2"] = round(piece.area_px * label_map.mpp**2, 3)
    measurements["tissue_piece"] = piece.tissue_piece
    name, color = label_map.names[piece.label - 1], label_map.colors[piece.label - 1]
    told = told_of(piece.label, name, color, excluded=piece.label in label_map.excluded, source=source)
    properties = {
        "objectType": "annotation",
        "classification": told["classification"],
        "isLocked": True,
        "measurements": measurements,
        "metadata": told["metadata"],
    }
    id_ = stable_uuid(
        "region" if source == SOURCE else source, path.name if path is not None else "", piece.label, geometry
    )
    return f'{{"type":"Feature","id":"{id_}","geometry":{geometry},"properties":{_json(properties)}}}'


def told_of(label: int, name: str, color: Color, *, excluded: bool, source: str = SOURCE) -> dict[str, dict[str, Any]]:
    """The properties of a region that tell its phenotype: ``classification`` and ``metadata``."""
    called = class_name(name, label)
    metadata = {"source": source, "color": hex_color(color)} | ({"excluded": "yes"} if excluded else {})
    classification = {"name": f"Artefact: {called}" if excluded else called, "color": list(color)}
    return {"classification": classification, "metadata": metadata}


def class_name(name: str, label: int) -> str:
    """A name as a class of QuPath may have: on one line, without characters that readers of JSON refuse.

    A colon parts a class from those derived of it (``tumour: positive``), none of which may be empty.

    Args:
        name: of the phenotype.
        label: what it is called by where nothing is left of the name.
    """
    parts = (" ".join(part.split()) for part in markup_text(name).split(":"))
    return ": ".join(filter(None, parts)) or f"label {label}"


def _coordinates(ring: LinearRing) -> str:
    points = shapely.get_coordinates(ring)
    return ",".join(["[%d,%d]"] * len(points)) % tuple(points.ravel().tolist())
