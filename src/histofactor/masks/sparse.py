"""The largest weights of every token, quantised: a few bytes a token whatever the number of concepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Float

KEPT = 8
STEPS = 65535  # of a weight, up to its token's largest one


@dataclass(frozen=True, slots=True)
class SparseRows:
    """The largest weights of some token rows.

    Attributes:
        index: (rows, w, m) uint8 or uint16 concepts, the largest weight first; 0 where the value is 0.
        value: (rows, w, m) uint16, 65535 steps up to the token's largest weight.
        scale: (rows, w) float32, that weight.
    """

    index: NDArray[np.unsignedinteger[Any]]
    value: NDArray[np.uint16]
    scale: Float


def quantise(weights: Float, keep: int = KEPT) -> SparseRows:
    """Keep the largest weights of every token in 65,536 steps.

    A weight that is kept is off by at most 1/131,070 of its token's largest one; one that is not kept, and counts as 0
    from here on, is no larger than any that is.

    Args:
        weights: (rows, w, K) ≥ 0, finite, K ≤ 65,536.
        keep: how many weights a token keeps, at most.
    """
    rows, width, k = weights.shape
    kept = min(keep, k)
    flat = weights.reshape(-1, k)
    scale = flat.max(axis=1)
    used = flat[scale > 0]
    top = np.sort(np.argpartition(-used, kept - 1, axis=1)[:, :kept], axis=1)
    found = np.take_along_axis(used, top, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    steps = np.rint(np.take_along_axis(found, order, axis=1).astype(np.float64) / found.max(1, keepdims=True) * STEPS)
    index = np.zeros((len(flat), kept), np.uint8 if k <= 256 else np.uint16)
    value = np.zeros((len(flat), kept), np.uint16)
    index[scale > 0] = np.where(steps > 0, np.take_along_axis(top, order, axis=1), 0)
    value[scale > 0] = steps
    shape = (rows, width, kept)
    return SparseRows(index.reshape(shape), value.reshape(shape), scale.reshape(rows, width).astype(np.float32))


def restore(rows: SparseRows, k: int) -> Float:
    """The weights that ``quantise`` kept, (rows, w, K) float32; 0 for all others."""
    kept = rows.index.shape[-1]
    index, value = rows.index.reshape(-1, kept), rows.value.reshape(-1, kept)
    unit = rows.scale.astype(np.float64).ravel() / STEPS
    dense = np.zeros((len(index), k), np.float32)
    tokens = np.flatnonzero(unit)
    for slot in reversed(range(kept)):  # weights of 0 share index 0 and come last in their token
        dense[tokens, index[tokens, slot]] = value[tokens, slot] * unit[tokens]
    return dense.reshape(*rows.scale.shape, k)
