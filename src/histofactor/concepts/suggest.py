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
- the model does not tell concepts apart: every one of several would be called the same;
- it is like no class. Shares cannot tell that, since they only compare classes with each other, and patches of one
  thing agree whatever it is. So the first cosine must stand out from those with words that name none of the classes:
  no word is nearer, and by chance some class would stand out so far in 1 % of concepts at most (see ``by_words``). And
  it must stand out from the mean of the concept's cosines with all classes by half of what is usual, the median over
  the concepts.

The thresholds were chosen for models that nobody has tuned to a bank, and hold for any scale of the cosines but that of
the margin, which is the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEST = 3  # names suggested for a concept
BY_CHANCE, AGREEING, APART, USUAL = 0.01, 2 / 3, 0.2, 0.5
_LEAST = 1e-6  # spread of words that are not all alike to a model
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
    patches: Mapping[int, Embedded],
    classes: Embedded,
    names: Sequence[str],
    scale: float,
    others: Embedded | None = None,
) -> dict[int, Suggestion]:
    """Suggest names for the concepts of one level.

    Args:
        patches: unit embeddings (n, d) of the typical patches of every concept, n ≥ 1, by label.
        classes: unit embeddings (C, d) of the classes, see ``class_means``; C ≥ 2.
        names: of the classes.
        scale: what cosines are multiplied with before the softmax, > 0.
        others: unit embeddings (M, d) of words that name none of the classes, made as the classes are; M ≥ 3. Without
            any, or where they are all alike to the model, any direction of the space stands for them, which is too kind
            to models whose embeddings do not fill it evenly.

    Returns:
        By label, in the order of ``patches``.
    """
    if not patches:
        return {}
    means = _units(np.stack([one.mean(0, dtype=np.float64) for one in patches.values()]))
    cosines: Embedded = means @ classes.T
    if others is not None and np.ptp(others, axis=0).max() > _LEAST:
        likely = by_words(means, classes, others)
    else:
        likely = by_direction(cosines.max(1), means.shape[1], len(classes))
    lifts = cosines.max(1) - cosines.mean(1)
    alike = len(means) > 1 and len({*cosines.argmax(1).tolist()}) == 1
    like_none = (likely > BY_CHANCE) | (lifts < USUAL * np.median(lifts))
    return {
        label: _one(
            of_mean,
            one @ classes.T,
            names,
            scale,
            otherwise="every concept would be called so" if alike else "like no class" if none else "",
        )
        for (label, one), of_mean, none in zip(patches.items(), cosines, like_none, strict=True)
    }


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


def settled(patches: Embedded, classes: Embedded) -> bool:
    """Whether these patches (n, d) say what more would: all are nearest to one class, and hardly so by chance.

    Half of what chance may do is left to the concepts for which more patches are looked at.
    """
    nearest = (patches @ classes.T).argmax(1)
    return len({*nearest.tolist()}) == 1 and by_chance(len(patches), len(patches), len(classes)) <= BY_CHANCE / 2


def by_direction(cosines: Embedded, dim: int, classes: int) -> Embedded:
    """How likely it is at most that a direction by lot has such a cosine (n,), or more, with one of so many classes.

    The square of the cosine of two directions of d dimensions has the beta distribution with 1/2 and (d - 1)/2.
    """
    from scipy.special import betainc

    tail: Embedded = classes * betainc((dim - 1) / 2, 0.5, 1 - np.clip(cosines, 0, 1) ** 2) / 2
    return np.minimum(np.where(cosines > 0, tail, 1.0), 1.0)


def by_words(means: Embedded, classes: Embedded, others: Embedded) -> Embedded:
    """How likely it is at most that words that mean nothing to a concept are as near to it as its first class: (K,).

    What all images have in common with a text says nothing of a concept, so the middle of the concepts is taken off
    first (where there are several), to which the concepts of each first class count as one: it stays where it is when
    most concepts are of one class. Then Student's t of the first class among the words, as a further one of them, times
    the number of classes; 1 where a word is nearer.

    Args:
        means: of concepts, (K, d).
        classes: (C, d).
        others: the words, (M, d), M ≥ 3.
    """
    from scipy.special import stdtr

    first, words = (means @ classes.T).argmax(1), len(others)
    if len(means) > 1:
        means = means - np.mean([means[first == place].mean(0) for place in np.unique(first)], axis=0)
    near, of_words = np.einsum("kd,kd->k", means, classes[first]), means @ others.T
    spread = of_words.std(1, ddof=1) * np.sqrt(1 + 1 / words)
    tail: Embedded = len(classes) * stdtr(words - 1, (of_words.mean(1) - near) / np.maximum(spread, _LEAST))
    return np.where(near < of_words.max(1), 1.0, np.minimum(tail, 1.0))


def _one(cosines: Embedded, of_patches: Embedded, names: Sequence[str], scale: float, *, otherwise: str) -> Suggestion:
    """A suggestion from the cosines (C,) of a concept, and those (n, C) of its patches.

    ``otherwise`` is why it is unsure where its patches and its margin are no reason to be.
    """
    order = np.argsort(-cosines, kind="stable")
    powers = np.exp(scale * (cosines - cosines.max()))
    shares = powers / powers.sum()
    votes, patches = int((of_patches.argmax(1) == order[0]).sum()), len(of_patches)
    best = tuple(
        Candidate(names[index], float(np.clip(cosines[index], -1, 1)), float(shares[index])) for index in order[:BEST]
    )
    margin = float(shares[order[0]] - shares[order[1]])
    return Suggestion(best, margin, votes, patches, _unsure(votes, patches, len(names), margin) or otherwise)


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
