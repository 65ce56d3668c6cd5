"""Colours of the concepts of a bank: far apart for those that cover most of the same slides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histofactor.base.colors import spread_colors
from histofactor.concepts.bank.provenance import counts_of, per_slide_of
from histofactor.records import ConceptBank

_LARGEST = 8  # phenotypes of a slide that matter most
_SMALLER = 2  # power with which concepts smaller than the largest matter less


def colored(bank: ConceptBank) -> ConceptBank:
    """The bank with colours by what its concepts cover, as told in ``provenance``; where it tells nothing, as it was.

    Raises:
        BankError: what the bank tells of its concepts cannot be read.
    """
    counts, slides = counts_of(bank), per_slide_of(bank)
    if not slides and counts is not None:
        slides = [counts]
    return colored_by(bank, np.stack(slides)) if slides else bank


def colored_by(bank: ConceptBank, tokens: NDArray[np.float64]) -> ConceptBank:
    """The bank with colours by how many tokens (S, K) of every slide each concept covers."""
    return replace(bank, colors=spread_colors(_together(tokens)))


def _together(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much it matters (K, K) that two are told apart: the share of the smaller, where both are largest in a slide.

    A share is that of the eighth-largest concept of the slide, at most 1, squared. On the diagonal, how much each
    matters: its mean part of a slide.

    Args:
        tokens: (S, K) of every slide and concept.
    """
    eighth = np.sort(tokens, axis=1)[:, -min(_LARGEST, tokens.shape[1])]
    shares = np.minimum(tokens / np.maximum(eighth, 1)[:, None], 1) ** _SMALLER
    found = np.zeros((tokens.shape[1],) * 2)
    for share in shares:
        np.maximum(found, np.minimum.outer(share, share), out=found)
    np.fill_diagonal(found, (tokens / np.maximum(tokens.sum(axis=1, keepdims=True), 1)).mean(axis=0))
    return found
