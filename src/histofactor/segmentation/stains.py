"""How the tokens of an input are stained, seen as its windows are read."""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from histofactor.base.grouped import sums_by
from histofactor.records import Float
from histofactor.segmentation.plan import Plan
from histofactor.slides.geometry.windows import Window
from histofactor.slides.stain import MEASURES, measure_stain


class StainWatch:
    """Measures the stain under every tissue cell of a plan, whatever the order in which windows are read.

    A cell is measured in the first window of the plan that holds all of it and lies unturned.

    Args:
        plan: the windows.
    """

    def __init__(self, plan: Plan) -> None:
        self._frame, self._lock = plan.frame, Lock()
        self._cells = np.flatnonzero(plan.g_tissue)
        windows = [window for row in plan.rows for window in row.windows if not window.turns]
        self._rank = {window: rank for rank, window in enumerate(windows)}
        self._by = np.full(len(self._cells), len(windows), np.int32)  # the window that each was measured in
        self.found: Float = np.full((len(self._cells), MEASURES), np.nan, np.float32)

    def see(self, window: Window, rgb: NDArray[np.uint8]) -> None:
        """Take in a window (height, width, 3), unturned; may be called from several threads."""
        rank = self._rank.get(window)
        if rank is None:
            return
        stride, (g_width, g_height) = self._frame.stride_px, self._frame.g_size
        left, right = _whole_cells(window.x, window.size[0], stride, g_width)
        top, bottom = _whole_cells(window.y, window.size[1], stride, g_height)
        if left >= right or top >= bottom:
            return
        y, x = top * stride - window.y, left * stride - window.x
        measured = measure_stain(rgb[y : y + (bottom - top) * stride, x : x + (right - left) * stride], stride)
        start, stop = np.searchsorted(self._cells, (top * g_width, bottom * g_width))
        rows, columns = np.divmod(self._cells[start:stop], g_width)
        inside = np.flatnonzero((columns >= left) & (columns < right))
        with self._lock:
            at = inside[self._by[start:stop][inside] > rank]
            self._by[start + at] = rank
            self.found[start + at] = measured[rows[at] - top, columns[at] - left]

    def of(self, units: NDArray[np.int64], n: int) -> Float:
        """The stain (n, MEASURES) of units of cells, NaN where it was not seen.

        Args:
            units: the unit of every tissue cell in reading order, -1 for none.
            n: how many units there are.
        """
        seen = (units >= 0) & ~np.isnan(self.found[:, 0])
        sums = sums_by(units[seen], self.found[seen], n)
        counts = np.bincount(units[seen], minlength=n)
        mean: Float = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], np.nan).astype(np.float32)
        return mean


def _whole_cells(start_px: int, length_px: int, cell_px: int, limit: int) -> tuple[int, int]:
    """The first cell that lies wholly inside a window along an axis, and the one after the last."""
    return max(-(-start_px // cell_px), 0), min((start_px + length_px) // cell_px, limit)
