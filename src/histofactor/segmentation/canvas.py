"""A strip of canvas on which the responses of overlapping windows are blended before anything is solved.

It holds only the token rows that windows still to come may touch, and moves down the input: memory grows with the
width of a slide and the height of a window, not with the slide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from histofactor.records import WindowRule
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.geometry.tapers import tapers_of
from histofactor.slides.geometry.windows import Window, nearest_cell, token_overlap

Float = NDArray[np.float32]


class Canvas:
    """Tapered sums of responses on a strip of the token grid.

    Responses are linear in the features, so their weighted mean is the response of the weighted mean of the features:
    blending here is exact, at K numbers a token instead of the encoder's width.

    Args:
        frame: the frame of the input.
        rule: the window rule, which sets the taper.
        layout: every window that may be added, and those that are left out for want of tissue.
        width: numbers a token.
    """

    def __init__(self, frame: Frame, rule: WindowRule, layout: Sequence[Window], width: int) -> None:
        self._frame, self._width = frame, width
        self._shares = tapers_of(frame, rule, layout)
        self._top = 0
        self._sum, self._sq_norms, self._weight = self._blank(0)

    def add(self, windows: Sequence[Window], B: Sequence[Float], sq_norms: Sequence[Float]) -> None:
        """Add the responses B (h, w, width) and squared norms (h, w) of windows, to every cell beyond the halo."""
        for window, *tokens in zip(windows, B, sq_norms, strict=True):
            responses, norms = (self._on_cells(values, window) for values in tokens)
            weight = self._shares(window)
            (rows, columns), part = token_overlap(self._frame, window)
            part = (slice(part[0].start + max(self._top - rows.start, 0), part[0].stop), part[1])
            strip = slice(max(rows.start - self._top, 0), rows.stop - self._top), columns
            self._reach(rows.stop)
            self._sum[strip] += responses[part] * weight[part][..., None]
            self._sq_norms[strip] += norms[part] * weight[part]
            self._weight[strip] += weight[part]

    def take(self, stop: int) -> tuple[Float, Float]:
        """Mean responses (rows, w, width) and squared norms (rows, w) of the rows up to ``stop``, which go.

        Tokens on which no window fell hold 0.
        """
        self._reach(stop)
        rows = slice(0, stop - self._top)
        weight = self._weight[rows]
        inverse = np.divide(1, weight, out=np.zeros_like(weight), where=weight > 0)
        mean, sq_norms = self._sum[rows] * inverse[..., None], self._sq_norms[rows] * inverse
        self._sum, self._sq_norms, self._weight = (
            part[rows.stop :].copy() for part in (self._sum, self._sq_norms, self._weight)
        )
        self._top = stop
        return mean, sq_norms

    def state(self) -> dict[str, NDArray[np.generic]]:
        """All it holds, for ``restore``."""
        return {
            "canvas_top": np.array(self._top),
            "canvas_sum": self._sum,
            "canvas_sq_norms": self._sq_norms,
            "canvas_weight": self._weight,
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what ``state`` returned."""
        self._top = int(state["canvas_top"])
        self._sum, self._sq_norms, self._weight = (
            np.asarray(state[f"canvas_{name}"], np.float32) for name in ("sum", "sq_norms", "weight")
        )

    def _on_cells(self, values: Float, window: Window) -> Float:
        """Values of tokens (h, w, …) on the cells of a window: its tokens or, between them, halves of tokens."""
        patch_px = window.size[1] // len(values)
        if patch_px == self._frame.stride_px:
            return values
        cell_px = self._frame.stride_px
        for axis, start, side in ((0, window.y, self._frame.t_size[1]), (1, window.x, self._frame.t_size[0])):
            late = (start - cell_px * nearest_cell(start, cell_px)) / patch_px
            values = _halved(values, axis, (max(-start, 0) // patch_px, (side - start - 1) // patch_px), late)
        return values

    def _reach(self, stop: int) -> None:
        """Let the strip hold the rows up to ``stop``."""
        missing = stop - self._top - len(self._weight)
        if missing > 0:
            self._sum, self._sq_norms, self._weight = (
                np.concatenate([part, blank])
                for part, blank in zip((self._sum, self._sq_norms, self._weight), self._blank(missing), strict=True)
            )

    def _blank(self, rows: int) -> tuple[Float, Float, Float]:
        grid = (rows, self._frame.g_size[0])
        return np.zeros((*grid, self._width), np.float32), np.zeros(grid, np.float32), np.zeros(grid, np.float32)


def _halved(values: Float, axis: int, seen: tuple[int, int], late: float) -> Float:
    """Values of tokens on cells of half a token along an axis, by linear interpolation between centres of tokens.

    A cell lies a quarter of a token from the centre of its own: it takes three parts of that and one of the next
    nearest, if that is one of those from ``seen[0]`` to ``seen[1]``, which lie on the image. Where tokens begin
    ``late`` by a share of themselves, at most a quarter, earlier cells take so much more of the next, later ones less.
    """
    places = np.arange(values.shape[axis])
    first, last = (int(np.clip(end, 0, places[-1])) for end in seen)
    sides = [
        (1 - other) * values + other * values.take(np.clip(places + step, first, last), axis)
        for step, other in ((-1, 0.25 + late), (1, 0.25 - late))
    ]
    shape = (*values.shape[:axis], 2 * len(places), *values.shape[axis + 1 :])
    return np.stack(sides, axis + 1).reshape(shape).astype(np.float32, copy=False)
