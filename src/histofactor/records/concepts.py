"""Concepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histofactor.records.features import EncoderKey
from histofactor.records.images import Color, Float


@dataclass(frozen=True, slots=True)
class Leaves:
    """The finest concepts of nested banks, of which every coarser concept is a union.

    Attributes:
        vectors: (M, d) float32, ≥ 0.
        owners: M concept indices of the coarser bank, each concept at least once.
    """

    vectors: Float
    owners: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConceptBank:
    """Concepts for one number of clusters K.

    Attributes:
        vectors: (K, d) float32, ≥ 0.
        encoder: the features the concepts were learned on.
        names: K names.
        colors: K colours.
        mpp: µm/px of the features, or None if not stated.
        parents: for nested banks the concept index at the next coarser level, else None.
        provenance: data, counts, seeds, licence; free-form, JSON types only.
        leaves: for merged levels of nested banks the finest concepts, else None. Tokens are then weighed by the leaves,
            and ``vectors`` holds the mean of each union.
    """

    vectors: Float
    encoder: EncoderKey
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    mpp: float | None = None
    parents: tuple[int, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    leaves: Leaves | None = None
