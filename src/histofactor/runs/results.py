"""The files of one segmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.base.clock import Clock
from histofactor.base.names import LABELS, OME_ZARR, OVERLAY, PAGE, REGIONS, SMALL, TABLE, WEIGHTS
from histofactor.export.geojson import write_geojson
from histofactor.export.labels import write_labels
from histofactor.export.overlay import thumbnail_size, write_overlay
from histofactor.export.previews import write_preview
from histofactor.export.report import ReportEntry, report_entry, run_from, write_page, write_small
from histofactor.export.tables import write_phenotypes
from histofactor.export.weights import WeightsHeader, write_weights
from histofactor.export.zarr import write_ome_zarr
from histofactor.masks.sparse import SparseRows
from histofactor.records import Segmentation
from histofactor.runs.place import Place
from histofactor.slides.reader import Slide
from histofactor.slides.thumbnail import read_thumbnail

_WRITERS = 2  # files written at a time: most of each is work of one thread


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written of each input.

    Attributes:
        weights: the largest weights of every token, from which labels can be derived again; None: where the concepts
            are those of the output folder, which may yet be merged.
        ome_zarr: the label map as OME-Zarr too.
        quality: what of the tissue is out of focus, under pen or folded, see ``runs.quality``.
    """

    weights: bool | None = None
    ome_zarr: bool = False
    quality: bool = False


def keep_weights(segmentation: Segmentation, rows: Iterable[SparseRows], place: Place, recipe: str) -> None:
    """Write ``weights.zarr``.

    Args:
        segmentation: what the weights belong to.
        rows: all token rows from top to bottom.
        place: where to write.
        recipe: hash of the input's labels recipe, as the seal states it.

    Raises:
        OutputError: the folder cannot be written.
    """
    label_map, path = segmentation.label_map, segmentation.slide.path
    height, width = label_map.labels.shape
    concepts = slice(0, segmentation.recipe["bank"]["k"])  # "unlike the bank" is none
    header = WeightsHeader(
        slide="" if path is None else path.name,
        size=(width, height),
        mpp=label_map.mpp,
        l0_per_px=segmentation.l0_per_px,
        stride_px=segmentation.tokens.stride_px,
        method=segmentation.recipe["method"],
        recipe=recipe,
        names=label_map.names[concepts],
        colors=label_map.colors[concepts],
    )
    write_weights(rows, segmentation.tokens.residual, header, place.results / WEIGHTS)


def write_results(segmentation: Segmentation, slide: Slide, place: Place, outputs: Outputs, clock: Clock) -> None:
    """Write everything about one segmentation but its seal.

    Args:
        segmentation: the result.
        slide: the input, open.
        place: where to write.
        outputs: what to write.
        clock: told how long each file takes.

    Raises:
        OutputError: the folder cannot be written.
    """
    with clock("thumbnail"):
        rgb, _ = read_thumbnail(slide, thumbnail_size(slide.info.size))
    write_files(segmentation, rgb, lambda: report_entry(segmentation, slide, rgb), place, outputs, clock)


def write_files(
    segmentation: Segmentation,
    rgb: NDArray[np.uint8],
    shown: Callable[[], ReportEntry],
    place: Place,
    outputs: Outputs,
    clock: Clock,
) -> None:
    """Write everything about one segmentation but its seal, where the input need not be at hand.

    Args:
        segmentation: the result.
        rgb: (h, w, 3) the whole input, small.
        shown: what its page shows.
        place, outputs, clock: as for ``write_results``.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = place.results

    def page() -> None:
        entry = shown()
        write_preview(entry, folder)
        write_page(entry, run_from(segmentation.recipe, entry.mpp), folder / PAGE)
        write_small(entry, folder / SMALL)

    writers: dict[str, Callable[[], object]] = {
        "regions": lambda: write_geojson(segmentation, folder / REGIONS),
        "page": page,
        "overlay": lambda: write_overlay(rgb, segmentation, folder / OVERLAY),
        "labels": lambda: write_labels(segmentation, folder / LABELS),
        "tables": lambda: write_phenotypes(segmentation, folder / TABLE),
    }
    if outputs.ome_zarr:
        writers["ome-zarr"] = lambda: write_ome_zarr(segmentation, folder / OME_ZARR)

    def write(name: str) -> object:
        with clock(name):
            return writers[name]()

    with clock("write"), ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(write, writers))
