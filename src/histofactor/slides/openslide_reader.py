"""Whole slides of scanner vendors, read by OpenSlide."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray
from openslide import OpenSlide, OpenSlideError
from PIL import Image

from histofactor.errors import ImageError
from histofactor.records import SlideInfo
from histofactor.slides.budget import MAX_IMAGE_GB, check_budget
from histofactor.slides.canvas import canvas_note
from histofactor.slides.header import capped, objective_of
from histofactor.slides.pixels import check_size, over_white
from histofactor.slides.pyramid import Box, DamagedPixels, LeveledSlide, lay_out
from histofactor.slides.resolution import from_text, settle_mpp

_STEP_PX = 256  # of the lattice on which levels with a fractional downsample are read
_SIDES = ("width", "height")
_ASSOCIATED_BYTES = 12  # of a px: OpenSlide's, Pillow's, and its copy as RGB
_BOUNDS = ("openslide.bounds-x", "openslide.bounds-y", "openslide.bounds-width", "openslide.bounds-height")


def is_vendor_slide(path: Path) -> bool:
    """Whether OpenSlide knows the file as a scanner's; a tiled TIFF of no vendor is none."""
    return OpenSlide.detect_format(path) not in (None, "generic-tiff")


class VendorSlide(LeveledSlide):
    """A slide that OpenSlide reads.

    Coordinates are relative to the slide's bounds where the file states them, as in QuPath. What was never scanned
    has the slide's background colour.

    Args:
        path: the file.
        source_mpp: µm/px that replaces the header's, or None.

    Raises:
        ImageError: OpenSlide cannot open it.
        ResolutionError: no µm/px, or one that cannot be used.
    """

    def __init__(self, path: Path, source_mpp: float | None) -> None:
        self._path = path
        self._slide: OpenSlide | None = _open(path)
        properties = self._slide.properties
        self._background = "#" + properties.get("openslide.background-color", "FFFFFF")
        self._downsamples = self._slide.level_downsamples
        size, bounds = self._slide.dimensions, None
        notes: tuple[str, ...] = ()
        if all(key in properties for key in _BOUNDS):
            x, y, width, height = (int(properties[key]) for key in _BOUNDS)
            bounds, notes = (x, y, x + width, y + height), (canvas_note(x, y, size),)
            size = (width, height)
        check_size(size, str(path))
        stated = from_text(properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y"), "openslide.mpp-x")
        mpp, resolution_notes = settle_mpp(stated, source_mpp, str(path), required=True)
        reader = f"OpenSlide {openslide.__library_version__}"
        info = SlideInfo(
            path=path,
            size=size,
            mpp=mpp,
            level_downsamples=self._downsamples,
            reader=reader,
            notes=(*notes, *resolution_notes),
            vendor=properties.get("openslide.vendor", ""),
            objective=objective_of(properties.get("openslide.objective-power")),
            properties=capped((name, properties[name]) for name in _askable(properties)),
            associated=tuple(_askable(self._slide.associated_images)),
        )
        super().__init__(info, lay_out(self._slide.level_dimensions, bounds))

    @property
    def _closed(self) -> bool:
        return self._slide is None

    def close(self) -> None:
        """Let the file go, once the reads under way are done."""
        self._slide = None

    def _read_px(self, level: int, box: Box) -> Image.Image:
        """Read px of a level, whatever their place in level 0.

        OpenSlide is told where to read in whole level-0 px and interpolates where that is no whole px of the level.
        Where the downsample is fractional, the px are therefore read on a fixed lattice: the same px in every read.
        """
        left, top, right, bottom = box
        image = Image.new("RGB", (right - left, bottom - top))
        downsample = self._downsamples[level]
        for (x, x_end), (y, y_end) in product(_cut(left, right, downsample), _cut(top, bottom, downsample)):
            location = (round(x * downsample), round(y * downsample))
            image.paste(self._paint(location, level, (x_end - x, y_end - y)), (x - left, y - top))
        return image

    def _paint(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        slide = self._slide
        if slide is None:
            raise self._closed_error()
        try:
            rgba = slide.read_region(location, level, size)
        except OpenSlideError:
            rgba = self._paint_afresh(location, level, size)
        if rgba.getchannel("A").getextrema() == (255, 255):
            return rgba.convert("RGB")
        ground = Image.new("RGBA", size, self._background)
        ground.alpha_composite(rgba)
        return ground.convert("RGB")

    def _read_associated(self, name: str) -> NDArray[np.uint8]:
        slide = self._slide
        if slide is None:
            raise self._closed_error()
        width, height = (int(slide.properties.get(f"openslide.associated.{name}.{side}", 0)) for side in _SIDES)
        check_budget((width, height), _ASSOCIATED_BYTES, MAX_IMAGE_GB, f"the image {name!r} of {self._path}")
        try:
            rgba = slide.associated_images[name]
        except OpenSlideError as error:
            raise DamagedPixels(f"OpenSlide: {error}") from error
        return np.asarray(over_white(rgba))

    def _paint_afresh(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        """Read once more from a new handle: the first error, be it another thread's, breaks a handle for good."""
        slide = _open(self._path)
        try:
            rgba = slide.read_region(location, level, size)
        except OpenSlideError as error:
            raise DamagedPixels(f"OpenSlide: {error}") from error
        self._slide = slide  # the old one goes when the last thread leaves it
        return rgba


def _open(path: Path) -> OpenSlide:
    try:
        return OpenSlide(path)
    except OpenSlideError as error:
        raise ImageError(
            f"{path} cannot be opened as a whole slide",
            expected="an undamaged slide, beside the files that belong to it",
            got=f"OpenSlide: {error}",
            mend="copy or export it again, with all its files",
        ) from error


def _askable(held: Iterable[str]) -> list[str]:
    """Names in order, without those that are no UTF-8, by whose text OpenSlide does not find them again."""
    return sorted(name for name in held if "\ufffd" not in name)


def _cut(low: int, high: int, downsample: float) -> list[tuple[int, int]]:
    """Parts along one axis: all at once, or from the lattice's steps on where the downsample is fractional."""
    if float(downsample).is_integer():
        return [(low, high)]
    return [(start, min(start + _STEP_PX, high)) for start in range(low - low % _STEP_PX, high, _STEP_PX)]
