"""A map of px at half the size, and half of that, and so on: all levels from one reading of it in bands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Raster

_SMALLEST_PX = 512


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the (height, width) of every level, the full one first, until the long side is at most 512 px."""
    height, width = shape
    shapes = [(height, width)]
    while max(height, width) > _SMALLEST_PX:
        height, width = -(-height // 2), -(-width // 2)
        shapes.append((height, width))
    return shapes


def level_bands(raster: Raster, rows: int, levels: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield every level band by band from top to bottom, reading the map once; level i is ``raster[::2**i, ::2**i]``.

    Lower levels come before the band that completes them, so whoever stops after the last band of level 0 has all.

    Args:
        raster: (height, width).
        rows: rows of a band at every level, even; the last may have fewer.
        levels: number of levels.

    Yields:
        (level, band): band (rows, width of the level).
    """
    height = raster.shape[0]
    halves: list[list[NDArray[Any]]] = [[] for _ in range(levels)]
    for top in range(0, height, rows):
        yield from _with_lower(raster[top : top + rows], 0, halves, last=top + rows >= height)


def _with_lower(
    band: NDArray[Any], level: int, halves: list[list[NDArray[Any]]], *, last: bool
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield a band of one level, after the bands of lower levels that it completes."""
    if level + 1 < len(halves):
        held = halves[level + 1]
        held.append(np.ascontiguousarray(band[::2, ::2]))
        if last or len(held) == 2:
            below = np.concatenate(held)
            held.clear()
            yield from _with_lower(below, level + 1, halves, last=last)
    yield level, band
