"""The working frame of an input: how level 0, working px and the token grid relate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from histofactor.records import SlideInfo
from histofactor.slides.warnings import coarse

_COARSER = 1.01  # an input counts as coarser than the working µm/px from one percent on


@dataclass(frozen=True, slots=True)
class Frame:
    """How level 0, the working resolution and the token grid of one input relate.

    Attributes:
        l0_size: (width, height) in level-0 px.
        t_size: (width, height) in working px, never more than ``l0_size``.
        t_mpp: µm per working px, or None if unknown; its square is the area of one, whose sides differ a little where
            width and height of the input are no multiples of it.
        stride_px: working px per grid cell, on which one token stands; see ``cell_px``.
        g_size: (width, height) in cells; the last row and column may reach beyond the image.
        note: a sentence where the input is coarser than the µm/px asked for, else "".
    """

    l0_size: tuple[int, int]
    t_size: tuple[int, int]
    t_mpp: float | None
    stride_px: int
    g_size: tuple[int, int]
    note: str = ""

    @property
    def l0_per_px(self) -> tuple[float, float]:
        """Level-0 px per working px, (x, y), each ≥ 1."""
        return self.l0_size[0] / self.t_size[0], self.l0_size[1] / self.t_size[1]


def make_frame(info: SlideInfo, mpp: float, stride_px: int) -> Frame:
    """Lay out an input at a working resolution; nothing is ever magnified.

    Args:
        info: the input.
        mpp: µm per working px asked for.
        stride_px: working px per token.
    """
    scale, note = 1.0, ""
    if info.mpp is not None and info.mpp > mpp * _COARSER:
        note = coarse(info.mpp, mpp)
    elif info.mpp is not None:
        scale = min(info.mpp / mpp, 1.0)
    width, height = (max(1, round(length * scale)) for length in info.size)
    t_mpp = None if info.mpp is None else info.mpp * math.sqrt(info.size[0] / width * (info.size[1] / height))
    return Frame(info.size, (width, height), t_mpp, stride_px, (-(-width // stride_px), -(-height // stride_px)), note)
