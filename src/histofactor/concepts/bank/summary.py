"""What is worth knowing of each concept of a bank, from its vectors and what training wrote down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.following import following_of
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.provenance import (
    Counts,
    Example,
    counts_of,
    examples_of,
    in_one_slide_of,
    per_group_of,
    per_slide_of,
    slides_of,
)
from histofactor.concepts.bank.suggested import NONE, ByConcept, of_level
from histofactor.concepts.bank.unnamed import is_unnamed
from histofactor.concepts.hints import hints_of, shown_hint
from histofactor.concepts.suggest import Suggestion
from histofactor.factor.problem import unit_concepts
from histofactor.records import Color, ConceptBank

_NEIGHBOURS = 3
_ALONE, _MINORITY = 0.9, 0.5  # nearly all of a concept comes from one place, which gives less than this of all tokens


@dataclass(frozen=True, slots=True)
class ConceptSummary:
    """One concept.

    Attributes:
        label: 1 … K, as in label maps.
        name, color: as in the bank; concepts of one name have one colour, see ``one_name``.
        share: of the sampled tokens that are of no artefact, in [0, 1]; None for an artefact, or if not known.
        neighbours: (label, cosine) of the most similar concepts, the nearest first.
        origins: (group or slide, share of the concept's tokens), the largest first; empty if not known.
        alone: the group or slide that nearly all of it comes from though it gives few tokens, or "".
        in_one_slide: that (nearly) all of it is in one slide, in words, where origins are groups: its share of a group
            is then that of a slide, which tells nothing of the group; else "".
        parent: label at the next coarser level, or None.
        examples: where typical tokens are, the nearest first.
        excluded: whether it is an artefact.
        hint: what was measured of it, in words, see ``concepts.hints``; "" where nothing was, or it has been named.
        follows: the group that it follows, see ``bank.following``, or "".
        excess: how far it is of one group alone, in [0, 1]; None if not known.
        suggested: what it could be called, see ``concepts.suggest``; None where nothing was suggested, or it has been
            named.
    """

    label: int
    name: str
    color: Color
    share: float | None
    neighbours: tuple[tuple[int, float], ...]
    origins: tuple[tuple[str, float], ...]
    alone: str
    in_one_slide: str
    parent: int | None
    examples: tuple[Example, ...]
    excluded: bool
    hint: str
    follows: str
    excess: float | None
    suggested: Suggestion | None = None


def summarize(file: BankFile, k: int, suggested: ByConcept = NONE) -> list[ConceptSummary]:
    """Summaries of the K concepts of one level, in the order of their labels.

    Args:
        file: from ``read_bank_file``.
        k: one of its K.
        suggested: names for its concepts, as ``read_suggested`` finds them beside it.

    Raises:
        BankError: what the bank tells of its concepts cannot be read.
    """
    bank = in_one_color(file.banks[k])
    units = unit_concepts(bank.vectors)[0]
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    hints, names = hints_of(bank.provenance, k), of_level(bank, suggested)
    counts, origins, examples = counts_of(bank), _origins(file, bank), examples_of(bank)
    following, in_one = following_of(bank), in_one_slide_of(bank) if per_group_of(bank) else None
    counted = None if counts is None else float(np.delete(counts, bank.excluded).sum())
    found = []
    for index in range(k):
        nearest = np.argsort(-cosines[index], kind="stable")[: min(_NEIGHBOURS, k - 1)]
        shares, alone = _where(origins, index)
        found.append(
            ConceptSummary(
                index + 1,
                bank.names[index],
                bank.colors[index],
                None if counts is None or index in bank.excluded else float(counts[index] / max(counted or 0, 1)),
                tuple((int(other) + 1, float(cosines[index, other])) for other in nearest),
                shares,
                alone,
                "" if in_one is None else _in_one_slide(float(in_one[index])),
                None if bank.parents is None else bank.parents[index] + 1,
                examples[index],
                index in bank.excluded,
                shown_hint(bank.names[index], hints[index]),
                following.most[index] if following is not None and following.follows[index] else "",
                None if following is None else following.excess[index],
                names[index + 1].suggestion if index + 1 in names and is_unnamed(bank.names[index]) else None,
            )
        )
    return found


def _origins(file: BankFile, bank: ConceptBank) -> dict[str, Counts]:
    """Counts of every concept by group, else by slide, else nothing."""
    if groups := per_group_of(bank):
        return groups
    slides, per_slide = slides_of(file.card), per_slide_of(bank)
    if len(slides) != len(per_slide):
        return {}
    return {slide.name: counts for slide, counts in zip(slides, per_slide, strict=True)}


def _in_one_slide(share: float) -> str:
    return "in one slide alone" if share == 1 else "nearly all in one slide" if share >= _ALONE else ""


def _where(origins: dict[str, Counts], index: int) -> tuple[tuple[tuple[str, float], ...], str]:
    """Shares by origin of one concept, the largest first, and the origin that it is alone in, or ""."""
    total = sum(counts[index] for counts in origins.values())
    if not total:
        return (), ""
    shares = sorted(((float(counts[index] / total), name) for name, counts in origins.items()), key=lambda one: -one[0])
    share, name = shares[0]
    of_all = origins[name].sum() / sum(counts.sum() for counts in origins.values())
    return tuple((n, s) for s, n in shares if s), name if share >= _ALONE and of_all < _MINORITY else ""
