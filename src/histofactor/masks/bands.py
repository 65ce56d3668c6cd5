"""Weights of token rows in, bands of labels out: the one place where the weights of an input become its labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.masks.decode import label_pixels
from histofactor.masks.unlike import mark, on_px
from histofactor.records import Float, TokenMaps

_ABOVE = ("above", "above_unreadable", "above_unlike")

Mask = NDArray[np.bool_]
Labels = NDArray[np.unsignedinteger[Any]]
PxRows = Callable[[int, int], Mask]  # (start, stop) in px rows → (rows, width)


@dataclass(frozen=True, slots=True)
class Band:
    """A finished part of one input.

    Attributes:
        labels: (px rows, width).
        margin: (px rows, width) float32.
        tokens: maps of the token rows solved with it.
        unreadable: (token rows, w) bool, tokens over px that cannot be read.
        weights: (token rows, w, K).
    """

    labels: Labels
    margin: Float
    tokens: TokenMaps
    unreadable: Mask
    weights: Float


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the weights of one input become labels.

    Attributes:
        size: (width, height) in working px.
        stride_px: working px per token.
        tissue: says of px rows which px are tissue; the others get label 0.
        owners: the union that every column of weights is a part of, see ``label_pixels``; None where each is its own.
        unlike: the residual above which tissue is unlike the bank and gets the label after the concepts', or None.
        unlike_px: says of px rows which px are unlike the bank; None takes those of the tokens above the limit.
    """

    size: tuple[int, int]
    stride_px: int
    tissue: PxRows
    owners: Sequence[int] | None = None
    unlike: float | None = None
    unlike_px: PxRows | None = None


class Decoder:
    """Weights of token rows to labels of px rows, half a token behind: px between two rows need both.

    Args:
        how: what is known of the input.
    """

    def __init__(self, how: Decoding) -> None:
        self._how = how
        self._above: tuple[Float, Mask, Mask] | None = None

    def state(self) -> dict[str, NDArray[Any]]:
        """What ``restore`` needs."""
        return {} if self._above is None else dict(zip(_ABOVE, self._above, strict=True))

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from ``state``."""
        if _ABOVE[0] in state:
            W, unreadable, unlike = (state[name] for name in _ABOVE)
            self._above = np.asarray(W, np.float32), np.asarray(unreadable, bool), np.asarray(unlike, bool)

    def rows(self, g_rows: tuple[int, int], weights: Float, residual: Float, unreadable: Mask) -> Band:
        """The px rows that become known with these token rows, and the maps of the tokens.

        Args:
            g_rows: (start, stop) of the token rows; they follow the ones before, and the last reach the grid's end.
            weights: (rows, w, M) ≥ 0.
            residual: (rows, w) in [0, 1].
            unreadable: (rows, w) tokens whose px get label 0.
        """
        how = self._how
        unlike = np.zeros(residual.shape, bool) if how.unlike is None else residual > how.unlike
        values = by_owner(weights, how.owners)
        k = values.shape[-1]
        labels, margin = self._px(g_rows, k, weights, unreadable, unlike)
        tokens = token_maps(values, residual, how.stride_px)
        if how.unlike is not None:
            tokens = replace(tokens, label=mark(tokens.label, unlike, k))
        return Band(labels, margin, tokens, unreadable, values)

    def _px(
        self, g_rows: tuple[int, int], k: int, weights: Float, unreadable: Mask, unlike: Mask
    ) -> tuple[Labels, Float]:
        """Labels and margin (px rows, width)."""
        how, stride, (width, height) = self._how, self._how.stride_px, self._how.size
        known, skipped = g_rows[0], 0
        if self._above is not None:
            new = weights, unreadable, unlike
            weights, unreadable, unlike = (np.concatenate(pair) for pair in zip(self._above, new, strict=True))
            known, skipped = known - 1, stride // 2
        last = g_rows[1] * stride >= height
        kept = len(weights) * stride if last else (len(weights) - 1) * stride + stride // 2
        labels, margin = label_pixels(weights, (len(weights) * stride, weights.shape[1] * stride), how.owners)
        start, stop = known * stride + skipped, min(known * stride + kept, height)
        stop = max(start, stop)
        part = slice(skipped, skipped + stop - start), slice(0, width)
        labels, margin = labels[part], margin[part]
        if how.unlike is not None:
            far = on_px(unlike, stride)[part] if how.unlike_px is None else how.unlike_px(start, stop)
            labels = mark(labels, far, k)
        on = how.tissue(start, stop)
        if unreadable.any():
            on = on & ~on_px(unreadable, stride)[part]
        self._above = weights[-1:], unreadable[-1:], unlike[-1:]
        return labels * on, margin * on


def by_owner(W: Float, owners: Sequence[int] | None) -> Float:
    """Weights (…, M) of parts to weights (…, K) of the unions that own them: that of the nearest part."""
    if owners is None:
        return W
    owned = np.array(owners)
    return np.stack([W[..., owned == union].max(-1) for union in range(int(owned.max()) + 1)], -1)


def token_maps(W: Float, residual: Float, stride_px: int) -> TokenMaps:
    """What weights (h, w, K) say of every token: its strongest concept, that one's share, and the margin.

    Args:
        W: (h, w, K) weights ≥ 0.
        residual: (h, w), kept with them.
        stride_px: working px per token.
    """
    first, total = W.max(axis=-1), W.sum(axis=-1)
    share = np.divide(first, total, out=np.zeros_like(first), where=first > 0)
    label = np.where(first > 0, W.argmax(axis=-1) + 1, 0).astype(np.min_scalar_type(W.shape[-1]))
    return TokenMaps(stride_px, label, share, margins(W), residual)


def margins(W: Float) -> Float:
    """(first - second) / first of weights (…, K) ≥ 0; 0 where all are 0."""
    first = W.max(axis=-1)
    second = np.partition(W, -2, axis=-1)[..., -2] if W.shape[-1] > 1 else np.zeros_like(first)
    margin: Float = np.divide(first - second, first, out=np.zeros_like(first), where=first > 0)
    return margin
