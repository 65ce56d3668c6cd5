"""The masks of quality control of an open input, in one pass over the px of its tissue, without any encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_ahead
from histofactor.masks.quality import CELL_PX, COLORS, HALO_PX, MEASURES, MPP, NAMES, marks, measure
from histofactor.records import LabelMap, Raster, SlideInfo
from histofactor.segmentation.reading import read_window
from histofactor.slides.geometry.frame import Frame, make_frame
from histofactor.slides.geometry.windows import Window
from histofactor.slides.reader import Slide

_PART = 64  # cells a side that are read and measured at a time
_COARSEST = 1.1  # times the µm/px that cells are measured at: what is coarser looks out of focus
_FINDING = "quality control"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Quality:
    """What quality control found.

    Attributes:
        slide: the input.
        label_map: labels 1 to 3 of ``masks.quality.NAMES``, one px a cell of 16 µm.
        l0_per_px: (x, y) level-0 px per px of the label map.
        tissue: cells that hold tissue.
        margin: there is none.
    """

    slide: SlideInfo
    label_map: LabelMap
    l0_per_px: tuple[float, float]
    tissue: int
    margin: None = None

    @property
    def shares(self) -> dict[str, float]:
        """The share of the tissue that each of the masks marks, by its name; 0 where there is no tissue."""
        counts = np.bincount(np.ravel(self.label_map.labels[:]), minlength=len(NAMES) + 1)[1:]
        return {name: int(count) / max(self.tissue, 1) for name, count in zip(NAMES, counts, strict=True)}

    @property
    def note(self) -> str:
        """What was found, in one sentence."""
        told = ", ".join(f"{share:.1%} {_SAID[name]}" for name, share in self.shares.items())
        return f"{_FINDING}: of the tissue {told}"


_SAID = {"out of focus": "is out of focus", "pen": "lies under pen", "fold": "is folded"}


def unmeasured(info: SlideInfo) -> str:
    """Why quality control cannot be had of an input, in one sentence; "" where it can."""
    if info.mpp is None:
        return f"{_FINDING}: none, since no µm/px is known; state it with --source-mpp"
    if info.mpp > MPP * _COARSEST:
        return f"{_FINDING}: none, since {info.mpp:g} µm/px is too coarse to tell; it needs {MPP:g} or finer"
    return ""


def quality_of(slide: Slide, labels: Raster) -> Quality:
    """Find what of the tissue of an input is out of focus, under pen or folded.

    Px are read once more, at 1 µm/px and only where there is tissue, in parts that depend on nothing but the input:
    what is found is the same however the input was segmented. One row of parts is held, and nine numbers a cell.

    Args:
        slide: the input, open, of which ``unmeasured`` says nothing.
        labels: (height, width) of any resolution; tissue is where they are ≥ 1.
    """
    frame = make_frame(slide.info, MPP, CELL_PX)
    tissue = _tissue(labels, frame)
    measured = np.zeros((*tissue.shape, MEASURES), np.float32)

    def one(part: tuple[slice, slice]) -> NDArray[np.float32]:
        (rows, columns), halo = part, HALO_PX
        width, height = ((side.stop - side.start) * CELL_PX + 2 * halo for side in (columns, rows))
        window = Window(columns.start * CELL_PX - halo, rows.start * CELL_PX - halo, (width, height))
        pixels = read_window(slide, frame, window)
        return measure(pixels.rgb)

    parts = [part for part in _parts(tissue.shape) if tissue[part].any()]
    for part, cells in zip(parts, map_ahead(one, parts), strict=True):
        measured[part] = cells
    x, y = frame.l0_per_px
    mpp = None if frame.t_mpp is None else frame.t_mpp * CELL_PX
    label_map = LabelMap(marks(measured, tissue), mpp, (0, 0), NAMES, COLORS)
    return Quality(slide.info, label_map, (x * CELL_PX, y * CELL_PX), int(tissue.sum()))


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Squares of cells (rows, columns) from top to bottom."""
    height, width = shape
    for top in range(0, height, _PART):
        for left in range(0, width, _PART):
            yield slice(top, min(top + _PART, height)), slice(left, min(left + _PART, width))


def _tissue(labels: Raster, frame: Frame) -> Mask:
    """Cells (rows, columns) whose middle has a label."""
    (columns, rows), (height, width) = frame.g_size, labels.shape
    x, y = (
        np.minimum((np.arange(cells) + 0.5) * CELL_PX * length / side, length - 1).astype(np.intp)
        for cells, length, side in ((columns, width, frame.t_size[0]), (rows, height, frame.t_size[1]))
    )
    found = np.zeros((rows, columns), bool)
    for row, at in enumerate(y):
        found[row] = labels[int(at) : int(at) + 1, :][0, x] > 0
    return found
