"""How overlapping windows share the cells that they cover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from histofactor.records import WindowRule
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.geometry.windows import Window, cells_seen


def tapers_of(frame: Frame, rule: WindowRule, layout: Sequence[Window]) -> Callable[[Window], NDArray[np.float32]]:
    """The share that every window has in the cells it covers: its taper over the sum of those of its view's windows.

    The shares of a view add up to one wherever the whole layout is at work, so that all views count alike.

    Args:
        frame: the frame.
        rule: the window rule.
        layout: every window of a plan, in all its views.

    Returns:
        From a window of the layout to (rows, columns) shares of its cells.
    """
    totals = {}
    for turns in {window.turns for window in layout}:
        view = [window for window in layout if window.turns == turns]
        sizes = zip(frame.g_size, view[0].size, ({w.x for w in view}, {w.y for w in view}), strict=True)
        totals[turns] = [_total(cells, length, starts, rule, frame.stride_px) for cells, length, starts in sizes]

    @cache
    def along(turns: int, axis: int, start: int, length: int) -> NDArray[np.float64]:
        return _share(totals[turns][axis], start, length, rule, frame.stride_px)  # the same for a whole row or column

    def shares(window: Window) -> NDArray[np.float32]:
        columns, rows = (
            along(window.turns, axis, start, length)
            for axis, (start, length) in enumerate(zip((window.x, window.y), window.size, strict=True))
        )
        return np.outer(rows, columns).astype(np.float32)

    return shares


def _ramp(length_px: int, rule: WindowRule, stride_px: int) -> NDArray[np.float64]:
    """The taper along one axis, a value per token."""
    centers = (np.arange(length_px // stride_px) + 0.5) * stride_px
    inside = np.minimum(centers, length_px - centers) - rule.halo_px
    rise = max(rule.overlap_px - 2 * rule.halo_px, stride_px / 2)
    ramp: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(inside / rise, 0.0, 1.0)) ** 2
    return ramp


def _total(cells: int, length: int, starts: Iterable[int], rule: WindowRule, cell: int) -> NDArray[np.float64]:
    """Sum of the tapers along one axis of the grid."""
    total, ramp = np.zeros(cells), _ramp(length, rule, cell)
    for start in starts:
        on_grid, inside = cells_seen(start, length, cell, cells)
        total[on_grid] += ramp[inside]
    return total


def _share(total: NDArray[np.float64], start: int, length: int, rule: WindowRule, cell: int) -> NDArray[np.float64]:
    """A window's part of the sum along one axis; 0 in its halo and beyond the grid."""
    ramp = _ramp(length, rule, cell)
    share = np.zeros_like(ramp)
    on_grid, inside = cells_seen(start, length, cell, len(total))
    share[inside] = np.divide(ramp[inside], total[on_grid], out=share[inside].copy(), where=ramp[inside] > 0)
    return share
