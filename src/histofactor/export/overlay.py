"""Phenotype colours over the image, which they tint."""

from __future__ import annotations

import os
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.base.colors import OPACITY
from histofactor.base.files import atomic
from histofactor.errors import OptionError
from histofactor.records import LabelMap, SlideInfo

LONG_SIDE_PX = 2048
_BOUNDARY = 0.45  # how bright the line between two phenotypes is, compared with what it is drawn on
_BAND = 256  # rows of the label map read at a time


class Placed(Protocol):
    """Labels and how they lie on an input: a ``Segmentation``, or as much of one."""

    @property
    def slide(self) -> SlideInfo:
        """The input."""

    @property
    def label_map(self) -> LabelMap:
        """The labels."""

    @property
    def l0_per_px(self) -> tuple[float, float]:
        """(x, y) level-0 px per px of the label map."""


def thumbnail_size(size: tuple[int, int], long_side_px: int = LONG_SIDE_PX) -> tuple[int, int]:
    """Return the (width, height) at which to read a whole input of ``size`` for an overlay; never enlarged."""
    shrink = min(1.0, long_side_px / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def render_overlay(rgb: NDArray[np.uint8], segmentation: Placed, *, opacity: float = OPACITY) -> NDArray[np.uint8]:
    """Return the image tinted with the colour of every phenotype, nuclei and fibres visible through it.

    Colours are mixed with the image, stain and all. Beneath a colour the image keeps its contrast, but its mean over
    the phenotype becomes the mean over all phenotypes: so a colour looks the same over pale and over dense tissue.
    Thin dark lines part the phenotypes. What has label 0 keeps its own colours.

    Args:
        rgb: (height, width, 3) uint8, the whole input at any size; see ``thumbnail_size``.
        segmentation: the labels and their level-0 frame.
        opacity: 0 shows only the image, 1 only the colours.

    Returns:
        (height, width, 3) uint8, of the size of ``rgb``.

    Raises:
        OptionError: ``opacity`` is not within [0, 1].
    """
    if not 0 <= opacity <= 1:
        raise OptionError("opacity is out of range", expected="a number from 0 to 1", got=str(opacity))
    seen = labels_at(segmentation, (rgb.shape[1], rgb.shape[0]))
    colors = np.array([(0, 0, 0), *segmentation.label_map.colors], np.float32)
    means, mean = _means(rgb, seen, len(colors))
    leveled = min(1.0, opacity / OPACITY)  # the image alone, at an opacity of 0, stays what it is
    added = opacity * colors + (1 - opacity) * leveled * (mean - means)
    light = np.where(_boundaries(seen), np.float32(_BOUNDARY), np.float32(1))
    planes = [
        np.rint(((1 - opacity) * plane + offset[seen]).clip(0, 255) * light).astype(np.uint8)
        for plane, offset in zip(np.moveaxis(rgb, -1, 0), added.T.astype(np.float32), strict=True)
    ]
    blended: NDArray[np.uint8] = np.where((seen > 0)[:, :, None], cv2.merge(planes), rgb)
    return blended


def _means(
    rgb: NDArray[np.uint8], labels: NDArray[np.unsignedinteger[Any]], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean colour (count, 3) of the image under every label, and (3,) under all labels ≥ 1."""
    flat, sums = labels.ravel(), np.zeros((count, 3))
    px = np.bincount(flat, minlength=count)
    for channel in range(3):
        sums[:, channel] = np.bincount(flat, rgb[:, :, channel].ravel(), count)
    return sums / np.maximum(px, 1)[:, None], sums[1:].sum(0) / max(px[1:].sum(), 1)


def write_overlay(rgb: NDArray[np.uint8], segmentation: Placed, path: str | os.PathLike[str]) -> None:
    """Write ``overlay.png``, as ``render_overlay`` makes it.

    Args:
        rgb: (height, width, 3) uint8, the whole input at ``thumbnail_size``.
        segmentation: the labels and their level-0 frame.
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    image = Image.fromarray(render_overlay(rgb, segmentation))
    with atomic(path) as temporary:
        image.save(temporary, format="PNG", compress_level=2)  # half the time of 3, for 3 % more bytes


def labels_at(segmentation: Placed, size: tuple[int, int]) -> NDArray[np.unsignedinteger[Any]]:
    """Return the labels under the pixel centres of the whole input scaled to ``size``; 0 outside the map.

    Args:
        segmentation: the labels and their level-0 frame.
        size: (width, height) in px.

    Returns:
        (height, width), of the type of the label map.
    """
    label_map = segmentation.label_map
    found = []
    for axis in (0, 1):
        l0_center = (np.arange(size[axis]) + 0.5) * segmentation.slide.size[axis] / size[axis]
        px = np.floor((l0_center - label_map.origin[axis]) / segmentation.l0_per_px[axis]).astype(np.intp)
        found.append(px)
    (cols, rows), (height, width) = found, label_map.labels.shape
    across = (cols >= 0) & (cols < width)
    seen: NDArray[np.unsignedinteger[Any]] = np.zeros(size[::-1], label_map.labels.dtype)
    for top in range(0, height, _BAND):
        down = (rows >= top) & (rows < min(top + _BAND, height))
        if down.any():
            band = label_map.labels[top : top + _BAND]
            seen[np.ix_(down, across)] = band[np.ix_(rows[down] - top, cols[across])]
    return seen


def _boundaries(labels: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.bool_]:
    """Return where a labelled pixel has another label to its right or below."""
    line = np.zeros(labels.shape, bool)
    line[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    line[:-1] |= labels[:-1] != labels[1:]
    return line
