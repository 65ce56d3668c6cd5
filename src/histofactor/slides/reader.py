"""One interface for every input: ``open_slide(...)``, then ``read(region)`` gives RGB at any scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import OptionError
from histofactor.records import Region, SlideInfo
from histofactor.slides.budget import MAX_IMAGE_GB, check_limit
from histofactor.slides.decoded import IMAGES
from histofactor.slides.openslide_reader import VendorSlide, is_vendor_slide
from histofactor.slides.pixels import Decoded, decode_array
from histofactor.slides.pyramid import Box, LeveledSlide, lay_out
from histofactor.slides.resolution import settle_mpp
from histofactor.slides.slide_files import SLIDE_SUFFIXES, check_slide_file
from histofactor.slides.tiff import TiffSlide, is_tiff_slide
from histofactor.slides.tiff_directory import is_tiff

READERS = ("auto", "openslide", "tifffile")


class Slide(Protocol):
    """An open input: a plain image or a whole slide."""

    @property
    def info(self) -> SlideInfo:
        """What is known of the input."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Read a region: (out height, out width, 3) RGB, antialiased, without seams between neighbours."""

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an image that goes with the slide, such as its label: (height, width, 3) RGB."""

    def close(self) -> None:
        """Free the pixels or the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def open_slide(
    source: str | Path | NDArray[Any],
    *,
    source_mpp: float | None = None,
    reader: str = "auto",
    series: str | int | None = None,
    max_image_gb: float = MAX_IMAGE_GB,
) -> Slide:
    """Open an image or a whole slide for reading regions.

    Scanner formats go to OpenSlide, other pyramids and large TIFF to tifffile; everything else is a plain image, which
    is decoded at once.

    Args:
        source: a file, or an array (height, width, 3) RGB, (height, width, 4) RGBA or (height, width) grey of
            uint8 or uint16, which is copied.
        source_mpp: µm per px of the source; replaces what its header states.
        reader: ``auto``, or the library that must read a file: ``openslide`` or ``tifffile``.
        series: name or number of the image to read of a file that holds several; the largest if None.
        max_image_gb: 10⁹ bytes that a plain image may take in memory, all copies made on the way included.

    Raises:
        ImageError: the source cannot be read as a still image, or is larger than ``max_image_gb``.
        ResolutionError: ``source_mpp`` or the header's µm/px cannot be used, or a whole slide has none.
        OptionError: the source is neither a path nor an array, the reader is unknown, or no image is called ``series``.
    """
    if reader not in READERS:
        raise OptionError("the reader is unknown", expected=" or ".join(READERS), got=repr(reader))
    check_limit(max_image_gb)
    if isinstance(source, np.ndarray):
        _check_single(series, "the array")
        return _plain(None, decode_array(source, max_image_gb=max_image_gb), source_mpp)
    if not isinstance(source, str | Path):
        raise OptionError("source is of the wrong type", expected="a path or an array", got=type(source).__name__)
    path = Path(source)
    vendor = reader == "openslide" or (reader == "auto" and is_vendor_slide(path))
    if vendor or not is_tiff(path):
        _check_single(series, str(path))
    if vendor:
        return VendorSlide(path, source_mpp)
    if reader == "tifffile" or is_tiff_slide(path, series, max_image_gb):
        return TiffSlide(path, source_mpp, series)
    if path.suffix.lower() in SLIDE_SUFFIXES:
        check_slide_file(path)
    return _plain(path, IMAGES.decoded(path, series, max_image_gb), source_mpp)


def _check_single(series: str | int | None, name: str) -> None:
    if series is not None and str(series) != "0":
        raise OptionError(f"{name} holds one image", expected="no --series, or 0", got=repr(series))


def _plain(path: Path | None, decoded: Decoded, source_mpp: float | None) -> Slide:
    mpp, resolution_notes = settle_mpp(decoded.stated, source_mpp, "the array" if path is None else str(path))
    notes = (*decoded.notes, *resolution_notes)
    return PlainImage(decoded.image, SlideInfo(path, decoded.image.size, mpp, (1.0,), decoded.reader, notes))


class PlainImage(LeveledSlide):
    """An image held in memory. Reads may run in several threads."""

    def __init__(self, image: Image.Image, info: SlideInfo) -> None:
        self._image: Image.Image | None = image
        super().__init__(info, lay_out([image.size]))

    @property
    def _closed(self) -> bool:
        return self._image is None

    def _read_px(self, level: int, box: Box) -> Image.Image:
        if self._image is None:
            raise self._closed_error()
        return self._image.crop(box)

    def close(self) -> None:
        """Free the pixels."""
        self._image = None
