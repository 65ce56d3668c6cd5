"""Borders that follow the image: weights averaged with those of tokens nearby that have the same colour.

A joint bilateral filter (Petschnigg et al., ACM TOG 23(3), 2004): every token of tissue takes the mean of the weights
around it, weighted by nearness in place and in the mean colour of the px that tokens stand for. Where two tissues meet
colours change, and weights are not mixed across. A few narrow rounds reach further than one, and not around corners.

A token depends on no others than those ``REACH`` rows and columns around it, so bands from top to bottom give the very
weights that a whole input gives; they come that many rows late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.records import Float

BORDERS = ("exact", "image")  # weights of tokens as they are, and those that follow the image
RADIUS, ROUNDS = 3, 4  # tokens around a token that are averaged at a time; how often
REACH = RADIUS * ROUNDS
_PLACE, _COLOUR = 2.0, 0.035  # standard deviations: tokens, and colour in [0, 1] a channel
_BAND = 4  # token rows that one thread filters at a time

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WeighedRows:
    """Rows of weighed tokens.

    Attributes:
        g_rows: (start, stop) of them.
        weights: (rows, w, K) ≥ 0.
        residual: (rows, w) in [0, 1].
        tissue: (rows, w) tokens that were weighed.
        unreadable: (rows, w) tokens over px that cannot be read.
        colours: (rows, w, 3) mean colour of their px, in [0, 1]; None where borders need not follow it.
    """

    g_rows: tuple[int, int]
    weights: Float
    residual: Float
    tissue: Mask
    unreadable: Mask
    colours: Float | None = None


_ARRAYS = ("weights", "residual", "tissue", "unreadable", "colours")


class ImageBorders:
    """Rows of tokens in, from the first to the last; rows out whose weights follow the image, ``REACH`` rows late.

    Args:
        rows: of the whole grid.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._held: WeighedRows | None = None  # what later rows depend on, and rows that are not out yet
        self._next = 0  # the first row that is not out yet

    def state(self) -> dict[str, NDArray[Any]]:
        """What ``restore`` needs."""
        if self._held is None:
            return {}
        held = {f"borders_{name}": getattr(self._held, name) for name in _ARRAYS}
        return {**held, "borders_rows": np.array([*self._held.g_rows, self._next])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from ``state``."""
        if "borders_rows" in state:
            start, stop, self._next = (int(row) for row in state["borders_rows"])
            self._held = WeighedRows((start, stop), *(state[f"borders_{name}"] for name in _ARRAYS))

    def rows(self, more: WeighedRows) -> WeighedRows:
        """The rows that become known with these; none, where there are too few.

        Args:
            more: the next rows, with their colours.
        """
        held = more if self._held is None else _joined(self._held, more)
        (start, known), first = held.g_rows, self._next
        stop = known if known == self._rows else max(first, known - REACH)
        weights = followed(held.weights, _known(held), held.tissue) if stop > first else held.weights
        out = _cut(replace(held, weights=weights), first, stop)
        self._next, self._held = stop, _cut(held, max(start, stop - REACH), known)
        return out


def followed(weights: Float, colours: Float, tissue: Mask, *, rounds: int = ROUNDS, colour: float = _COLOUR) -> Float:
    """Weights that follow the image.

    Args:
        weights: (h, w, K) ≥ 0.
        colours: (h, w, 3) in [0, 1].
        tissue: (h, w) tokens that take part; the others get none.
        rounds: how often they are averaged.
        colour: standard deviation of a channel.

    Returns:
        (h, w, K) float32.
    """
    place = np.exp(-(np.arange(RADIUS + 1, dtype=np.float32) ** 2) / np.float32(2 * _PLACE**2))
    found, colours = np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(colours, np.float32)
    for _ in range(rounds):
        before, found = found, np.zeros_like(found)

        def average(rows: slice, before: Float = before, found: Float = found) -> None:
            _average(before, colours, tissue, place, np.float32(0.5 / colour**2), rows.start, rows.stop, found)

        map_blocks(average, len(before), _BAND)
    return found


def _known(rows: WeighedRows) -> Float:
    if rows.colours is None:
        raise ValueError("token rows without their colours")
    return rows.colours


def _joined(above: WeighedRows, below: WeighedRows) -> WeighedRows:
    joined = (np.concatenate([getattr(above, name), getattr(below, name)]) for name in _ARRAYS)
    return WeighedRows((above.g_rows[0], below.g_rows[1]), *joined)


def _cut(rows: WeighedRows, start: int, stop: int) -> WeighedRows:
    part = slice(start - rows.g_rows[0], stop - rows.g_rows[0])
    return WeighedRows((start, stop), *(getattr(rows, name)[part] for name in _ARRAYS))


@numba.njit(cache=True, nogil=True)
def _average(weights, colours, tissue, place, sharpness, start, stop, found):
    """One round for the rows from ``start`` to ``stop``."""
    height, width, k = weights.shape
    for y in range(start, stop):
        for x in range(width):
            if not tissue[y, x]:
                continue
            total = np.float32(0)
            for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
                for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                    if not tissue[v, u]:
                        continue
                    apart = np.float32(0)
                    for c in range(3):
                        step = colours[v, u, c] - colours[y, x, c]
                        apart += step * step
                    near = place[abs(v - y)] * place[abs(u - x)] * np.exp(-apart * sharpness)
                    total += near
                    for i in range(k):
                        found[y, x, i] += near * weights[v, u, i]
            for i in range(k):
                found[y, x, i] /= total
