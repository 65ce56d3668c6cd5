"""Where px lie between tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError


def check_fit(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """Raise OptionError unless weights of this shape can be decoded to (height, width) px."""
    if len(shape) != 3 or min(shape) < 1 or min(size) < 1 or shape[2] > 65534:
        raise OptionError(
            "cannot decode",
            expected="weights (h, w, K) and size (height, width), all ≥ 1, K ≤ 65534",
            got=f"weights {tuple(shape)}, size {size}",
        )


def place(tokens: int, px: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every px (px,) the token at or before it, and its place from that token, 0, to the next, 1."""
    position = np.clip((np.arange(px) + 0.5) * (tokens / px) - 0.5, 0, tokens - 1)
    cell = position.astype(np.int64)
    return cell, (position - cell).astype(np.float32)
