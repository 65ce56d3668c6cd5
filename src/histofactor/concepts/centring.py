"""Slides made alike: part of what a slide's mean differs from that of the collection is taken from its tokens.

It is linear, so it commutes with all means over windows and views, and costs one response more where only responses to
concepts are kept: (x - c)·h = x·h - c·h, and ‖x - c‖² = ‖x‖² - 2 x·c + ‖c‖².
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Centring, Float, SlideMean

HALF_MM2 = 0.04  # of tissue, at which half of the share is taken: less tells more of itself than of its slide


def offset_of(centring: Centring, slide: SlideMean) -> Float:
    """What is taken from every token of a slide, (d,).

    Args:
        centring: as the bank has it.
        slide: mean of the slide's tokens, and the tissue it is of.
    """
    share = centring.share * slide.mm2 / (slide.mm2 + HALF_MM2)
    offset: Float = (np.float32(share) * (slide.value - centring.mean)).astype(np.float32)
    return offset


def centred(tokens: Float, sq_norms: Float, offsets: Float) -> tuple[Float, Float]:
    """Tokens (n, d) less the offset (n, d) of each, and their mean squared norms (n,)."""
    along, squared = (np.einsum("nd,nd->n", one, offsets) for one in (tokens, offsets))
    return tokens - offsets, _norms(sq_norms, along, squared)


def with_offset(directions: NDArray[np.floating], offset: Float) -> NDArray[np.float32]:
    """Directions (d, r) and the offset as one more, (d, r + 1): what ``centred_responses`` needs."""
    return np.column_stack([directions, offset]).astype(np.float32)


def centred_responses(
    B: Float, sq_norms: Float, directions: NDArray[np.floating], offset: Float
) -> tuple[Float, Float]:
    """Responses of centred tokens from those of the tokens as they are.

    Args:
        B: (…, r + 1) responses to ``with_offset``.
        sq_norms: (…) mean squared norms.
        directions: (d, r).
        offset: (d,).

    Returns:
        (B (…, r), sq_norms (…)) of the tokens less the offset.
    """
    own = (offset.astype(np.float64) @ directions.astype(np.float64)).astype(np.float32)
    squared = np.float32(np.dot(offset.astype(np.float64), offset.astype(np.float64)))
    return B[..., :-1] - own, _norms(sq_norms, B[..., -1], squared)


def _norms(sq_norms: Float, along: Float, squared: Float | np.float32) -> Float:
    norms: Float = np.maximum(sq_norms - 2 * along + squared, 0)
    return norms
