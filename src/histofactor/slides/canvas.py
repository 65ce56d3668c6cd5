"""The canvas of a slide that is a part of it: here level-0 px count from that part, elsewhere from the canvas."""

from __future__ import annotations

import re
from dataclasses import dataclass

from histofactor.records import SlideInfo

_NOTE = "the slide is the scanned part at x {}, y {} of a canvas of {} × {} px; coordinates count from there"
_TOLD = re.compile(re.escape(_NOTE).replace(r"\{\}", r"(\d{1,9})"))


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a slide lies on its canvas.

    Attributes:
        x, y: upper left corner of the slide, in level-0 px of the canvas.
        width, height: of the canvas in level-0 px.
    """

    x: int
    y: int
    width: int
    height: int


def canvas_note(x: int, y: int, size: tuple[int, int]) -> str:
    """The sentence that tells of a slide where it lies on a canvas of (width, height) level-0 px."""
    return _NOTE.format(x, y, *size)


def canvas_of(slide: SlideInfo) -> Canvas:
    """The canvas of a slide, as its notes tell; the slide itself where they tell of none."""
    for found in filter(None, map(_TOLD.fullmatch, slide.notes)):
        return Canvas(*map(int, found.groups()))
    return Canvas(0, 0, *slide.size)
