"""Pure geometry: the working frame of an input, its token grid, and the windows that cover it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Region, SlideInfo, WindowRule

_COARSER = 1.01  # an input counts as coarser than the working µm/px from one percent on


@dataclass(frozen=True, slots=True)
class Frame:
    """How level 0, the working resolution and the token grid of one input relate.

    Attributes:
        l0_size: (width, height) in level-0 px.
        t_size: (width, height) in working px, never more than ``l0_size``.
        t_mpp: µm per working px, or None if unknown.
        stride_px: working px per grid cell, on which one token stands; see ``cell_px``.
        g_size: (width, height) in cells; the last row and column may reach beyond the image.
        note: a sentence where the input is not worked at the µm/px asked for, else "".
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


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the encoder.

    Attributes:
        x, y: upper left corner in working px; negative where the window reaches beyond the image.
        size: (width, height) in working px.
        turns: quarter turns, counter-clockwise, in which the encoder sees it.
    """

    x: int
    y: int
    size: tuple[int, int]
    turns: int = 0


def cell_px(patch_px: int, views: int) -> int:
    """Working px per grid cell: a patch, or half of one where views are moved by half patches."""
    return patch_px // 2 if views > 1 and patch_px % 2 == 0 else patch_px


def rule_of_views(rule: WindowRule, patch_px: int, views: int) -> WindowRule:
    """The rule by which windows are laid out and blended, where halves of tokens are told from two tokens.

    Where a halo is discarded it grows by a token, so that the outermost half still has both.
    """
    if not rule.halo_px or cell_px(patch_px, views) == patch_px:
        return rule
    halo_px = rule.halo_px + patch_px
    return replace(rule, halo_px=halo_px, overlap_px=max(rule.overlap_px, 2 * halo_px))


def views_of(window: Window, views: int, half_px: int) -> tuple[Window, ...]:
    """The views of a window that are averaged, every one turned and moved in its own way.

    Turning makes responses forget directions, which no phenotype has; moving puts token borders elsewhere. An encoder
    that merges px two by two, or takes every second one, answers differently to the other px. So the four views begin
    at even and at odd px in every combination of the two axes, and do so too as the encoder sees them, for which a
    quarter turn makes even px odd along one axis. No move differs from halves of a patch by more than a px, and
    together they make up the same.

    Args:
        window: as laid out.
        views: 1, the window itself; or 4.
        half_px: half a patch in working px, 0 where patches cannot be halved.
    """
    px = int(half_px > 0 and half_px % 2 == 0)
    moves = ((0, 0), (half_px - px, px), (half_px, half_px - px), (px, half_px))[:views]
    return tuple(replace(window, x=window.x - x, y=window.y - y, turns=turns) for turns, (x, y) in enumerate(moves))


def nearest_cell(start_px: int, cell_px: int) -> int:
    """The cell at whose beginning a window begins, up to the px by which views are moved further or less."""
    return (start_px + cell_px // 2) // cell_px


def make_frame(info: SlideInfo, mpp: float, stride_px: int) -> Frame:
    """Lay out an input at a working resolution; nothing is ever magnified.

    Args:
        info: the input.
        mpp: µm per working px asked for.
        stride_px: working px per token.
    """
    scale, note = 1.0, ""
    if info.mpp is None:
        note = "worked at its own pixel size, since its µm/px is unknown"
    elif info.mpp > mpp * _COARSER:
        note = f"worked at its own {info.mpp:g} µm/px, since it is coarser than the {mpp:g} µm/px asked for"
    else:
        scale = min(info.mpp / mpp, 1.0)
    width, height = (max(1, round(length * scale)) for length in info.size)
    t_mpp = None if info.mpp is None else info.mpp * info.size[0] / width
    return Frame(info.size, (width, height), t_mpp, stride_px, (-(-width // stride_px), -(-height // stride_px)), note)


def plan_windows(frame: Frame, rule: WindowRule, patch_px: int, shift_px: int = 0) -> list[Window]:
    """Cover a frame with overlapping windows in reading order.

    Beyond the halo of every window the whole token grid is covered. A last window that would stick out is moved back,
    so that a window never lies mostly outside the image.

    Args:
        frame: the frame to cover.
        rule: size, overlap and halo of the windows.
        patch_px: working px per token, a multiple of the frame's stride.
        shift_px: move the whole layout up and left by this many px, a multiple of the patch; modulo the step.
    """
    (width, xs), (height, ys) = (_span(g * frame.stride_px, rule, patch_px, shift_px) for g in frame.g_size)
    return [Window(x, y, (width, height)) for y in ys for x in xs]


def _span(covered_px: int, rule: WindowRule, patch_px: int, shift_px: int) -> tuple[int, list[int]]:
    """Window length and starts along one axis of ``covered_px``; all starts lie whole patches apart."""
    covered_px = -(-covered_px // patch_px) * patch_px
    end = covered_px + rule.halo_px
    needed = covered_px + 2 * rule.halo_px
    length = rule.size_px if rule.fixed else min(rule.size_px, -(-needed // patch_px) * patch_px)
    step = max(length - rule.overlap_px, patch_px)
    first = -rule.halo_px - shift_px % step
    last = max(end - length, -rule.halo_px)
    return length, [*range(first, last, step), last]


def _ramp(length_px: int, rule: WindowRule, stride_px: int) -> NDArray[np.float64]:
    """The taper along one axis, a value per token."""
    centers = (np.arange(length_px // stride_px) + 0.5) * stride_px
    inside = np.minimum(centers, length_px - centers) - rule.halo_px
    rise = max(rule.overlap_px - 2 * rule.halo_px, stride_px / 2)
    ramp: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(inside / rise, 0.0, 1.0)) ** 2
    return ramp


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


def _total(cells: int, length: int, starts: Iterable[int], rule: WindowRule, cell: int) -> NDArray[np.float64]:
    """Sum of the tapers along one axis of the grid."""
    total, ramp = np.zeros(cells), _ramp(length, rule, cell)
    for start in starts:
        on_grid, inside = _cells_seen(start, length, cell, cells)
        total[on_grid] += ramp[inside]
    return total


def _share(total: NDArray[np.float64], start: int, length: int, rule: WindowRule, cell: int) -> NDArray[np.float64]:
    """A window's part of the sum along one axis; 0 in its halo and beyond the grid."""
    ramp = _ramp(length, rule, cell)
    share = np.zeros_like(ramp)
    on_grid, inside = _cells_seen(start, length, cell, len(total))
    share[inside] = np.divide(ramp[inside], total[on_grid], out=share[inside].copy(), where=ramp[inside] > 0)
    return share


def token_overlap(frame: Frame, window: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a window's tokens lie on the grid: ((grid rows, columns), (window rows, columns))."""
    (gx, wx), (gy, wy) = (
        _cells_seen(start, length, frame.stride_px, tokens)
        for start, length, tokens in zip((window.x, window.y), window.size, frame.g_size, strict=True)
    )
    return (gy, gx), (wy, wx)


def visible_region(frame: Frame, window: Window) -> tuple[Region, tuple[tuple[int, int], tuple[int, int]]]:
    """The part of a window that lies inside the image, and the (rows, columns) of padding around it in working px."""
    scale_x, scale_y = frame.l0_per_px
    (x, _), (y, _) = (
        _overlap(start, length, limit)
        for start, length, limit in zip((window.x, window.y), window.size, frame.t_size, strict=True)
    )
    width, height = x.stop - x.start, y.stop - y.start
    region = Region(
        x.start * scale_x, y.start * scale_y, width * scale_x, height * scale_y, (width, height), frame.t_mpp
    )
    padding = tuple(
        (part.start - start, start + length - part.stop)
        for part, start, length in zip((y, x), (window.y, window.x), window.size[::-1], strict=True)
    )
    return region, (padding[0], padding[1])


def _cells_seen(start_px: int, length_px: int, cell_px: int, limit: int) -> tuple[slice, slice]:
    """Where the cells of a window lie along an axis of the grid, in the grid's frame and in the window's."""
    return _overlap(nearest_cell(start_px, cell_px), length_px // cell_px, limit)


def _overlap(start: int, length: int, limit: int) -> tuple[slice, slice]:
    """Overlap of [start, start + length) with [0, limit), in the limit's frame and in the window's."""
    low, high = max(start, 0), min(start + length, limit)
    return slice(low, high), slice(low - start, high - start)
