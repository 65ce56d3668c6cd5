"""Regions that may hold px that cannot be read: these are found, filled and told, never passed off as glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import UnreadableRegion
from histofactor.records import Region
from histofactor.slides.reader import Slide

_SMALLEST_PX = 64  # an unreadable block is cut down to this side before it is given up
_FILL = 245  # stands for px that cannot be read

Block = tuple[int, int, int, int]  # x, y, width, height


def read_blocks(slide: Slide, region: Region) -> tuple[NDArray[np.uint8], list[Block]]:
    """Read a region in one piece, or, where that fails, in quarters and quarters of these.

    Returns:
        RGB (out height, out width, 3), and the blocks (x, y, width, height) in px of it that cannot be read.
    """
    try:
        return slide.read(region), []
    except UnreadableRegion:
        width, height = region.out_size
        if max(width, height) <= _SMALLEST_PX:
            return np.full((height, width, 3), _FILL, np.uint8), [(0, 0, width, height)]
    rgb = np.empty((height, width, 3), np.uint8)
    unreadable = []
    for y0, y1 in _halves(height):
        for x0, x1 in _halves(width):
            rgb[y0:y1, x0:x1], blocks = read_blocks(slide, _part(region, x0, y0, x1, y1))
            unreadable += [(x0 + x, y0 + y, w, h) for x, y, w, h in blocks]
    return rgb, unreadable


def _halves(length: int) -> list[tuple[int, int]]:
    """A length in two parts, or in one where it is small already."""
    if length <= _SMALLEST_PX:
        return [(0, length)]
    middle = length // 2 // _SMALLEST_PX * _SMALLEST_PX or length // 2
    return [(0, middle), (middle, length)]


def _part(region: Region, x0: int, y0: int, x1: int, y1: int) -> Region:
    """The part of a region under px x0 … x1, y0 … y1 of its output."""
    sx, sy = region.width / region.out_size[0], region.height / region.out_size[1]
    left, top = region.x + x0 * sx, region.y + y0 * sy
    return Region(left, top, (x1 - x0) * sx, (y1 - y0) * sy, (x1 - x0, y1 - y0), region.mpp)
