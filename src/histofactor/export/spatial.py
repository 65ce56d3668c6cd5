"""One segmented input as SpatialData: labels, regions, tissue and tokens, laid out as wsidata opens them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from histofactor.base.files import atomic_folder
from histofactor.base.text import markup_text
from histofactor.export.mapped import Mapped, check_areas, keys, mapped, moved, need, phenotype_columns
from histofactor.export.pyramid import level_shapes
from histofactor.export.regions import regions, tissues
from histofactor.export.tokens import table_and_px
from histofactor.records import Raster, Segmentation
from histofactor.slides.canvas import canvas_of

if TYPE_CHECKING:
    from anndata import AnnData
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData

LABELS, REGIONS, TISSUES, TILES = "phenotypes", "regions", "tissues", "tiles"
TOKENS, AREAS = f"histofactor_{TILES}", "areas"  # tables; wsidata calls that of features so, after its tiles
GLOBAL, MICROMETERS = "global", "micrometers"
_CHUNK_PX = 1024


def to_spatialdata(segmentation: Segmentation, *, tile_tokens: int | None = None) -> SpatialData:
    """A segmentation as SpatialData, laid out as wsidata and LazySlide open it beside the slide.

    Coordinates are level-0 px of the file as OpenSlide counts them, and ``global`` is these; ``micrometers`` is there
    where the µm/px is known.

    - ``labels["phenotypes"]``: the label map in levels that halve, read when it is needed.
    - ``shapes["regions"]``: see ``to_geodataframe``; ``shapes["tissues"]``: all tissue, with ``tissue_id``;
      ``shapes["tiles"]``: the tiles of the token table with ``tile_id``, ``x``, ``y`` and ``tissue_id``.
    - ``tables["histofactor_tiles"]``: see ``to_anndata``; it annotates the tiles. ``tables["areas"]`` annotates the
      labels: area, share, margin and residual of every phenotype.
    - ``attrs``: ``tile_spec`` and ``slide_properties`` as wsidata reads them, ``histofactor``: what made the labels.

    Where nothing has a label there are no shapes, and no tokens.

    Args:
        segmentation: what to tell of.
        tile_tokens: as for ``to_anndata``.

    Raises:
        OptionError: spatialdata is missing, or ``tile_tokens`` is no positive number.
    """
    return assembled(mapped(segmentation), tile_tokens)


def write_spatialdata(one: Mapped, path: str | os.PathLike[str], tile_tokens: int | None = None) -> None:
    """Write an input as a SpatialData Zarr store, which is whole or not there.

    Args:
        one: the input; its labels are read in chunks.
        path: the folder to write; replaced if it exists.
        tile_tokens: as for ``to_anndata``.

    Raises:
        OptionError: as ``to_spatialdata``.
        ImageError: labels or weights on disk are damaged.
        OutputError: the folder cannot be written.
    """
    found = assembled(one, tile_tokens)
    with atomic_folder(path) as temporary, _without_news():
        temporary.rmdir()  # SpatialData wants to make it
        found.write(temporary)


def assembled(one: Mapped, tile_tokens: int | None = None) -> SpatialData:
    """One input as SpatialData; see ``to_spatialdata``."""
    need("spatialdata")
    from spatialdata import SpatialData

    canvas, slide = canvas_of(one.slide), one.slide
    one = moved(one, canvas.x, canvas.y)
    found = SpatialData(labels={LABELS: _labels(one)}, tables={AREAS: _areas(one)})
    found.attrs["slide_properties"] = {"shape": [canvas.height, canvas.width], "mpp": slide.mpp}
    found.attrs["histofactor"] = {"slide": "" if slide.path is None else markup_text(slide.path.name), **one.made_by}
    tissue = tissues(one)
    if not len(tissue):
        check_areas(one, [0] * len(one.phenotypes))
        return found
    tokens, px = table_and_px(one, tile_tokens)
    areas = tokens.layers["area_px"]  # of 32-bit floats, which would not add up among themselves
    check_areas(one, np.bincount(areas.indices, areas.data, minlength=areas.shape[1]).astype(int).tolist())
    side_px = tokens.uns["histofactor"]["tile_px"]
    tiles = _tiles(one, tokens, side_px).assign(tissue_id=_tissue_ids(one, px, tissue))
    for name, table in ((REGIONS, regions(one)), (TISSUES, tissue), (TILES, tiles)):
        found.shapes[name] = _shapes(one, table)
    tokens.obs[["tile_id", "tissue_id"]] = tiles[["tile_id", "tissue_id"]].to_numpy()
    found.tables[TOKENS] = _annotating(tokens, TILES, "library_id", "tile_id")
    found.attrs["tile_spec"] = {TILES: _tile_spec(one, side_px)}
    return found


def _labels(one: Mapped) -> Any:
    """The label map as a lazy array, in levels."""
    import dask.array
    from spatialdata.models import Labels2DModel

    labels = one.label_map.labels
    chunks = tuple(dask.array.core.normalize_chunks(_CHUNK_PX, labels.shape))
    lazy = dask.array.map_blocks(
        partial(_read, labels), chunks=chunks, dtype=labels.dtype, meta=np.empty((0, 0), labels.dtype)
    )
    halves = len(level_shapes(labels.shape)) - 1
    return Labels2DModel.parse(
        lazy,
        dims=("y", "x"),
        scale_factors=[2] * halves or None,
        chunks=(_CHUNK_PX, _CHUNK_PX),
        transformations=_transformations(one, of_px=True),
    )


def _read(labels: Raster, block_info: Any = None) -> NDArray[Any]:
    """The part of a map that a chunk is."""
    rows, columns = block_info[None]["array-location"]
    return np.ascontiguousarray(labels[slice(*rows), slice(*columns)])


def _transformations(one: Mapped, *, of_px: bool) -> dict[str, Any]:
    """From px of the label map, or from level-0 px, to the systems of coordinates."""
    from spatialdata.transformations import Identity, Scale, Sequence, Translation

    to_global = Identity()
    if of_px:
        axes = ("x", "y")
        to_global = Sequence([Scale(list(one.l0_per_px), axes), Translation(list(one.label_map.origin), axes)])
    mpp = one.slide.mpp
    if mpp is None:
        return {GLOBAL: to_global}
    return {GLOBAL: to_global, MICROMETERS: Sequence([to_global, Scale([mpp, mpp], ("x", "y"))])}


def _shapes(one: Mapped, table: GeoDataFrame) -> GeoDataFrame:
    from spatialdata.models import ShapesModel

    return ShapesModel.parse(table, transformations=_transformations(one, of_px=False))


def _areas(one: Mapped) -> AnnData:
    """The table of phenotypes; it annotates the labels."""
    import pandas as pd
    from anndata import AnnData

    columns = pd.DataFrame(phenotype_columns(one), index=keys(one.phenotypes))
    numbers = ("area_um2", "fraction", "mean_margin", "mean_residual")
    return _annotating(AnnData(obs=columns.astype(dict.fromkeys(numbers, float))), LABELS, "region", "label")


def _annotating(table: AnnData, region: str, region_key: str, instance_key: str) -> AnnData:
    """A table that says which element it annotates, and by which column."""
    import pandas as pd
    from spatialdata.models import TableModel

    table.obs[region_key] = pd.Categorical([region] * table.n_obs)
    return TableModel.parse(table, region=region, region_key=region_key, instance_key=instance_key)


def _tissue_ids(one: Mapped, px: NDArray[np.int64], tissue: GeoDataFrame) -> NDArray[np.int64]:
    """The tissue that each of some labelled px, (n, 2), lies in."""
    middles = shapely.points(np.array(one.label_map.origin) + (px + 0.5) * np.array(one.l0_per_px))
    polygons, within = shapely.STRtree(middles).query(tissue.geometry.to_numpy(), predicate="intersects")
    found = np.empty(len(px), np.int64)
    found[within] = tissue["tissue_id"].to_numpy()[polygons]
    return found


def _tiles(one: Mapped, tokens: AnnData, side_px: int) -> GeoDataFrame:
    """The tiles of a token table as squares."""
    from geopandas import GeoDataFrame

    height, width = one.label_map.labels.shape
    corners = []
    axes = zip(("column", "row"), one.label_map.origin, one.l0_per_px, (width, height), strict=True)
    for name, origin, per_px, side in axes:
        first = tokens.obs[name].to_numpy()
        px = np.minimum(np.stack([first, first + 1]) * side_px, side)  # the last may reach beyond the map
        corners.append(np.floor(origin + px * per_px + 0.5))
    (left, right), (top, bottom) = corners
    squares = shapely.box(left, top, right, bottom)
    columns = {
        "tile_id": np.arange(tokens.n_obs),
        "x": tokens.obs["x"].to_numpy(),
        "y": tokens.obs["y"].to_numpy(),
    }
    return GeoDataFrame(columns, geometry=squares)


def _tile_spec(one: Mapped, side_px: int) -> dict[str, Any]:
    """What wsidata reads tiles by, see ``wsidata.TileSpec``."""
    downsample = float(np.sqrt(np.prod(one.l0_per_px)))
    sides = dict.fromkeys(("height", "width", "stride_height", "stride_width"), side_px)
    levels = {"ops_level": 0, "ops_downsample": downsample, "base_level": 0, "base_downsample": downsample}
    return {**sides, "mpp": one.label_map.mpp, **levels, "tissue_name": TISSUES}


@contextmanager
def _without_news() -> Iterator[None]:
    """Keep SpatialData and AnnData from telling of what they do, and will do one day; other warnings stay."""
    import anndata

    logger = logging.getLogger("spatialdata")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with anndata.settings.override(auto_shard_zarr_v3=False):
            yield
    finally:
        logger.setLevel(level)
