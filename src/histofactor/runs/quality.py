"""Quality control of one input: what of its tissue is out of focus, under pen or folded, in files beside its labels."""

from __future__ import annotations

from dataclasses import replace

from histofactor.base.clock import Clock
from histofactor.base.files import atomic
from histofactor.base.names import QUALITY, QUALITY_REGIONS, QUALITY_TABLE
from histofactor.base.text import csv_text, utf8
from histofactor.export.geojson import write_geojson
from histofactor.export.labels import write_labels
from histofactor.export.tables import hex_color
from histofactor.records import Segmentation
from histofactor.runs.place import Place
from histofactor.segmentation.quality import Quality, quality_of, unmeasured
from histofactor.slides.reader import Slide

SOURCE = "histofactor quality"  # what QuPath is told that the regions come from: not that of phenotypes
COLUMNS = ("label", "name", "color", "area_um2", "share_of_tissue")


def control(segmentation: Segmentation, slide: Slide, place: Place, clock: Clock) -> Segmentation:
    """Write ``quality.ome.tif``, ``quality.geojson.gz`` and ``quality.csv``; labels stay as they are.

    Where an input cannot be measured none is written, which a note tells.

    Args:
        segmentation: of the input; its labels say where there is tissue.
        slide: the input, open.
        place: where to write.
        clock: told how long it takes.

    Returns:
        The segmentation with a note of what was found, and the shares of the tissue in its recipe.

    Raises:
        OutputError: the folder cannot be written.
    """
    if reason := unmeasured(slide.info):
        return _noted(segmentation, reason, None)
    with clock("quality"):
        found = quality_of(slide, segmentation.label_map.labels)
        write_labels(found, place.results / QUALITY)
        write_geojson(found, place.results / QUALITY_REGIONS, tolerance_px=0.0, min_area_px=1, source=SOURCE)
        with atomic(place.results / QUALITY_TABLE) as temporary:
            temporary.write_bytes(utf8(csv_text([COLUMNS, *_rows(found)])))
    return _noted(segmentation, found.note, found.shares)


def _rows(found: Quality) -> list[tuple[object, ...]]:
    """A line of the table for each of the masks."""
    label_map, cell_um2 = found.label_map, (found.label_map.mpp or 0.0) ** 2
    told = zip(label_map.names, label_map.colors, found.shares.values(), strict=True)
    return [
        (label, name, hex_color(color), f"{share * found.tissue * cell_um2:.2f}", f"{share:.6f}")
        for label, (name, color, share) in enumerate(told, 1)
    ]


def _noted(segmentation: Segmentation, note: str, shares: dict[str, float] | None) -> Segmentation:
    """A segmentation that tells what was found, wherever notes are told; the last note stays last."""
    slide = replace(segmentation.slide, notes=(note, *segmentation.slide.notes))
    source = {**segmentation.recipe["source"], "notes": [note, *segmentation.recipe["source"]["notes"]]}
    return replace(segmentation, slide=slide, recipe={**segmentation.recipe, "source": source, "quality": shares})
