"""A 3×3 convolution and the means of its 2×2 blocks, on a CPU, with a quarter of the multiplications.

The minimal filtering F(4×4, 3×3) of Winograd (Lavin & Gray, CVPR 2016): tiles of 6×6 px, which overlap by two, are
turned into 36 numbers a channel, over which the convolution is 36 products of matrices, and turned back into 4×4 px.
Rounding is some five times that of the plain sum. Bits do not hang on the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.encoders.embedded.pooled import mean_of
from histofactor.records import Float

_TILE = 4  # px a side that come out of a tile
_SEEN = 6  # px a side that it sees
_ROWS = 4  # of tiles that are worked at a time: what they turn into stays in the caches
# of a kernel, for the points 0, 1, -1, 2, -2 and infinity
_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24


def transformed(weight: Float) -> Float:
    """Kernels (k, c, 3, 3) as ``halve`` takes them, (36, c, k) float32."""
    k, c = weight.shape[:2]
    turned = np.kron(_KERNEL, _KERNEL) @ weight.astype(np.float64).reshape(k * c, -1).T
    return np.ascontiguousarray(turned.reshape(-1, k, c).swapaxes(1, 2), np.float32)


def halve(x: Float, kernels: Float, bias: Float, slope: float) -> Float:
    """Convolve, with a border of zeros, let through a leaky ReLU, and take the means of blocks of 2×2.

    Args:
        x: (n, h, w, c) float32, contiguous; h and w even.
        kernels: (36, c, k) from ``transformed``.
        bias: (k,) float32.
        slope: of the leaky ReLU below 0.

    Returns:
        (n, h / 2, w / 2, k) float32.
    """
    n, h, w, c = x.shape
    k, tall, wide = len(bias), -(-h // _TILE), -(-w // _TILE)
    out = np.empty((n, h // 2, w // 2, k), np.float32)

    def work(rows: slice) -> None:
        tiles = (rows.stop - rows.start) * wide
        turned = np.empty((_SEEN**2, tiles, c), np.float32)
        _turn(x, rows.start, wide, tall, turned)
        _turn_back(np.matmul(turned, kernels), bias, (rows.start, wide, tall), np.float32(slope), out)

    map_blocks(work, n * tall, _ROWS)
    return out


@numba.njit(cache=True, nogil=True)
def _turn(x: NDArray[np.float32], first: int, wide: int, tall: int, turned: NDArray[np.float32]) -> None:
    """Tiles (36, tiles, c) of the rows of tiles from ``first`` on, numbered over all images."""
    _, h, w, c = x.shape
    seen = np.empty((6, 6, c), np.float32)
    half = np.empty((6, 6, c), np.float32)
    for tile in range(turned.shape[1]):
        row, column = first + tile // wide, tile % wide
        image, top, left = row // tall, 4 * (row % tall) - 1, 4 * column - 1
        for i in range(6):
            for j in range(6):
                y, z = top + i, left + j
                if 0 <= y < h and 0 <= z < w:
                    seen[i, j] = x[image, y, z]
                else:
                    seen[i, j] = 0
        for j in range(6):
            _six(seen[:, j], half[:, j])
        for i in range(6):
            _six(half[i], turned[6 * i : 6 * i + 6, tile])


@numba.njit(cache=True, nogil=True, inline="always")
def _six(d: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Six px (6, c) along one axis, turned: exact in integers."""
    for c in range(d.shape[1]):
        a, b, e, f, g, h = d[0, c], d[1, c], d[2, c], d[3, c], d[4, c], d[5, c]
        even, odd = g - np.float32(4) * e, f - np.float32(4) * b
        far, near = g - e, np.float32(2) * (f - b)
        out[0, c] = np.float32(4) * a - np.float32(5) * e + g
        out[1, c] = even + odd
        out[2, c] = even - odd
        out[3, c] = far + near
        out[4, c] = far - near
        out[5, c] = np.float32(4) * b - np.float32(5) * f + h


@numba.njit(cache=True, nogil=True, inline="always")
def _four(m: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Six numbers (6, k) along one axis, turned back into four px."""
    for c in range(m.shape[1]):
        a, b, e, f, g, h = m[0, c], m[1, c], m[2, c], m[3, c], m[4, c], m[5, c]
        near, between, far, beyond = b + e, b - e, f + g, f - g
        out[0, c] = a + near + far
        out[1, c] = between + np.float32(2) * beyond
        out[2, c] = near + np.float32(4) * far
        out[3, c] = between + np.float32(8) * beyond + h


@numba.njit(cache=True, nogil=True)
def _turn_back(
    products: NDArray[np.float32],
    bias: NDArray[np.float32],
    place: tuple[int, int, int],
    slope: np.float32,
    out: NDArray[np.float32],
) -> None:
    """Products (36, tiles, k) as px, through the leaky ReLU, and their means over 2×2, at their place in ``out``."""
    first, wide, tall = place
    _, h, w, k = out.shape
    half = np.empty((6, 4, k), np.float32)
    px = np.empty((4, 4, k), np.float32)
    for tile in range(products.shape[1]):
        row, column = first + tile // wide, tile % wide
        image, top, left = row // tall, 2 * (row % tall), 2 * column
        for i in range(6):
            _four(products[6 * i : 6 * i + 6, tile], half[i])
        for j in range(4):
            _four(half[:, j], px[:, j])
        for i in range(2):
            for j in range(2):
                if top + i < h and left + j < w:
                    to = out[image, top + i, left + j]
                    for c in range(k):
                        four = (
                            px[2 * i, 2 * j, c],
                            px[2 * i, 2 * j + 1, c],
                            px[2 * i + 1, 2 * j, c],
                            px[2 * i + 1, 2 * j + 1, c],
                        )
                        to[c] = mean_of(four, bias[c], slope)
