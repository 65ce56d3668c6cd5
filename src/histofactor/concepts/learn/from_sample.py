"""From a sample of tokens to concept banks, one for every K, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.contingency import table_of
from histofactor.concepts.bank.coloring import colored_by
from histofactor.concepts.bank.following import FOLLOWING, following_in, stated
from histofactor.concepts.bank.provenance import LIMIT, WINDOW
from histofactor.concepts.learn.choose_k import Choice, compare_ks
from histofactor.concepts.learn.counts_and_examples import counts_and_examples
from histofactor.concepts.learn.following import share_when_centred
from histofactor.concepts.learn.levels import TrainOptions, banks_from_levels, train_levels
from histofactor.concepts.learn.sample import Sample
from histofactor.errors import BankError
from histofactor.factor.nnls import project
from histofactor.factor.problem import unit_concepts
from histofactor.records import ConceptBank, EncoderKey, Float

LADDER = (4, 8, 16, 32, 64)  # K that are learned where none is asked for
TOKENS_A_CONCEPT = 32  # that a sample has at least
_COLORED = 2**15  # tokens, which are in random order, that tell what concepts cover


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the tokens of a sample are from.

    Attributes:
        slides: (N,) the slide of every token.
        groups: the group of every slide, or None.
        sides: side in level-0 px of the patch that shows a token, by slide.
    """

    slides: NDArray[np.int64]
    groups: Sequence[str | None]
    sides: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the tokens of a sample are.

    Attributes:
        encoder: which features.
        mpp: µm/px they were taken at, or None.
        single: whether they are single tokens, whose views tell a limit of the residual; else means of tiles.
        centring: share of what a slide's mean differs from the mean of all that is taken from its tokens; 0: none.
        window_px: side of the windows that they are of, or None.
    """

    encoder: EncoderKey
    mpp: float | None
    single: bool = True
    centring: float = 0.0
    window_px: int | None = None


def learn_from_sample(
    sample: Sample, origin: Origin, ks: Sequence[int], features: Features, options: TrainOptions | None = None
) -> tuple[list[ConceptBank], Choice | None]:
    """Learn every K from a sample, and compare them.

    Args:
        sample: with at least one token; it is sorted. Its tokens are centred in their place.
        origin: of its tokens, as they are once sorted.
        ks: numbers of concepts.
        features: what its tokens are.
        options: how to learn.

    Returns:
        Banks in ascending K, and the comparison, or None where the sample is too small for it.

    Raises:
        OptionError, BankError: as ``train_levels``.
    """
    centring = sample.centre(features.centring) if features.centring else None
    options, tokens = replace(options or TrainOptions(), signed=centring is not None), sample.tokens[: sample.size]
    levels = train_levels(tokens, ks, options)
    known = {
        k: counts_and_examples(sample, origin.slides, level, origin.groups, origin.sides) for k, level in levels.items()
    }
    _tell_centred(known, tokens, origin, options)
    if features.window_px is not None:
        known = {k: {**told, WINDOW: features.window_px} for k, told in known.items()}
    norms = sample.sq_norms[: sample.size] if features.single else None
    choice = compare_ks(tokens, origin.slides, levels, options, norms)
    for row in () if choice is None or norms is None else choice.rows:
        known[row.k][LIMIT] = row.residual_limit
    paint = partial(_colored_as_seen, tokens=tokens, origin=origin)
    banks = banks_from_levels(levels, features.encoder, features.mpp, known, paint)
    return [replace(bank, centring=centring) for bank in banks], choice


def _colored_as_seen(bank: ConceptBank, tokens: Float, origin: Origin) -> ConceptBank:
    """The bank with colours by what its concepts cover in a map, where a token has the concept of largest weight."""
    X, slides = tokens[:_COLORED], origin.slides[:_COLORED]
    labels = project(X, unit_concepts(bank.vectors)[0]).argmax(1)
    covers = table_of(slides, labels, (len(origin.groups), len(bank.vectors)))
    return colored_by(bank, covers.astype(np.float64))


def _tell_centred(known: Mapping[int, dict[str, Any]], tokens: Float, origin: Origin, options: TrainOptions) -> None:
    """Say of every K whose concepts are the groups what becomes of that without the groups' means."""
    found = {k: following for k, told in known.items() if (following := following_in(told, k)) and following.are_groups}
    if found:
        share = share_when_centred(tokens, origin.slides, origin.groups, max(known), options)
        for k, following in found.items():
            known[k][FOLLOWING] = stated(replace(following, centred_share=share))


def bearable_ks(tokens: int, wanted: int | None = None) -> list[int]:
    """The K that so many tokens bear: those of the ladder, and the one that is asked for.

    Args:
        tokens: in the sample.
        wanted: a K that must be among them, or None.

    Raises:
        BankError: they bear none, or not the one that is asked for.
    """
    most = tokens // TOKENS_A_CONCEPT
    smallest = LADDER[0] if wanted is None else wanted
    if most < smallest:
        what = f"K = {most} at most" if most > 1 else "no concepts"
        fewer = f"ask for -k {most}, " if most > 1 else ""
        raise BankError(
            f"there is too little tissue to learn K = {smallest} concepts from: it bears {what}",
            expected=f"{smallest * TOKENS_A_CONCEPT} tokens of tissue, {TOKENS_A_CONCEPT} for each concept",
            got=f"{tokens}",
            mend=f"{fewer}give more or larger inputs, or take a bank with --concepts",
        )
    return sorted({k for k in (*LADDER, wanted) if k is not None and k <= most})


def level_of(banks: Sequence[ConceptBank], recommended: int | None, k: int | None) -> ConceptBank:
    """The bank to segment with: of the K asked for, else of the one recommended, else the smallest."""
    by_k = {len(bank.names): bank for bank in banks}
    return by_k[k or recommended or min(by_k)]
