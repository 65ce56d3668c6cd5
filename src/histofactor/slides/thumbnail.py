"""A small picture of a whole input, read in parts so that memory does not depend on the input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Region
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import Slide

_PART_PX = 4096  # side of the square that is read at a time, in px of the level it comes from


def read_thumbnail(slide: Slide, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a whole input at a small size.

    Args:
        slide: the input.
        size: (width, height) in px.

    Returns:
        RGB (height, width, 3), near-white where the input cannot be read, and which px could be read (height, width).
    """
    (l0_width, l0_height), (width, height) = slide.info.size, size
    scale_x, scale_y = l0_width / width, l0_height / height
    level = max(down for down in slide.info.level_downsamples if down <= max(1.0, min(scale_x, scale_y)))
    step_x, step_y = max(1, int(_PART_PX * level / scale_x)), max(1, int(_PART_PX * level / scale_y))
    rgb = np.empty((height, width, 3), np.uint8)
    readable = np.ones((height, width), bool)
    mpp = None if slide.info.mpp is None else slide.info.mpp * scale_x
    for y in range(0, height, step_y):
        for x in range(0, width, step_x):
            part = slice(y, min(y + step_y, height)), slice(x, min(x + step_x, width))
            h, w = part[0].stop - y, part[1].stop - x
            region = Region(x * scale_x, y * scale_y, w * scale_x, h * scale_y, (w, h), mpp)
            rgb[part], unreadable = read_blocks(slide, region)
            for left, top, width_, height_ in unreadable:
                readable[y + top : y + top + height_, x + left : x + left + width_] = False
    return rgb, readable
