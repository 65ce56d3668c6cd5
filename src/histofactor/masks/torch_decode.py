"""Weights to labels where the tensor lies: bilinear upsampling and argmax in bands, never a map per concept.

A band of output rows is upsampled for a few concepts at a time, first down the columns and then along the rows, in the
float32 arithmetic of the compiled kernel of ``decode``; running maxima carry over from one chunk of concepts to the
next. Memory beyond the weights and the result is a few arrays of ``_NUMBERS`` values, whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from histofactor.masks.lattice import check_fit, place

_NUMBERS = 1 << 22  # upsampled values at a time, 16 MB
_CHUNK = 16  # concepts at a time


@torch.no_grad()
def decode_torch(weights: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Index of the largest bilinearly upsampled weight at every px, as ``decode``, on the device of the weights.

    Args:
        weights: (h, w, K) ≥ 0, finite.
        size: (height, width) of the result in px.

    Returns:
        (height, width) 0-based concept indices, uint8 up to 256 concepts, else int32; 0 where all weights are 0.

    Raises:
        OptionError: the shape or the size is not valid.
    """
    check_fit(tuple(weights.shape), size)
    labels = torch.empty(size, dtype=label_dtype(weights.shape[-1]), device=weights.device)
    for rows, best, _, _ in _ranked_bands(weights, size):
        labels[rows] = (best.clamp(min=1) - 1).to(labels.dtype)
    return labels


@torch.no_grad()
def label_pixels_torch(weights: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels with room for "unassigned", and how clearly they won, as ``label_pixels``, where the weights lie.

    Args:
        weights: (h, w, K) ≥ 0, finite.
        size: (height, width) of the result in px.

    Returns:
        (labels, margin): labels (height, width) hold concept index + 1, or 0 where all weights are 0, as uint8 up to
        255 concepts, else int32; margin (height, width) float32 is (first − second) / first in [0, 1], 0 where
        unassigned.

    Raises:
        OptionError: the shape or the size is not valid.
    """
    check_fit(tuple(weights.shape), size)
    labels = torch.empty(size, dtype=label_dtype(weights.shape[-1] + 1), device=weights.device)
    margin = torch.empty(size, dtype=torch.float32, device=weights.device)
    for rows, best, first, second in _ranked_bands(weights, size):
        labels[rows] = best.to(labels.dtype)
        margin[rows] = torch.where(best > 0, (first - second) / first, 0)
    return labels, margin


def label_dtype(count: int) -> torch.dtype:
    """The type of tensors that hold so many different labels."""
    return torch.uint8 if count <= 256 else torch.int32


def _ranked_bands(
    weights: torch.Tensor, size: tuple[int, int]
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """For every band of px rows: the rows, and concept index + 1 or 0, largest and second largest weight of its px."""
    (h, w, K), (height, width) = weights.shape, size
    maps = weights.to(torch.float32).permute(2, 0, 1)
    (above, down), (left, along) = (
        tuple(torch.from_numpy(part).to(weights.device) for part in place(tokens, px))
        for tokens, px in ((h, height), (w, width))
    )
    below, right = (above + 1).clamp(max=h - 1), (left + 1).clamp(max=w - 1)
    step = max(1, _NUMBERS // (min(K, _CHUNK) * max(w, width)))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        first, second = torch.zeros(2, rows.stop - start, width, device=weights.device)
        best = torch.zeros_like(first, dtype=torch.int64)
        for k in range(0, K, _CHUNK):
            chunk = maps[k : k + _CHUNK]
            columns = _between(chunk[:, above[rows]], chunk[:, below[rows]], down[rows, None])  # (chunk, rows, w)
            values = _between(columns[..., left], columns[..., right], along)  # (chunk, rows, width)
            value, concept = values.max(0)  # the first of equals
            runner_up = values.scatter_(0, concept[None], 0).amax(0)
            second = torch.maximum(torch.maximum(second, runner_up), torch.minimum(value, first))
            best = torch.where(value > first, concept + k + 1, best)
            first = torch.maximum(first, value)
        yield rows, best, first, second


def _between(a: torch.Tensor, b: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """The values a part of the way from a to b, rounded as the compiled kernel rounds them (which ``lerp`` is not)."""
    return a + part * (b - a)
