"""A label of its own for tissue unlike the bank: where the residual of a token is above a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Color

NAME = "unlike the bank"
COLOR: Color = (0, 0, 0)  # no concept is near-black

Labels = NDArray[np.unsignedinteger[Any]]


def mark(labels: Labels, unlike: NDArray[np.bool_], k: int) -> Labels:
    """Labels with K + 1 where tissue is unlike the bank; what is unassigned stays so.

    Args:
        labels: 0 … K, of any shape.
        unlike: of the same shape.
        k: number of concepts, K ≤ 65,534.

    Returns:
        A copy, as uint8 or uint16 that holds K + 1.
    """
    marked: Labels = labels.astype(np.min_scalar_type(k + 1))
    marked[unlike & (labels > 0)] = k + 1
    return marked


def legend(
    names: tuple[str, ...], colors: tuple[Color, ...], *, with_unlike: bool
) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Names and colours of the labels from 1 on: of the concepts, then of tissue unlike the bank where it has one."""
    return ((*names, NAME), (*colors, COLOR)) if with_unlike else (names, colors)


def on_px(tokens: NDArray[np.bool_], stride_px: int) -> NDArray[np.bool_]:
    """What is true of tokens (h, w), at every px (h·stride, w·stride) of each."""
    return tokens.repeat(stride_px, 0).repeat(stride_px, 1)
