"""Pixels of windows; what cannot be read is marked, never passed off as glass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.slides.blocks import Block, read_blocks
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.geometry.windows import Window, visible_region
from histofactor.slides.reader import Slide


@dataclass(frozen=True, slots=True)
class Pixels:
    """What was read of one window.

    Attributes:
        rgb: (height, width, 3) uint8, the image mirrored where the window reaches beyond it.
        unreadable: blocks (x, y, width, height) in working px of the input.
    """

    rgb: NDArray[np.uint8]
    unreadable: tuple[Block, ...]


def read_window(slide: Slide, frame: Frame, window: Window) -> Pixels:
    """Read a window, and tell which blocks of it cannot be read."""
    region, padding = visible_region(frame, window)
    rgb, unreadable = read_blocks(slide, region)
    x, y = max(window.x, 0), max(window.y, 0)
    blocks = tuple((x + left, y + top, width, height) for left, top, width, height in unreadable)
    return Pixels(np.pad(rgb, (*padding, (0, 0)), mode="symmetric"), blocks)
