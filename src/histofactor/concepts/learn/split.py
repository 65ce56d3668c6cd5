"""One concept clustered again into several, from the tokens it was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histofactor.base.colors import MAX_COLORS
from histofactor.concepts.bank.edit import level_of
from histofactor.concepts.bank.exclude import free_color
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.groups import check_labels
from histofactor.concepts.bank.nesting import leaves_of, put_levels
from histofactor.concepts.bank.provenance import stays_true
from histofactor.concepts.bank.record import check_name
from histofactor.concepts.bank.unnamed import default_name, number_of
from histofactor.concepts.learn.kmeans import KMeansOptions, assign, kmeans, unit_rows
from histofactor.concepts.learn.levels import Level
from histofactor.errors import BankError, OptionError
from histofactor.records import Color, ConceptBank, Float, Leaves

Labels = NDArray[np.int32]
_T = TypeVar("_T")


def label_by(bank: ConceptBank, X: Float) -> Labels:
    """The concept (N,) of every token as it was learned: the one that owns the nearest leaf.

    Args:
        bank: clustered concepts.
        X: (N, d) tokens; of unit length where the clustering is spherical.
    """
    leaves = leaves_of(bank)
    (found,) = assign(X, leaves.vectors)
    return np.array(leaves.owners, np.int32)[found.labels]


def level_by(bank: ConceptBank, X: Float) -> Level:
    """What tokens (N, d) say of the concepts of a bank: how many each has, which, and how far they are from it."""
    labels = label_by(bank, X)
    (apart,) = assign(X, bank.vectors)
    counts = np.bincount(labels, minlength=len(bank.names))
    return Level(bank.vectors, counts, labels, apart.inertia)


@dataclass(frozen=True, slots=True)
class Splitting:
    """What is asked for.

    Attributes:
        label: of the concept, 1 … K.
        into: number of parts.
        name: what parts are called, with a letter each; None calls them as the concept, if somebody named it.
    """

    label: int
    into: int
    name: str | None = None


def split(file: BankFile, k: int, wanted: Splitting, X: Float, how: KMeansOptions | None = None) -> BankFile:
    """Add a finer level, in which the tokens of one concept are clustered into several; the others are as they were.

    The parts take the place of the concept, the largest first. Where concepts are unions, each leaf of the one that is
    split becomes the means of its tokens in every part: the border to other concepts stays as fine as it was.

    Args:
        file: the banks.
        k: the level whose concept is split.
        wanted: the concept, and its parts.
        X: (N, d) the tokens that the concepts were learned from, in random order; of unit length where the clustering
            is spherical.
        how: seeds and passes of the clustering.

    Returns:
        The file with a level of K + ``into`` - 1 concepts, in the place of one that it may have had.

    Raises:
        BankError: there is no such K, or the concept has fewer distinct tokens than parts.
        OptionError: there is no such label, there are fewer than two parts, or more concepts than there may be.
    """
    bank, label, into = level_of(file, k), wanted.label, wanted.into
    check_labels([label], k)
    finer = k + into - 1
    if into < 2 or finer > MAX_COLORS:
        expected = f"from 2 to {MAX_COLORS - k + 1}, so that there are at most {MAX_COLORS} concepts"
        raise OptionError("a concept cannot be split into so many", expected=expected, got=str(into))
    how, concept = how or KMeansOptions(), label - 1
    names = _names(bank.names[concept] if wanted.name is None else wanted.name, label, into)
    rows = np.flatnonzero(label_by(bank, X) == concept)
    if not rows.size:
        raise _too_few(bank.names[concept], into, 0)
    tokens = X[rows]
    parts = _cluster(tokens, into, how, bank.names[concept])
    vectors, leaves = _parts(bank, concept, X, rows, parts, how.spherical)
    (told,) = assign(X, leaves.vectors)
    provenance = {**stays_true(bank), "split_from": k, "split_label": label}
    provenance["counts"] = np.bincount(leaves.owners, told.counts, finer).astype(int).tolist()
    if len(leaves.owners) > finer:
        provenance["leaf_counts"] = told.counts.tolist()
    excluded = {one + (into - 1) * (one > concept) for one in bank.excluded}
    made = replace(
        bank,
        vectors=vectors,
        names=_replaced(bank.names, concept, names),
        colors=_replaced(bank.colors, concept, _colors(bank.colors, concept, into)),
        parents=None,
        provenance=provenance,
        leaves=leaves if len(leaves.owners) > finer else None,
        parts=_weighed_by(bank, concept, vectors[concept : concept + into]),
        excluded=tuple(sorted(excluded | ({*range(concept, concept + into)} if concept in bank.excluded else set()))),
    )
    return put_levels(file, {finer: made})


def _names(name: str, label: int, into: int) -> list[str]:
    """What the parts are called: as the concept, with a letter each; by their labels where nobody named it."""
    if number_of(name) is not None:
        return [default_name(label + part) for part in range(into)]
    names = [f"{name} {part}" for part in _signs(into)]
    for one in (name, *names):
        check_name(one)
    return names


def _cluster(tokens: Float, into: int, how: KMeansOptions, name: str) -> Labels:
    """The part of every token, the largest first."""
    if len(tokens) < into:
        raise _too_few(name, into, len(tokens))
    (found,) = assign(tokens, kmeans(tokens, into, how))
    if not found.counts.all():
        raise _too_few(name, into, len(np.unique(tokens, axis=0)))
    rank = np.empty(into, np.int32)
    rank[np.argsort(-found.counts, kind="stable")] = np.arange(into, dtype=np.int32)
    return rank[found.labels]


def _parts(
    bank: ConceptBank, concept: int, X: Float, rows: NDArray[np.intp], parts: Labels, spherical: bool
) -> tuple[Float, Leaves]:
    """Vectors and leaves of the level with the parts."""
    old, into, tokens = leaves_of(bank), int(parts.max()) + 1, X[rows]
    (nearest,) = assign(tokens, old.vectors)
    pairs, which = np.unique(np.stack([parts, nearest.labels]), axis=1, return_inverse=True)
    new, means = _means(tokens, which.ravel()), _means(tokens, parts)
    if spherical:
        new, means = unit_rows(new), unit_rows(means)
    kept = [leaf for leaf, owner in enumerate(old.owners) if owner != concept]
    owners = [old.owners[leaf] + (into - 1) * (old.owners[leaf] > concept) for leaf in kept]
    owners += (pairs[0] + concept).tolist()
    order = np.argsort(owners, kind="stable")
    leaves = np.concatenate([old.vectors[kept], new])[order]
    vectors = np.concatenate([bank.vectors[:concept], means, bank.vectors[concept + 1 :]])
    return vectors, Leaves(leaves, tuple(int(owners[at]) for at in order))


def _weighed_by(bank: ConceptBank, concept: int, means: Float) -> Leaves | None:
    """What the concepts of the level with the parts are weighed by, where they are not by themselves."""
    if bank.parts is None:
        return None
    kept = [index for index, owner in enumerate(bank.parts.owners) if owner != concept]
    moved = [owner + (len(means) - 1) * (owner > concept) for owner in bank.parts.owners if owner != concept]
    vectors = np.concatenate([bank.parts.vectors[kept], means])
    return Leaves(vectors, (*moved, *range(concept, concept + len(means))))


def _means(X: Float, labels: NDArray[np.integer[Any]]) -> Float:
    """Mean (k, d) of the rows of every label."""
    counts = np.bincount(labels)
    sums = np.zeros((len(counts), X.shape[1]))
    np.add.at(sums, labels, X)
    means: Float = np.maximum(sums / counts[:, None], 0).astype(np.float32)  # tokens that are centred may be below 0
    return means


def _colors(colors: Sequence[Color], concept: int, into: int) -> list[Color]:
    """Colours of the parts: that of the concept, and others that are not taken."""
    taken, found = list(colors), [colors[concept]]
    for _ in range(into - 1):
        found.append(free_color(taken))
        taken.append(found[-1])
    return found


def _signs(count: int) -> Sequence[str]:
    return ascii_lowercase[:count] if count <= len(ascii_lowercase) else [str(part + 1) for part in range(count)]


def _replaced(values: tuple[_T, ...], at: int, new: Sequence[_T]) -> tuple[_T, ...]:
    return (*values[:at], *new, *values[at + 1 :])


def _too_few(name: str, into: int, bears: int) -> BankError:
    return BankError(
        f"{name!r} has too few tokens in the sample",
        expected=f"at least {into} distinct ones, for as many parts",
        got=str(bears),
        mend="split it into fewer" if bears > 1 else "split another concept",
    )
