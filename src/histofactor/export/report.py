"""The page of one input to look at: self-contained, with one script of our own."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.base import names
from histofactor.base.colors import OPACITY, seen_color
from histofactor.base.files import atomic
from histofactor.base.text import finalize
from histofactor.concepts.bank.provenance import origin_of
from histofactor.export.overlay import thumbnail_size
from histofactor.export.patches import typical_patches
from histofactor.export.picture import IMAGE_PX, MARGIN_LEVELS, Maps, data_uri, page_maps, photo, small_overlay
from histofactor.export.scripts import load_script
from histofactor.export.tables import PhenotypeRow, by_name, hex_color, phenotype_table, summed
from histofactor.records import EncoderKey, Segmentation, SlideInfo
from histofactor.slides.reader import Slide
from histofactor.slides.warnings import is_warning

_OPACITY = round(100 * OPACITY)  # of colours over tissue, in percent
_SCALE = 0.2  # share of the picture that the scale bar takes at most, where no script draws one


@dataclass(frozen=True, slots=True)
class ReportRun:
    """What ran, with what.

    Attributes:
        version: version of histofactor.
        encoder: which features.
        concepts: name or path of the concept bank.
        bank_hash: hash of the concept bank.
        k: number of concepts.
        method: how weights were found.
        mpp: working µm/px asked for, or None if each input has its own.
        command: the command line, or "".
        versions: further versions by name.
        started: when, or "".
    """

    version: str
    encoder: EncoderKey
    concepts: str
    bank_hash: str
    k: int
    method: str
    mpp: float | None = None
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    started: str = ""


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """What the page of one input shows.

    Attributes:
        name: what the input is called.
        slide: what is known of it.
        mpp: µm per px of its label map, or None if unknown.
        rows: its phenotypes, label 0 first.
        image: JPEG file.
        overlay: JPEG file of at most 224 px a side.
        maps: labels and margin, of the image.
        patches: JPEG files by label.
    """

    name: str
    slide: SlideInfo
    mpp: float | None
    rows: tuple[PhenotypeRow, ...]
    image: bytes
    overlay: bytes
    maps: Maps
    patches: Mapping[int, tuple[bytes, ...]]


def report_entry(segmentation: Segmentation, slide: Slide, rgb: NDArray[np.uint8]) -> ReportEntry:
    """Return what the report shows of one segmented input.

    Args:
        segmentation: the result.
        slide: the input it was made from, open; a few patches are read from it.
        rgb: (height, width, 3) uint8, the whole input, as for ``write_overlay``.
    """
    image = Image.fromarray(rgb)
    small = np.asarray(image.resize(thumbnail_size(image.size, IMAGE_PX), Image.Resampling.LANCZOS))
    patches = typical_patches(segmentation, slide)
    return ReportEntry(
        name=segmentation.slide.path.name if segmentation.slide.path is not None else "image",
        slide=replace(segmentation.slide, properties={}),  # a page shows none of them
        mpp=segmentation.label_map.mpp,
        rows=tuple(phenotype_table(segmentation)),
        image=photo(small),
        overlay=small_overlay(small, segmentation),
        maps=page_maps(segmentation, (small.shape[1], small.shape[0])),
        patches={label: tuple(map(photo, found)) for label, found in patches.items()},
    )


def write_page(entry: ReportEntry, run: ReportRun, path: str | os.PathLike[str]) -> None:
    """Write ``report.html`` of one input, beside its results: its picture, phenotypes, typical patches and notes.

    The page holds its images and styles, loads nothing, and follows light and dark mode. One script runs, which the
    page names by its hash: it colours the maps over the image, zooms and pans. Equal entries give equal bytes.

    Args:
        entry: the input.
        run: what ran, with what.
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    page = _template().stream(
        entry=entry, run=run, script=load_script("report.js"), levels=MARGIN_LEVELS, opacity=_OPACITY,
        scale=_scale(entry), um_per_px=_um_per_px(entry),
    )  # fmt: skip
    with atomic(path) as temporary, temporary.open("wb") as file:
        page.dump(file, encoding="utf-8")


def page_image(entry: ReportEntry) -> NDArray[np.uint8]:
    """The input (h, w, 3) as its page shows it."""
    with Image.open(io.BytesIO(entry.image), formats=("JPEG",)) as image:
        return np.asarray(image)


def write_small(entry: ReportEntry, path: str | os.PathLike[str]) -> None:
    """Write the overlay of an entry as a JPEG file of at most 224 px a side, for lists of many inputs.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(entry.overlay)


def run_from(recipe: Mapping[str, Any], mpp: float | None) -> ReportRun:
    """What made a segmentation, from its recipe: the same however it came to be made.

    Args:
        recipe: of the segmentation.
        mpp: µm/px of its label map, or None.
    """
    bank = recipe["bank"]
    return ReportRun(
        version=recipe["histofactor"],
        encoder=EncoderKey(**recipe["encoder"]),
        concepts="the image's own components" if recipe["method"] == "single" else origin_of(bank["provenance"]),
        bank_hash=bank["sha256"],
        k=bank["k"],
        method=recipe["method"],
        mpp=mpp,
    )


@cache
def _template() -> jinja2.Template:
    """That of the page of one input."""
    source = resources.files("histofactor.export").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return page_environment().from_string(source)


def page_environment() -> jinja2.Environment:
    """Templates with the filters of reports and the names of results; all text is escaped."""
    environment = jinja2.Environment(
        autoescape=True, finalize=finalize, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "area": _area, "percent": _percent, "number": _number, "duration": _duration,
        "hex": hex_color, "seen": seen_color, "jpeg": data_uri, "base64": _base64, "url": _url,
        "largest_first": _largest_first, "labels_by_name": _labels_by_name,
    }  # fmt: skip
    environment.tests["warning"] = is_warning
    environment.globals["names"] = names
    return environment


def _largest_first(rows: Sequence[PhenotypeRow]) -> list[PhenotypeRow]:
    """Return the phenotypes that are present, those of one name as one, the largest first."""
    together = [summed(same) for same in by_name(rows)]
    return sorted((row for row in together if row.area_px), key=lambda row: -row.area_px)


def _labels_by_name(rows: Sequence[PhenotypeRow]) -> dict[int, list[int]]:
    """All labels of a name, by the one that it is shown with."""
    return {same[0].label: [row.label for row in same] for same in by_name(rows)}


def _area(row: PhenotypeRow) -> str:
    if row.area_um2 is None:
        return f"{row.area_px:,} px"
    if row.area_um2 >= 1e5:
        return f"{row.area_um2 / 1e6:,.2f} mm²"
    return f"{row.area_um2:,.0f} µm²"


def _percent(fraction: float) -> str:
    return "< 0.1 %" if 0 < fraction < 0.001 else f"{100 * fraction:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _url(path: str) -> str:
    return quote(os.fsencode(path))


def _um_per_px(entry: ReportEntry) -> float | None:
    """µm per px of the picture, or None if unknown."""
    return None if entry.slide.mpp is None else entry.slide.mpp * entry.slide.size[0] / entry.maps.size[0]


def _scale(entry: ReportEntry) -> tuple[float, str] | None:
    """A scale bar: its share of the width of the picture and its length in words; None where µm/px is unknown."""
    um_per_px = _um_per_px(entry)
    if um_per_px is None:
        return None
    whole_um = um_per_px * entry.maps.size[0]
    power = 10.0 ** math.floor(math.log10(_SCALE * whole_um))
    length_um = power * max(step for step in (1, 2, 5) if step * power <= _SCALE * whole_um)
    return length_um / whole_um, f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
