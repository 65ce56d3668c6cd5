"""Regions and pieces of tissue as tables of polygons, and as Parquet files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from histofactor.base.files import atomic
from histofactor.base.names import COHORT
from histofactor.export.mapped import Mapped, check_areas, mapped, need, phenotype_columns
from histofactor.masks.polygons import Outlining, Piece, stream_polygons
from histofactor.records import LabelMap, Raster, Segmentation

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

REGIONS, PHENOTYPES = "regions.parquet", COHORT
_EXACT = Outlining(tolerance_px=0.0, min_area_px=1)


def to_geodataframe(segmentation: Segmentation, *, tolerance_px: float = 0.0, min_area_px: int = 1) -> GeoDataFrame:
    """The regions of a segmentation as a GeoDataFrame, one row for each connected piece of a phenotype.

    Columns are ``label``, ``name``, ``color`` (#rrggbb), ``area_px`` (of the label map), ``area_um2`` where the µm/px
    is known, ``mean_margin``, ``tissue_piece`` and ``geometry``: polygons in level-0 px, x to the right and y down,
    from the corner that regions.geojson.gz counts from. By default every px is there and outlines follow the px, so
    that areas of the polygons are those of the labels.

    Args:
        segmentation: what to outline.
        tolerance_px, min_area_px: as in ``masks.polygons.Outlining``; 1 and 64 give the regions of regions.geojson.gz,
            but for their rounding to whole level-0 px.

    Raises:
        OptionError: geopandas is missing.
    """
    return regions(mapped(segmentation), Outlining(tolerance_px, min_area_px))


def regions(one: Mapped, options: Outlining = _EXACT) -> GeoDataFrame:
    """The regions of one input; see ``to_geodataframe``. Without margins of px there is no ``mean_margin``."""
    need("geopandas")
    from geopandas import GeoDataFrame

    mpp = one.label_map.mpp
    pieces = list(stream_polygons(_in_px(one.label_map), (1.0, 1.0), margin=one.margin, options=options))
    labels = np.array([piece.label for piece in pieces], np.int32)
    areas = np.array([piece.area_px for piece in pieces], np.int64)
    told = phenotype_columns(one)
    name, color = (np.array(["", *told[column]], object)[labels] for column in ("name", "color"))
    columns: dict[str, Any] = {"label": labels, "name": name, "color": color, "area_px": areas}
    if mpp is not None:
        columns["area_um2"] = areas * mpp**2
    if one.margin is not None:
        columns["mean_margin"] = np.array([piece.mean_margin for piece in pieces], np.float32)
    columns["tissue_piece"] = _numbers(pieces)
    return GeoDataFrame(columns, geometry=_in_level0(one, [piece.polygon for piece in pieces]))


def tissues(one: Mapped) -> GeoDataFrame:
    """What has a label ≥ 1, as polygons: ``tissue_id`` from 0 on, ``tissue_piece`` as regions tell it, ``geometry``.

    A piece of tissue is all that lies close together, see ``masks.polygons.Outlining``; each polygon of it is a row.
    """
    need("geopandas")
    from geopandas import GeoDataFrame

    map_ = _in_px(replace(one.label_map, labels=_Labelled(one.label_map.labels)))
    pieces = list(stream_polygons(map_, (1.0, 1.0), options=_EXACT))
    numbers, first = np.unique(_numbers(pieces), return_index=True)  # they come piece of tissue by piece
    parts = np.split(np.array([piece.polygon for piece in pieces], object), first[1:])
    polygons, owner = shapely.get_parts(
        [shapely.union_all(part) for part in parts], return_index=True
    )  # tiles cut them
    columns = {"tissue_id": np.arange(len(polygons)), "tissue_piece": numbers[owner]}
    return GeoDataFrame(columns, geometry=_in_level0(one, polygons))


def write_parquet(one: Mapped, folder: Path) -> None:
    """Write ``regions.parquet``, a GeoParquet file of ``regions``, and ``phenotypes.parquet``.

    Args:
        one: the input.
        folder: where to write them.

    Raises:
        OptionError: geopandas or pyarrow is missing.
        OutputError: a file cannot be written.
    """
    need("geopandas", "pyarrow")
    import pyarrow
    from pyarrow import parquet

    found = regions(one)
    px = found.groupby("label")["area_px"].sum()
    check_areas(one, [int(px.get(row.label, 0)) for row in one.phenotypes])
    with atomic(folder / REGIONS) as temporary:
        found.to_parquet(temporary, index=False)
    text, number = pyarrow.string(), pyarrow.float64()
    kinds = {"label": pyarrow.int32(), "area_px": pyarrow.int64(), "excluded": pyarrow.bool_()}
    columns = phenotype_columns(one)
    schema = pyarrow.schema(
        [(name, kinds.get(name, text if name in {"name", "color", "hint"} else number)) for name in columns]
    )
    with atomic(folder / PHENOTYPES) as temporary:
        parquet.write_table(pyarrow.table(columns, schema), temporary)


def _in_px(label_map: LabelMap) -> LabelMap:
    """A label map whose own px are level 0: what is outlined there is exact."""
    return replace(label_map, origin=(0, 0))


def _in_level0(one: Mapped, shapes: Any) -> Any:
    """Polygons in px of the label map as polygons in level-0 px, which need not be whole."""
    scale, origin = np.array(one.l0_per_px), np.array(one.label_map.origin)
    return shapely.transform(np.array(shapes, object), lambda corners: corners * scale + origin)


def _numbers(pieces: Iterable[Piece]) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array([piece.tissue_piece for piece in pieces], np.int32)


class _Labelled:
    """Where labels are ≥ 1, as a map of the label 1; see ``records.Raster``."""

    def __init__(self, labels: Raster) -> None:
        self._labels = labels
        self.shape = labels.shape
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __getitem__(self, index: Any, /) -> Any:
        return (self._labels[index] > 0).view(np.uint8)
