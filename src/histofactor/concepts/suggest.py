"""Names that a vision-language model suggests for concepts, and when it had better suggest none.

A class is the mean of the unit embeddings of its prompts, which are all its synonyms in all templates (prompt
ensembling: Radford et al., Learning transferable visual models from natural language supervision, ICML 2021, section
3.1.4). A concept is the mean of the unit embeddings of its typical patches. Both means are made units again, and the
classes of a concept are ranked by the cosine with it. Their shares are the softmax of the cosines times the scale that
the model was trained with; the margin is the share of the first less that of the second. A share is no probability of
being right: it tells how far the model holds these classes apart, whatever is on the patch.

A suggestion is unsure, and says why, where

- chance could have done it: if each of n patches took one of C classes by lot, some class would get as many patches as
  the first one has in more than 1 % of concepts (C times the tail of the binomial distribution, so never less);
- its patches disagree: less than two thirds of them are nearest to the class that is first;
- the names are too near: the margin is below 0.2;
- it is like no class: its first cosine stands out from the mean of its cosines with all classes by less than half of
  what is usual, the median over the concepts, so that the prompts may not name what the model sees there;
- the model does not tell concepts apart: every one of several would be called the same.

The thresholds were chosen for models that nobody has tuned to a bank, and hold for any scale of the cosines but that of
the margin, which is the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

BEST = 3  # names suggested for a concept
BY_CHANCE, AGREEING, APART, USUAL = 0.01, 2 / 3, 0.2, 0.5
Embedded = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name that a concept could have.

    Attributes:
        name: of the class.
        cosine: of the means of patches and prompts, in [-1, 1].
        share: of the softmax over all classes, in [0, 1].
    """

    name: str
    cosine: float
    share: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a concept could be called.

    Attributes:
        best: up to three names, the best first.
        margin: share of the first less that of the second.
        votes: patches that are nearest to the first.
        patches: how many there were.
        unsure: why it is better not taken, or "".
    """

    best: tuple[Candidate, ...]
    margin: float
    votes: int
    patches: int
    unsure: str = ""

    def __str__(self) -> str:
        """The first name with its margin, and whether it is unsure: ``tumour (0.31), unsure: patches disagree``."""
        told = f"{self.best[0].name} ({self.margin:.2f})"
        return f"{told}, unsure: {self.unsure}" if self.unsure else told


def suggest(
    patches: Mapping[int, Embedded], classes: Embedded, names: Sequence[str], scale: float
) -> dict[int, Suggestion]:
    """Suggest names for the concepts of one level.

    Args:
        patches: unit embeddings (n, d) of the typical patches of every concept, n ≥ 1, by label.
        classes: unit embeddings (C, d) of the classes, see ``class_means``; C ≥ 2.
        names: of the classes.
        scale: what cosines are multiplied with before the softmax, > 0.

    Returns:
        By label, in the order of ``patches``.
    """
    cosines = {
        label: classes @ _units(one.mean(0, keepdims=True, dtype=np.float64))[0] for label, one in patches.items()
    }
    lifts = {label: float(one.max() - one.mean()) for label, one in cosines.items()}
    usual = float(np.median([*lifts.values()])) if lifts else 0.0
    alike = len(lifts) > 1 and len({int(one.argmax()) for one in cosines.values()}) == 1
    found = {}
    for label, one in patches.items():
        made = _one(cosines[label], one @ classes.T, names, scale)
        if not made.unsure and lifts[label] < USUAL * usual:
            made = replace(made, unsure="like no class")
        elif not made.unsure and alike:
            made = replace(made, unsure="every concept would be called so")
        found[label] = made
    return found


def class_means(prompts: Embedded, owners: Sequence[int]) -> NDArray[np.float64]:
    """The unit mean (C, d) of the unit embeddings of each class's prompts.

    Args:
        prompts: (N, d).
        owners: the class of every prompt, 0 … C - 1, each at least once.
    """
    sums = np.zeros((max(owners) + 1, prompts.shape[1]))
    np.add.at(sums, np.asarray(owners), prompts.astype(np.float64))
    return _units(sums)


def by_chance(votes: int, patches: int, classes: int) -> float:
    """How likely it is at most that some class gets so many votes, or more, where every patch takes one by lot."""
    other = 1 - 1 / classes
    tail = sum(math.comb(patches, n) * float(classes) ** -n * other ** (patches - n) for n in range(votes, patches + 1))
    return min(1.0, classes * tail)


def _one(cosines: Embedded, of_patches: Embedded, names: Sequence[str], scale: float) -> Suggestion:
    """A suggestion from the cosines (C,) of a concept, and those (n, C) of its patches."""
    order = np.argsort(-cosines, kind="stable")
    powers = np.exp(scale * (cosines - cosines.max()))
    shares = powers / powers.sum()
    votes, patches = int((of_patches.argmax(1) == order[0]).sum()), len(of_patches)
    best = tuple(
        Candidate(names[index], float(np.clip(cosines[index], -1, 1)), float(shares[index])) for index in order[:BEST]
    )
    margin = float(shares[order[0]] - shares[order[1]])
    return Suggestion(best, margin, votes, patches, _unsure(votes, patches, len(names), margin))


def _unsure(votes: int, patches: int, classes: int, margin: float) -> str:
    """Why a suggestion is better not taken, or ""."""
    if by_chance(patches, patches, classes) > BY_CHANCE:
        return "too few patches"
    if votes < AGREEING * patches or by_chance(votes, patches, classes) > BY_CHANCE:
        return "patches disagree"
    return "names too near" if margin < APART else ""


def _units(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length one; what is all zero stays so."""
    units: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return units
