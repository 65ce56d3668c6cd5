"""Concepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histofactor.records.drawn import Drawn
from histofactor.records.features import EncoderKey
from histofactor.records.images import Color, Float
from histofactor.records.shown import Shown


@dataclass(frozen=True, slots=True, repr=False)
class Leaves(Shown):
    """The finest concepts of nested banks, of which every coarser concept is a union.

    Attributes:
        vectors: (M, d) float32, ≥ 0.
        owners: M concept indices of the coarser bank, each concept at least once.
    """

    vectors: Float
    owners: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Centring(Shown):
    """What makes slides alike before concepts weigh them: part of each one's own mean is taken from its tokens.

    A token x of an input whose tokens have the mean m counts as x - s (m - mean), with s = share A / (A + A0) for a
    tissue area A, see ``concepts.centring``: what stain, scanner and section do to all tokens of a slide alike goes, as
    far as ``share`` says, and as far as there is enough tissue to tell it from what the slide is made of.

    Attributes:
        share: in (0, 1].
        mean: (d,) float32, mean over the inputs that concepts were learned from of the means of their tokens.
    """

    share: float
    mean: Float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SlideMean(Shown):
    """What the tokens of one slide have in common.

    Attributes:
        value: (d,) float32, their mean.
        mm2: area of tissue they cover.
    """

    value: Float
    mm2: float


@dataclass(frozen=True, slots=True, repr=False)
class ConceptBank(Drawn):
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
        centring: what was done to the features that the concepts were learned on, and is done to those they weigh;
            None for nothing.
        excluded: concepts that are artefacts and count in no share, 0-based and ascending.
        parts: for concepts that were put together after others were segmented with, the concepts that they were and
            what owns each: mixtures are of these, and the weights of the parts of a concept add up. None for mixtures
            of ``vectors``.
    """

    vectors: Float
    encoder: EncoderKey
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    mpp: float | None = None
    parents: tuple[int, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    leaves: Leaves | None = None
    centring: Centring | None = None
    excluded: tuple[int, ...] = ()
    parts: Leaves | None = None
