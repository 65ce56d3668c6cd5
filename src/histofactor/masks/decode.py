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
def _decode_cells(values, band, row_start, row_part, column_start, column_part, labels, margin):
    h, w, K = values.shape
    found = np.empty(K, np.int64)
    left, step = np.empty(K, np.float32), np.empty(K, np.float32)
    for i in range(band[0], band[1]):
        below = min(i + 1, h - 1)
        for j in range(w):
            right = min(j + 1, w - 1)
            a, b, c, d = values[i, j], values[i, right], values[below, j], values[below, right]
            count = 0
            for k in range(K):
                if a[k] > 0.0 or b[k] > 0.0 or c[k] > 0.0 or d[k] > 0.0:
                    found[count] = k
                    count += 1
            for y in range(row_start[i], row_start[i + 1]):
                t = row_part[y]
                for m in range(count):
                    k = found[m]
                    left[m] = a[k] + t * (c[k] - a[k])
                    step[m] = b[k] + t * (d[k] - b[k]) - left[m]
                for x in range(column_start[j], column_start[j + 1]):
                    s = column_part[x]
                    first, second, best = np.float32(0.0), np.float32(0.0), -1
                    for m in range(count):
                        v = left[m] + s * step[m]
                        if v > first:
                            second, first, best = first, v, m
                        elif v > second:
                            second = v
                    labels[y, x] = found[best] + 1 if best >= 0 else 0
                    margin[y, x] = (first - second) / first if best >= 0 else 0.0
