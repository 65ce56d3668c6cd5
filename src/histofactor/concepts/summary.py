"""What is worth knowing of each concept of a bank, from its vectors and what training wrote down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histofactor.concepts.bank_file import BankFile
from histofactor.factor.nnls import unit_concepts
from histofactor.records import Color, ConceptBank

_NEIGHBOURS = 3
_ALONE, _MINORITY = 0.9, 0.5  # nearly all of a concept comes from one place, which gives less than this of all tokens


@dataclass(frozen=True, slots=True)
class ConceptSummary:
    """One concept.

    Attributes:
        label: 1 … K, as in label maps.
        name, color: as in the bank.
        share: of the sampled tokens, in [0, 1], or None if not known.
        neighbours: (label, cosine) of the most similar concepts, the nearest first.
        origins: (group or slide, share of the concept's tokens), the largest first; empty if not known.
        alone: the group or slide that nearly all of it comes from though it gives few tokens, or "".
        parent: label at the next coarser level, or None.
        examples: where typical tokens are, as training wrote them: ``slide`` (its index on the card), ``x``, ``y`` and
            ``side`` in level-0 px.
    """

    label: int
    name: str
    color: Color
    share: float | None
    neighbours: tuple[tuple[int, float], ...]
    origins: tuple[tuple[str, float], ...]
    alone: str
    parent: int | None
    examples: tuple[dict[str, Any], ...]


def summarize(file: BankFile, k: int) -> list[ConceptSummary]:
    """Summaries of the K concepts of one level, in the order of their labels.

    Args:
        file: from ``read_bank_file``.
        k: one of its K.
    """
    bank = file.banks[k]
    units = unit_concepts(bank.vectors)[0]
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    counts, origins = bank.provenance.get("counts"), _origins(file, bank)
    examples = bank.provenance.get("examples") or [()] * k
    found = []
    for index in range(k):
        nearest = np.argsort(-cosines[index], kind="stable")[: min(_NEIGHBOURS, k - 1)]
        own, alone = _where(origins, index)
        found.append(
            ConceptSummary(
                index + 1,
                bank.names[index],
                bank.colors[index],
                None if counts is None else counts[index] / max(sum(counts), 1),
                tuple((int(other) + 1, float(cosines[index, other])) for other in nearest),
                own,
                alone,
                None if bank.parents is None else bank.parents[index] + 1,
                tuple(examples[index]),
            )
        )
    return found


def _origins(file: BankFile, bank: ConceptBank) -> dict[str, list[int]]:
    """Counts of every concept by group, else by slide, else nothing."""
    if groups := bank.provenance.get("per_group"):
        return dict(groups)
    slides = [slide["name"] for slide in file.card.get("slides", ())]
    return dict(zip(slides, bank.provenance.get("per_slide", ()), strict=False))


def _where(origins: dict[str, list[int]], index: int) -> tuple[tuple[tuple[str, float], ...], str]:
    """Shares by origin of one concept, the largest first, and the origin that it is alone in, or ""."""
    total = sum(counts[index] for counts in origins.values())
    if not total:
        return (), ""
    shares = sorted(((counts[index] / total, name) for name, counts in origins.items()), key=lambda one: -one[0])
    share, name = shares[0]
    of_all = sum(origins[name]) / sum(map(sum, origins.values()))
    return tuple((n, s) for s, n in shares if s), name if share >= _ALONE and of_all < _MINORITY else ""
