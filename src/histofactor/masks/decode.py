"""Weights to labels: bilinear upsampling and argmax in one pass, never a map per concept.

Between four neighbouring tokens every weight is a bilinear function of position, so only concepts present at one of
the four corners can win there. The kernel walks the token cells, gathers those few candidates, and evaluates them px
by px. Sampling follows the half-pixel convention (``align_corners=False``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.errors import OptionError
from histofactor.masks.lattice import check_fit, place

if TYPE_CHECKING:
    import torch

_BAND = 8  # token rows that one thread decodes at a time
_SOFT_BAND = 64  # px rows that one thread upsamples at a time

Labels = NDArray[np.unsignedinteger[Any]]


@overload
def decode(weights: NDArray[np.floating[Any]], size: tuple[int, int]) -> Labels: ...
@overload
def decode(weights: torch.Tensor, size: tuple[int, int]) -> torch.Tensor: ...
def decode(weights: NDArray[np.floating[Any]] | torch.Tensor, size: tuple[int, int]) -> Labels | torch.Tensor:
    """Index of the largest bilinearly upsampled weight at every px; ties go to the lower index.

    Args:
        weights: (h, w, K) ≥ 0, finite; NumPy array or torch tensor, any float dtype.
        size: (height, width) of the result in px.

    Returns:
        (height, width) 0-based concept indices; 0 where all weights are 0. NumPy in, NumPy out, unsigned; torch in,
        torch out on the same device, uint8 up to 256 concepts, else int32.

    Raises:
        OptionError: the shape or the size is not valid.
    """
    if not isinstance(weights, np.ndarray):
        return _decode_tensor(weights, size)
    labels, _ = label_pixels(weights, size)
    np.maximum(labels, 1, out=labels)
    labels -= labels.dtype.type(1)
    return labels


def label_pixels(
    weights: NDArray[np.floating[Any]], size: tuple[int, int], owners: Sequence[int] | None = None
) -> tuple[Labels, NDArray[np.float32]]:
    """Labels with room for "unassigned", and how clearly they won.

    Args:
        weights: (h, w, K) ≥ 0, finite.
        size: (height, width) of the result in px.
        owners: the 0-based union that each of the K concepts is a part of; None where each is one of its own. The map
            is that of the concepts, with every concept called by its union.

    Returns:
        (labels, margin): labels (height, width) hold the index of the concept or union + 1, or 0 where all weights are
        0, as uint8 or uint16; margin (height, width) float32 is (first − second) / first in [0, 1], second the largest
        weight of another concept or union, 0 where unassigned.

    Raises:
        OptionError: the shape, the size or the number of owners is not valid.
    """
    check_fit(weights.shape, size)
    values = np.ascontiguousarray(weights, np.float32)
    names = np.arange(values.shape[2], dtype=np.int32) if owners is None else np.array(owners, np.int32)
    if len(names) != values.shape[2]:
        raise OptionError("cannot decode", expected=f"{values.shape[2]} owners", got=f"{len(names)}")
    labels = np.empty(size, np.min_scalar_type(int(names.max()) + 1))
    margin = np.empty(size, np.float32)
    (rows, down), (columns, along) = (place(*pair) for pair in zip(values.shape[:2], size, strict=True))
    row_start, column_start = (  # the first px of every token cell, and the end
        np.searchsorted(cell, np.arange(tokens + 1))
        for cell, tokens in zip((rows, columns), values.shape[:2], strict=True)
    )

    def decode_band(band: slice) -> None:
        _decode_cells(values, names + 1, (band.start, band.stop), row_start, down, column_start, along, labels, margin)

    map_blocks(decode_band, values.shape[0], _BAND)
    return labels, margin


def decode_soft(
    weights: NDArray[np.floating[Any]], size: tuple[int, int], concepts: Sequence[int]
) -> NDArray[np.float32]:
    """How much of every px a few concepts make up: their share of the bilinearly upsampled total weight.

    The total is upsampled as one map, which is the same as the sum of all upsampled maps.

    Args:
        weights: (h, w, K) ≥ 0, finite.
        size: (height, width) of the result in px.
        concepts: 0-based indices of the m concepts wanted.

    Returns:
        (m, height, width) shares in [0, 1], in the order of ``concepts``; 0 where all weights are 0.

    Raises:
        OptionError: the shape, the size or a concept is not valid.
    """
    check_fit(weights.shape, size)
    if not all(0 <= concept < weights.shape[2] for concept in concepts):
        raise OptionError(
            "cannot decode", expected=f"concepts from 0 to {weights.shape[2] - 1}", got=f"concepts {list(concepts)}"
        )
    chosen = np.ascontiguousarray(weights[..., list(concepts)].transpose(2, 0, 1), np.float32)
    total = weights.sum(-1, dtype=np.float64).astype(np.float32)
    shares = np.empty((len(chosen), *size), np.float32)
    rows, columns = (place(*pair) for pair in zip(total.shape, size, strict=True))

    def decode_band(band: slice) -> None:
        _decode_shares(chosen, total, (band.start, band.stop), *rows, *columns, shares)

    map_blocks(decode_band, size[0], _SOFT_BAND)
    return shares


def _decode_tensor(weights: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Decode by the compiled kernel in host memory, and by torch on any other device."""
    import torch

    from histofactor.masks.torch_decode import decode_torch, label_dtype

    if weights.device.type != "cpu":
        return decode_torch(weights, size)
    labels = torch.from_numpy(decode(weights.detach().float().numpy(), size))
    return labels.to(label_dtype(weights.shape[-1]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _candidates(a, b, c, d, names, found):
    """Concepts that can have the largest weight between four tokens, or the largest of another name; returns how many.

    A concept whose largest corner lies below the smallest corners of two of different names never comes second.
    """
    count, leader = 0, 0
    floor_first, floor_second = np.float32(0.0), np.float32(0.0)
    for k in range(a.shape[0]):
        if max(a[k], b[k], c[k], d[k]) > floor_second:
            found[count] = k
            count += 1
            low = min(a[k], b[k], c[k], d[k])
            if low > floor_first:
                floor_second = floor_second if names[k] == leader else floor_first
                floor_first, leader = low, names[k]
            elif low > floor_second and names[k] != leader:
                floor_second = low
    return count


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _rank_row(corners, names, found, count, t, part, first, second, best):
    """Largest weight, the largest of another name and the name of the px of one cell row, all candidates in turn."""
    first[:] = 0.0
    second[:] = 0.0
    best[:] = 0
    for m in range(count):
        k, name = found[m], names[found[m]]
        left = corners[0][k] + t * (corners[2][k] - corners[0][k])
        step = corners[1][k] + t * (corners[3][k] - corners[1][k]) - left
        for x in range(part.shape[0]):
            v = left + part[x] * step
            f = first[x]
            second[x] = second[x] if best[x] == name else max(second[x], min(v, f))
            best[x] = name if v > f else best[x]
            first[x] = max(v, f)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _decode_cells(values, names, band, row_start, row_part, column_start, column_part, labels, margin):
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
            count = _candidates(*corners, names, found)
            x0, x1 = column_start[j], column_start[j + 1]
            part, n = column_part[x0:x1], x1 - x0
            for y in range(row_start[i], row_start[i + 1]):
                _rank_row(corners, names, found, count, row_part[y], part, first[:n], second[:n], best[:n])
                for x in range(n):
                    labels[y, x0 + x] = best[x]
                    margin[y, x0 + x] = (first[x] - second[x]) / first[x] if best[x] > 0 else np.float32(0.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _upsample_row(token_map, i, t, column, column_part, line):
    """One px row of a token map (h, w), a part t of the way from token row i to the next."""
    h, w = token_map.shape
    below = min(i + 1, h - 1)
    for x in range(line.shape[0]):
        j, right = column[x], min(column[x] + 1, w - 1)
        a = token_map[i, j] + t * (token_map[below, j] - token_map[i, j])
        b = token_map[i, right] + t * (token_map[below, right] - token_map[i, right])
        line[x] = a + column_part[x] * (b - a)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _decode_shares(chosen, total, band, row, row_part, column, column_part, shares):
    whole = np.empty(column.shape[0], np.float32)
    for y in range(band[0], band[1]):
        _upsample_row(total, row[y], row_part[y], column, column_part, whole)
        for m in range(chosen.shape[0]):
            line = shares[m, y]
            _upsample_row(chosen[m], row[y], row_part[y], column, column_part, line)
            for x in range(line.shape[0]):
                line[x] = min(line[x] / whole[x], np.float32(1.0)) if whole[x] > 0 else np.float32(0.0)
