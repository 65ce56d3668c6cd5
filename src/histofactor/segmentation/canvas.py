"""A strip of canvas on which the responses of overlapping windows are blended before anything is solved.

It holds only the token rows that windows still to come may touch, and moves down the input: memory grows with the
width of a slide and the height of a window, not with the slide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.records import WindowRule
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.geometry.tapers import tapers_of
from histofactor.slides.geometry.windows import Window, nearest_cell, token_overlap

_NEAREST = np.dtype([("own", np.int64), ("other", np.int64), ("of_own", np.float32), ("of_other", np.float32)])

Float = NDArray[np.float32]
Nearest = NDArray[np.void]
"""Of every cell along an axis its own token, the other that it lies towards, and the parts of both."""


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
        for window, tokens, norms in zip(windows, B, sq_norms, strict=True):
            weight = self._shares(window)
            (rows, columns), part = token_overlap(self._frame, window)
            part = (slice(part[0].start + max(self._top - rows.start, 0), part[0].stop), part[1])
            strip = slice(max(rows.start - self._top, 0), rows.stop - self._top), columns
            self._reach(rows.stop)
            down, across = self._nearest(window, len(tokens))
            place = down[part[0]], across[part[1]], np.ascontiguousarray(weight[part])
            _add(self._sum[strip], np.ascontiguousarray(tokens, np.float32), *place)
            _add(self._sq_norms[strip][..., None], np.ascontiguousarray(norms, np.float32)[..., None], *place)
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

    def _nearest(self, window: Window, tokens: int) -> tuple[Nearest, Nearest]:
        """The tokens that the cells of a window lie between, down and across it: cells are tokens or halves of them."""
        patch_px, cell_px, frame = window.size[1] // tokens, self._frame.stride_px, self._frame
        found = []
        for start, length, side in zip((window.y, window.x), window.size[::-1], frame.t_size[::-1], strict=True):
            n = length // patch_px
            if patch_px == cell_px:
                found.append(_whole(n))
            else:
                late = (start - cell_px * nearest_cell(start, cell_px)) / patch_px
                found.append(_halves(n, (max(-start, 0) // patch_px, (side - start - 1) // patch_px), late))
        return found[0], found[1]

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


def _whole(tokens: int) -> Nearest:
    """Cells that are tokens."""
    found = np.zeros(tokens, _NEAREST)
    found["own"] = found["other"] = np.arange(tokens)
    found["of_own"] = 1
    return found


def _halves(tokens: int, seen: tuple[int, int], late: float) -> Nearest:
    """Cells of half a token, by linear interpolation between centres of tokens.

    A cell lies a quarter of a token from the centre of its own: it takes three parts of that and one of the next
    nearest, if that is one of those from ``seen[0]`` to ``seen[1]``, which lie on the image. Where tokens begin
    ``late`` by a share of themselves, at most a quarter, earlier cells take so much more of the next, later ones less.
    """
    found, places = np.zeros(2 * tokens, _NEAREST), np.arange(tokens)
    first, last = (int(np.clip(end, 0, tokens - 1)) for end in seen)
    for half, (step, other) in enumerate(((-1, 0.25 + late), (1, 0.25 - late))):
        cells = found[half::2]
        cells["own"], cells["other"] = places, np.clip(places + step, first, last)
        cells["of_own"], cells["of_other"] = 1 - other, other
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add(strip, tokens, down, across, weight):
    """Add the values of cells between tokens (h, w, r), times their weights (rows, columns), to a strip of the canvas.

    The order of sums is down, then across.
    """
    for y in range(len(down)):
        above, below = tokens[down[y].own], tokens[down[y].other]
        a, b = down[y].of_own, down[y].of_other
        for x in range(len(across)):
            here, share = strip[y, x], weight[y, x]
            if share == 0:
                continue
            left, right, c, d = across[x].own, across[x].other, across[x].of_own, across[x].of_other
            for r in range(len(here)):
                one = a * above[left, r] + b * below[left, r]
                two = a * above[right, r] + b * below[right, r]
                here[r] += (c * one + d * two) * share
