"""A 3×3 convolution of an image's few channels and the means of its 2×2 blocks, on a CPU, as products over patches.

All that a mean needs lies together, so that what comes out of the convolution never leaves the caches. Bits do not hang
on the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.encoders.embedded.pooled import mean_of
from histofactor.records import Float

_ROWS = 4  # of the result that are worked at a time


def halve_few(x: Float, weight: Float, bias: Float, slope: float) -> Float:
    """Convolve, with a border of zeros, let through a leaky ReLU, and take the means of blocks of 2×2.

    Args:
        x: (n, h, w, c) float32, contiguous; h and w even.
        weight: (k, c, 3, 3) float32.
        bias: (k,) float32.
        slope: of the leaky ReLU below 0.

    Returns:
        (n, h / 2, w / 2, k) float32.
    """
    n, h, w, c = x.shape
    k, tall, wide = len(weight), h // 2, w // 2
    kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(9 * c, k))  # in the order of a patch
    out = np.empty((n * tall, wide, k), np.float32)

    def work(rows: slice) -> None:
        patches = np.empty(((rows.stop - rows.start) * wide, 4, 9 * c), np.float32)
        _take(x, rows.start, patches)
        _average((patches.reshape(-1, 9 * c) @ kernel).reshape(-1, 4, k), bias, np.float32(slope), out[rows])

    map_blocks(work, n * tall, _ROWS)
    return out.reshape(n, tall, wide, k)


@numba.njit(cache=True, nogil=True)
def _take(x: NDArray[np.float32], first: int, patches: NDArray[np.float32]) -> None:
    """The 3×3 px about each px of 2×2 blocks (blocks, 4, 9 c), from a row of blocks on, numbered over all images."""
    _, h, w, c = x.shape
    tall, wide = h // 2, w // 2
    for block in range(len(patches)):
        row, column = first + block // wide, block % wide
        image, top, left = row // tall, 2 * (row % tall) - 1, 2 * column - 1
        for px in range(4):
            at = 0
            for y in range(top + px // 2, top + px // 2 + 3):
                for z in range(left + px % 2, left + px % 2 + 3):
                    inside = 0 <= y < h and 0 <= z < w
                    for channel in range(c):
                        patches[block, px, at] = x[image, y, z, channel] if inside else np.float32(0)
                        at += 1


@numba.njit(cache=True, nogil=True)
def _average(px: NDArray[np.float32], bias: NDArray[np.float32], slope: np.float32, out: NDArray[np.float32]) -> None:
    """Means (rows, wide, k) of blocks of px (blocks, 4, k) through the leaky ReLU."""
    means = out.reshape(-1, out.shape[-1])
    for block in range(len(px)):
        for channel in range(px.shape[2]):
            four = px[block, 0, channel], px[block, 1, channel], px[block, 2, channel], px[block, 3, channel]
            means[block, channel] = mean_of(four, bias[channel], slope)
