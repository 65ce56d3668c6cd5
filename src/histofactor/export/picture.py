"""The picture of a page, small: the image, and the maps that the page's script colours over it."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.export.overlay import Placed, labels_at, render_overlay, thumbnail_size
from histofactor.records import Raster, Segmentation

IMAGE_PX, SMALL_PX = 1400, 224  # long side of the image of a page, and of an overlay in lists of many inputs
_LEVEL = 8  # of zlib: half the time of 9, and the same bytes or a hundredth more
MARGIN_PX, MARGIN_LEVELS = 400, 32  # of the margin map, which is smooth: 3 % is as fine as it is read by eye


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps of one input for its page, packed as ``pack`` does.

    Attributes:
        size: (width, height) of the labels and of the page's image.
        labels: uint16.
        margin_size: (width, height) of the margin.
        margin: uint8 from 0 (a tie) to ``MARGIN_LEVELS`` - 1 (alone).
    """

    size: tuple[int, int]
    labels: bytes
    margin_size: tuple[int, int]
    margin: bytes


def page_maps(segmentation: Segmentation, size: tuple[int, int]) -> Maps:
    """Labels and margin of an input as its page shows them.

    Args:
        segmentation: the result.
        size: (width, height) of the page's image.
    """
    margin_size = thumbnail_size(size, MARGIN_PX)
    margin = labels_at(_read_as_labels(segmentation, segmentation.margin), margin_size)
    levels = np.rint(np.asarray(margin, np.float32) * (MARGIN_LEVELS - 1)).astype(np.uint8)
    labels = labels_at(segmentation, size).astype(np.uint16)
    return Maps(size, pack(labels), margin_size, pack(levels))


def pack(values: NDArray[np.unsignedinteger]) -> bytes:
    """Values (h, w), each row less the one above it, little-endian, as a zlib stream, which a browser inflates itself.

    No image file holds them, since a browser may change px that a script reads back, to hide who looks.
    """
    above = np.zeros_like(values)
    above[1:] = values[:-1]
    return zlib.compress((values - above).astype(values.dtype.newbyteorder("<")).tobytes(), _LEVEL)


def small_overlay(rgb: NDArray[np.uint8], segmentation: Placed) -> bytes:
    """The overlay of an input as a JPEG file of at most 224 px a side.

    Args:
        rgb: (h, w, 3) the image of its page.
        segmentation: the labels and their level-0 frame.
    """
    image = Image.fromarray(render_overlay(rgb, segmentation))
    small = image.resize(thumbnail_size(image.size, SMALL_PX), Image.Resampling.LANCZOS)
    return photo(np.asarray(small))


def photo(rgb: NDArray[np.uint8]) -> bytes:
    """An image of tissue (h, w, 3) as a JPEG file to look at, a third lighter than what ``jpeg`` makes."""
    return _encoded(rgb, quality=80, optimize=True)


def jpeg(rgb: NDArray[np.uint8], *, quick: bool = False) -> bytes:
    """An image (h, w, 3) with lines and flat colours as a JPEG file; ``quick`` takes less time and more bytes."""
    return _encoded(rgb, quality=85, subsampling=0, optimize=not quick)


def _encoded(rgb: NDArray[np.uint8], **how: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", **how)
    return file.getvalue()


def data_uri(content: bytes) -> str:
    """A JPEG file as the address that a page embeds it by."""
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")


def _read_as_labels(segmentation: Segmentation, raster: Raster) -> Segmentation:
    """The segmentation with another map of the same px in place of its labels."""
    return replace(segmentation, label_map=replace(segmentation.label_map, labels=raster))
