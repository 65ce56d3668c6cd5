"""The windows that cover a frame, and where their tokens lie on its grid."""

from __future__ import annotations

from dataclasses import dataclass

from histofactor.records import Region, WindowRule
from histofactor.slides.geometry.frame import Frame


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


def nearest_cell(start_px: int, cell_px: int) -> int:
    """The cell at whose beginning a window begins, up to the px by which views are moved further or less."""
    return (start_px + cell_px // 2) // cell_px


def token_overlap(frame: Frame, window: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a window's tokens lie on the grid: ((grid rows, columns), (window rows, columns))."""
    (gx, wx), (gy, wy) = (
        cells_seen(start, length, frame.stride_px, tokens)
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


def cells_seen(start_px: int, length_px: int, cell_px: int, limit: int) -> tuple[slice, slice]:
    """Where the cells of a window lie along an axis of the grid, in the grid's frame and in the window's."""
    return _overlap(nearest_cell(start_px, cell_px), length_px // cell_px, limit)


def _overlap(start: int, length: int, limit: int) -> tuple[slice, slice]:
    """Overlap of [start, start + length) with [0, limit), in the limit's frame and in the window's."""
    low, high = max(start, 0), min(start + length, limit)
    return slice(low, high), slice(low - start, high - start)
