"""Weights to labels: bilinear upsampling and argmax in one pass, never a map per concept.

Between four neighbouring tokens every weight is a bilinear function of position, so only concepts present at one of
the four corners can win there. The kernel walks the token cells, gathers those few candidates, and evaluates them px
by px. Sampling follows the half-pixel convention (``align_corners=False``).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.factor.workers import map_blocks

_BAND = 8  # token rows that one thread decodes at a time

Labels = NDArray[np.unsignedinteger[Any]]


def decode(weights: NDArray[np.floating[Any]], size: tuple[int, int]) -> Labels:
    """Index of the largest bilinearly upsampled weight at every px; ties go to the lower index.

    Args:
        weights: (h, w, K) ≥ 0, finite.
        size: (height, width) of the result in px.

    Returns:
        (height, width) unsigned 0-based concept indices; 0 where all weights are 0.

    Raises:
        OptionError: the shape or the size is not valid.
    """
    labels, _ = label_pixels(weights, size)
    return np.maximum(labels, 1) - labels.dtype.type(1)


def label_pixels(weights: NDArray[np.floating[Any]], size: tuple[int, int]) -> tuple[Labels, NDArray[np.float32]]:
    """Labels with room for "unassigned", and how clearly they won.

    Args:
        weights: (h, w, K) ≥ 0, finite.
        size: (height, width) of the result in px.

    Returns:
        (labels, margin): labels (height, width) hold concept index + 1, or 0 where all weights are 0, as uint8 or
        uint16; margin (height, width) float32 is (first − second) / first in [0, 1], 0 where unassigned.

    Raises:
        OptionError: the shape or the size is not valid.
    """
    values = np.ascontiguousarray(weights, np.float32)
    height, width = size
    if values.ndim != 3 or min(values.shape) < 1 or min(size) < 1 or values.shape[2] > 65534:
        raise OptionError(
            "cannot decode",
            expected="weights (h, w, K) and size (height, width), all ≥ 1, K ≤ 65534",
            got=f"weights {values.shape}, size {size}",
        )
    labels = np.empty((height, width), np.min_scalar_type(values.shape[2]))
    margin = np.empty((height, width), np.float32)
    rows, columns = _sampling(values.shape[0], height), _sampling(values.shape[1], width)

    def decode_band(band: slice) -> None:
        _decode_cells(values, (band.start, band.stop), *rows, *columns, labels, margin)

    map_blocks(decode_band, values.shape[0], _BAND)
    return labels, margin


def _sampling(tokens: int, px: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every token cell the first px it covers (tokens + 1,), and for every px its place in the cell (px,)."""
    position = np.clip((np.arange(px) + 0.5) * (tokens / px) - 0.5, 0, tokens - 1)
    cell = position.astype(np.int64)
    return np.searchsorted(cell, np.arange(tokens + 1)), (position - cell).astype(np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _candidates(a, b, c, d, found):
    """Concepts that can have the largest or second largest weight between four tokens; returns how many.

    A concept whose largest corner lies below the second largest of all smallest corners never comes second.
    """
    count = 0
    floor_first, floor_second = np.float32(0.0), np.float32(0.0)
    for k in range(a.shape[0]):
        if max(a[k], b[k], c[k], d[k]) > floor_second:
            found[count] = k
            count += 1
            low = min(a[k], b[k], c[k], d[k])
            if low > floor_first:
                floor_first, floor_second = low, floor_first
            elif low > floor_second:
                floor_second = low
    return count


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _rank_row(corners, found, count, t, part, first, second, best):
    """Largest weight, second largest and label of the px of one cell row, all candidates in turn."""
    first[:] = 0.0
    second[:] = 0.0
    best[:] = 0
    for m in range(count):
        k = found[m]
        left = corners[0][k] + t * (corners[2][k] - corners[0][k])
        step = corners[1][k] + t * (corners[3][k] - corners[1][k]) - left
        for x in range(part.shape[0]):
            v = left + part[x] * step
            f = first[x]
            second[x] = max(second[x], min(v, f))
            best[x] = k + 1 if v > f else best[x]
            first[x] = max(v, f)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _decode_cells(values, band, row_start, row_part, column_start, column_part, labels, margin):
    h, w, K = values.shape
    found = np.empty(K, np.int64)
    widest = (column_start[1:] - column_start[:-1]).max()
    first, second = np.empty(widest, np.float32), np.empty(widest, np.float32)
    best = np.empty(widest, np.int32)
    for i in range(band[0], band[1]):
        below = min(i + 1, h - 1)
        for j in range(w):
            right = min(j + 1, w - 1)
            corners = (values[i, j], values[i, right], values[below, j], values[below, right])
            count = _candidates(*corners, found)
            x0, x1 = column_start[j], column_start[j + 1]
            part, n = column_part[x0:x1], x1 - x0
            for y in range(row_start[i], row_start[i + 1]):
                _rank_row(corners, found, count, row_part[y], part, first[:n], second[:n], best[:n])
                for x in range(n):
                    labels[y, x0 + x] = best[x]
                    margin[y, x0 + x] = (first[x] - second[x]) / first[x] if best[x] > 0 else np.float32(0.0)
