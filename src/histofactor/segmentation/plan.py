"""What will be done to one input: its frame, its tissue, and the rows of windows that cover it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histofactor.errors import ImageError, ResolutionError
from histofactor.records import WindowRule
from histofactor.records.urls import Input
from histofactor.segmentation.setup import Setup, TissueRule
from histofactor.slides.geometry.frame import Frame, make_frame
from histofactor.slides.geometry.views import cell_px, rule_of_views, views_of
from histofactor.slides.geometry.windows import Window, nearest_cell, plan_windows, token_overlap
from histofactor.slides.reader import Slide
from histofactor.slides.slide_parts import slide_name
from histofactor.slides.thumbnail import read_thumbnail
from histofactor.slides.tissue import ASSUMED_MPP, tissue_mask
from histofactor.slides.user_mask import read_mask

_TISSUE_UM = 8.0  # µm/px of the thumbnail on which tissue is found
_TISSUE_PX = (1024, 4096)  # its long side, at least and at most
_BLOCKS_TOLD = 10
_CHUNK = 64  # token rows of the tissue map worked at a time

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One row of windows.

    Attributes:
        windows: those that hold tissue, from left to right, every one followed by its other views.
        g_rows: token rows (start, stop) that no later window touches, and no row before it has finished.
    """

    windows: tuple[Window, ...]
    g_rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done to one input.

    Attributes:
        frame: how level 0, working px and tokens relate.
        thumbnail: (h, w) bool, tissue on a thumbnail of the whole input.
        g_tissue: (rows, columns) tokens that hold any tissue.
        rule: how windows are cut and blended.
        layout: all windows in all their views, with tissue or without.
        rows: the rows of windows from top to bottom; their ``g_rows`` follow each other and cover the grid.
    """

    frame: Frame
    thumbnail: Mask
    g_tissue: Mask
    rule: WindowRule
    layout: tuple[Window, ...]
    rows: tuple[WindowRow, ...]

    @property
    def windows(self) -> int:
        """Number of windows to encode, every view counted."""
        return sum(len(row.windows) for row in self.rows)

    @property
    def is_one_row(self) -> bool:
        """Whether no more than one row has windows."""
        return sum(bool(row.windows) for row in self.rows) < 2


def make_plan(slide: Slide, setup: Setup) -> Plan:
    """Find the tissue of an open input and lay out its windows.

    Raises:
        ResolutionError: a µm/px is asked for and the input states none.
        ImageError: the tissue mask that the user brings cannot be used.
    """
    info, spec = slide.info, setup.encoder.spec
    if setup.mpp is not None and info.mpp is None:
        raise ResolutionError(
            f"{info.path or 'the array'} cannot be worked at {setup.mpp:g} µm/px",
            expected="µm/px in its header",
            got="none",
            mend="state it with --source-mpp, or leave --mpp out",
        )
    frame = make_frame(info, setup.mpp or spec.mpp, cell_px(spec.patch_px, setup.views))
    return lay_windows(frame, setup, _find_tissue(slide, setup.tissue, frame))


def lay_windows(frame: Frame, setup: Setup, thumbnail: Mask) -> Plan:
    """Lay out the windows of an input whose tissue is known.

    Args:
        frame: of the input.
        setup: how tokens come about.
        thumbnail: (h, w) bool, tissue on a thumbnail of the whole input.
    """
    spec = setup.encoder.spec
    g_tissue = _on_grid(thumbnail, frame)
    patch = spec.patch_px
    rule = rule_of_views(spec.window, patch, setup.views)
    windows = plan_windows(frame, rule, patch, setup.shift_px // patch * patch)
    rows = [list(row) for _, row in groupby(windows, key=lambda window: window.y)]
    views = tuple(view for window in windows for view in views_of(window, setup.views, frame.stride_px % patch))
    return Plan(frame, thumbnail, g_tissue, rule, views, _window_rows(frame, setup, g_tissue, rule, rows))


def subsample_windows(plan: Plan, setup: Setup, windows: int, rng: np.random.Generator) -> Plan:
    """A plan of so many of the windows, drawn at random, and of the tissue that they see well.

    Args:
        plan: from ``make_plan``.
        setup: how tokens come about.
        windows: how many to keep, each in all its views; a plan of no more stays as it is.
        rng: source of chance.
    """
    views = setup.views
    if plan.windows <= windows * views:
        return plan
    halo = plan.rule.halo_px // plan.frame.stride_px
    drawn = set(rng.permutation(plan.windows // views)[:windows].tolist())
    seen = np.zeros_like(plan.g_tissue)
    rows, index = [], 0
    for row in plan.rows:
        kept = tuple(window for i, window in enumerate(row.windows, index) if i // views in drawn)
        index += len(row.windows)
        rows.append(replace(row, windows=kept))
        for window in kept[::views]:
            seen[_beyond_halo(plan.frame, window, halo)] = True
    return replace(plan, g_tissue=plan.g_tissue & seen, rows=tuple(rows))


def tissue_rows(thumbnail: Mask, frame: Frame, start: int, stop: int) -> Mask:
    """Tissue of the working px rows from ``start`` to ``stop``, (rows, width), by the nearest px of the thumbnail."""
    height, width = thumbnail.shape
    rows = (np.arange(start, stop) + 0.5) * (height / frame.t_size[1])
    columns = (np.arange(frame.t_size[0]) + 0.5) * (width / frame.t_size[0])
    whole = rows.astype(np.intp)
    first = int(whole[0]) if len(whole) else 0
    wide = thumbnail[first : int(whole[-1]) + 1 if len(whole) else 0][:, columns.astype(np.intp)]
    found: Mask = wide[whole - first]
    return found


def unreadable_share(unreadable: Mask, plan: Plan) -> tuple[float, str]:
    """Share of the tissue under tokens (rows, columns) that cannot be read, and a sentence that tells where, or ""."""
    if not unreadable.any():
        return 0.0, ""
    step_x, step_y = (l0 * plan.frame.stride_px for l0 in plan.frame.l0_per_px)
    share = float((unreadable & plan.g_tissue).sum() / max(plan.g_tissue.sum(), 1))
    blocks = ndimage.find_objects(ndimage.label(unreadable, np.ones((3, 3)))[0])
    places = []
    for rows, columns in blocks[:_BLOCKS_TOLD]:
        width, height = (columns.stop - columns.start) * step_x, (rows.stop - rows.start) * step_y
        places.append(f"{width:.0f} × {height:.0f} px at ({columns.start * step_x:.0f}, {rows.start * step_y:.0f})")
    more = f" and {len(blocks) - _BLOCKS_TOLD} more blocks" if len(blocks) > _BLOCKS_TOLD else ""
    return share, f"{share:.2%} of the tissue cannot be read and has label 0: {', '.join(places)}{more}"


def _find_tissue(slide: Slide, rule: TissueRule, frame: Frame) -> Mask:
    """Tissue on a thumbnail of the whole input; what cannot be read counts, so that it will be told."""
    long_um = max(frame.t_size) * (frame.t_mpp or ASSUMED_MPP)
    shrink = min(1.0, float(np.clip(long_um / _TISSUE_UM, *_TISSUE_PX)) / max(frame.t_size))
    size = (max(1, round(frame.t_size[0] * shrink)), max(1, round(frame.t_size[1] * shrink)))
    if rule.mask is not None:
        return read_mask(mask_of(rule.mask, slide.info.path), size[::-1])
    if not rule.find:
        return np.ones(size[::-1], bool)
    rgb, readable = read_thumbnail(slide, size)
    mpp = (slide.info.mpp or ASSUMED_MPP) * slide.info.size[0] / size[0]
    return tissue_mask(rgb, mpp) | ~readable


def mask_of(masks: Path, source: Input | None) -> Path:
    """The mask of an input: the file given, or the one called like the slide in the folder given."""
    if not masks.is_dir() or source is None:
        return masks
    names = {source.stem, slide_name(source)}
    found = sorted(path for path in masks.iterdir() if path.stem in names)
    if len(found) != 1:
        raise ImageError(
            f"no tissue mask for {source.name} in {masks}",
            expected=f"one image called {slide_name(source)}.png",
            got=", ".join(path.name for path in found) or "none",
        )
    return found[0]


def _on_grid(thumbnail: Mask, frame: Frame) -> Mask:
    """Tokens (rows, columns) that hold any tissue."""
    columns, rows = frame.g_size
    stride, (width, height) = frame.stride_px, frame.t_size
    found = np.zeros((rows, columns), bool)
    for top in range(0, rows, _CHUNK):
        bottom = min(top + _CHUNK, rows)
        padded = np.zeros(((bottom - top) * stride, columns * stride), bool)
        tissue = tissue_rows(thumbnail, frame, top * stride, min(bottom * stride, height))
        padded[: len(tissue), :width] = tissue
        found[top:bottom] = padded.reshape(bottom - top, stride, columns, stride).any(axis=(1, 3))
    return found


def _window_rows(
    frame: Frame, setup: Setup, g_tissue: Mask, rule: WindowRule, rows: list[list[Window]]
) -> tuple[WindowRow, ...]:
    """Rows of windows with tissue, and the token rows that each of them finishes."""
    stride, patch, views = frame.stride_px, setup.encoder.spec.patch_px, setup.views
    halo, half_px = rule.halo_px // stride, stride % patch
    viewed = [[views_of(window, views, half_px) for window in row] for row in rows]
    # of what a row's views touch beyond their halo
    tops = [min(nearest_cell(view.y, stride) for view in row[0]) + halo for row in viewed[1:]]
    ends = [*(min(max(top, 0), frame.g_size[1]) for top in tops), frame.g_size[1]]
    starts = [0, *ends[:-1]]
    held = [[seen for seen in row if any(_holds(g_tissue, frame, view, halo) for view in seen)] for row in viewed]
    return tuple(
        WindowRow(tuple(view for seen in row for view in seen), (start, end))
        for row, start, end in zip(held, starts, ends, strict=True)
    )


def _holds(g_tissue: Mask, frame: Frame, window: Window, halo: int) -> bool:
    """Whether a window has tissue beyond its halo."""
    return bool(g_tissue[_beyond_halo(frame, window, halo)].any())


def _beyond_halo(frame: Frame, window: Window, halo: int) -> tuple[slice, slice]:
    """The part of the token grid, (rows, columns), that a window covers beyond its halo."""
    (rows, columns), (in_rows, in_columns) = token_overlap(frame, window)
    height, width = window.size[1] // frame.stride_px, window.size[0] // frame.stride_px
    return _inner(rows, in_rows, height, halo), _inner(columns, in_columns, width, halo)


def _inner(grid: slice, inside: slice, length: int, halo: int) -> slice:
    """The part of a stretch of the grid that lies beyond the halo of a window of so many tokens."""
    cut_before, cut_after = max(halo - inside.start, 0), max(inside.stop - (length - halo), 0)
    return slice(grid.start + cut_before, max(grid.stop - cut_after, grid.start + cut_before))
