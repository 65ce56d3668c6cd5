"""Artefacts: concepts that count in no share, at every K whose concepts lie within or around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.colors import MAX_COLORS, another_color
from histofactor.concepts.bank.edit import level_of, mean_of
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.groups import check_labels
from histofactor.concepts.bank.nesting import leaf_owners, leaves_of, put_levels
from histofactor.concepts.bank.provenance import counts_of, leaf_counts_of, stays_true
from histofactor.concepts.bank.record import MAX_NAME
from histofactor.concepts.bank.unnamed import number_of
from histofactor.errors import OptionError
from histofactor.records import Color, ConceptBank, Float, Leaves

Owners = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A bank whose artefacts are marked at every K.

    Attributes:
        file: the banks.
        grown: K of levels in which an artefact was part of a concept and has now one of its own, and their K now.
        notes: what levels were left as they are, and why, one sentence each.
    """

    file: BankFile
    grown: dict[int, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Common:
    """Two levels on leaves (M, d) that both are made of: the concept of each, by leaf."""

    leaves: Float
    ours: Owners
    theirs: Owners


def exclude(file: BankFile, k: int, labels: Sequence[int]) -> Excluded:
    """Mark concepts of one K as artefacts, and what is made of them at every other K.

    A concept of another level all of whose leaves are excluded is excluded too. Where excluded leaves are part of a
    concept, they become one of their own: that level grows, unless there is one of that K. Labels, vectors and
    hashes of all other concepts and levels stay as they are.

    Args:
        file: the banks.
        k: the level that labels belong to.
        labels: 1 … K, of artefacts.

    Raises:
        BankError: there is no such K, or what the bank tells of its concepts cannot be read.
        OptionError: a label does not exist or is asked for twice, or nothing would be left.
    """
    bank = level_of(file, k)
    check_labels(labels, k)
    out = {*bank.excluded, *(label - 1 for label in labels)}
    if len(out) == k:
        raise OptionError("nothing would be left", expected="a concept that is no artefact", got="all excluded")
    return _spread(_marked(file, k, out), k)


def include(file: BankFile, k: int, labels: Sequence[int]) -> Excluded:
    """Take back that concepts of one K are artefacts; levels that grew by them keep their concepts.

    Args:
        file: the banks.
        k: the level that labels belong to.
        labels: 1 … K, which are excluded.

    Raises:
        BankError: there is no such K.
        OptionError: a label does not exist, is asked for twice, or is not excluded.
    """
    bank = level_of(file, k)
    check_labels(labels, k)
    back = {label - 1 for label in labels}
    if not_out := sorted(back - {*bank.excluded}):
        raise OptionError(f"label {not_out[0] + 1} is not excluded", expected="labels of artefacts")
    file = _marked(file, k, {*bank.excluded} - back)
    for level, other in file.banks.items():
        if level != k and other.excluded and (common := _common(bank, other)) is not None:
            inside = set(common.theirs[np.isin(common.ours, list(back))].tolist())
            file = _marked(file, level, {*other.excluded} - inside)
    return _spread(file, k)


def _spread(file: BankFile, k: int) -> Excluded:
    """Carry the artefacts of one level to all others, from the largest down, so that each may grow into a free K."""
    bank, apart = file.banks[k], []
    grown: dict[int, int] = {}
    notes = []
    for level in sorted({*file.banks} - {k}, reverse=True):
        common = _common(bank, file.banks[level])
        if common is None:
            apart.append(level)
            continue
        whole, parts = _whole_and_parts(common, bank.excluded)
        wanted = level + len(parts)
        if parts and (wanted in file.banks or wanted > MAX_COLORS):
            why = f"there is a K = {wanted} already" if wanted in file.banks else f"{MAX_COLORS} concepts are the most"
            notes.append(f"K = {level} is left as it is: an artefact is part of a concept there, and {why}")
            continue
        file = _marked(file, level, {*file.banks[level].excluded, *whole})
        if parts:
            file = put_levels(file, {wanted: _grown(file, bank, level, common, parts)}, gone=(level,))
            grown[level] = wanted
    if apart and bank.excluded:
        levels = ", ".join(map(str, sorted(apart)))
        notes.append(f"K = {levels} is left as it is: its concepts are not nested with those of K = {k}")
    return Excluded(file, grown, tuple(notes))


def _marked(file: BankFile, k: int, excluded: set[int]) -> BankFile:
    """The file with these artefacts at one K."""
    return replace(file, banks={**file.banks, k: replace(file.banks[k], excluded=tuple(sorted(excluded)))})


def _common(ours: ConceptBank, theirs: ConceptBank) -> _Common | None:
    """Two levels on the leaves of the one that is made of finer ones; None where they are not nested."""
    for fine, coarse in ((ours, theirs), (theirs, ours)):
        owners = leaf_owners(fine, coarse)
        if owners is not None:
            leaves = leaves_of(fine)
            pair = (leaves.owners, owners) if fine is ours else (owners, leaves.owners)
            return _Common(leaves.vectors, *(np.array(one, np.intp) for one in pair))
    return None


def _whole_and_parts(common: _Common, excluded: Sequence[int]) -> tuple[set[int], dict[int, NDArray[np.bool_]]]:
    """Concepts of the other level that are artefacts through and through, and by artefact its leaves (M,) in others."""
    inside = np.isin(common.ours, list(excluded))
    whole = {*common.theirs[inside].tolist()} - {*common.theirs[~inside].tolist()}
    mixed = ~np.isin(common.theirs, list(whole))
    parts = {artefact: (common.ours == artefact) & mixed for artefact in excluded}
    return whole, {artefact: leaves for artefact, leaves in parts.items() if leaves.any()}


def _grown(
    file: BankFile, ours: ConceptBank, level: int, common: _Common, parts: dict[int, NDArray[np.bool_]]
) -> ConceptBank:
    """A level in which parts of concepts are concepts of their own, after the others."""
    bank, owners = file.banks[level], common.theirs.copy()
    names, colors = list(bank.names), list(bank.colors)
    tissue = [name for index, name in enumerate(names) if index not in bank.excluded]
    for index, (artefact, leaves) in enumerate(parts.items(), level):
        owners[leaves] = index
        names.append(_free_name(ours.names[artefact], len(ours.names), tissue))
        colors.append(free_color(colors, ours.colors[artefact]))
    counts = leaf_counts(file, common.leaves)
    touched = {*common.theirs[np.any(list(parts.values()), axis=0)].tolist(), *range(level, len(names))}
    rows = [
        mean_of(common.leaves, np.flatnonzero(owners == index).tolist(), counts)
        if index in touched
        else bank.vectors[index]
        for index in range(len(names))
    ]
    provenance = {**stays_true(bank), "grown_from": level}
    if counts is not None:
        provenance["counts"] = [int(counts[owners == index].sum()) for index in range(len(names))]
    return replace(
        bank,
        vectors=np.array(rows, np.float32),
        names=tuple(names),
        colors=tuple(colors),
        parents=None,
        provenance=provenance,
        leaves=Leaves(common.leaves, tuple(owners.tolist())),
        excluded=(*bank.excluded, *range(level, len(names))),
        parts=_parts(bank, rows, touched),
    )


def _parts(bank: ConceptBank, rows: Sequence[NDArray[Any]], touched: set[int]) -> Leaves | None:
    """What concepts are weighed by: those that others were taken from, or that are new, by themselves."""
    if bank.parts is None:
        return None
    pairs = [pair for pair in zip(bank.parts.vectors, bank.parts.owners, strict=True) if pair[1] not in touched]
    pairs += [(rows[index], index) for index in sorted(touched)]
    return Leaves(np.array([vector for vector, _ in pairs], np.float32), tuple(owner for _, owner in pairs))


def leaf_counts(file: BankFile, leaves: Float) -> NDArray[np.float64] | None:
    """Tokens (M,) of every leaf, where a level that is made of these tells them."""
    for bank in file.banks.values():
        own = leaves_of(bank)
        if np.array_equal(own.vectors, leaves):
            counts = counts_of(bank) if bank.leaves is None else leaf_counts_of(bank)
            if counts is not None:
                return counts
    return None


def free_color(taken: Sequence[Color], wanted: Color | None = None) -> Color:
    """A colour that is not taken: the one wanted, or the one furthest from those that are."""
    return wanted if wanted is not None and wanted not in taken else another_color(taken)


def _free_name(name: str, k: int, taken: Sequence[str]) -> str:
    """A name that no tissue bears, for an artefact that is called so at another K; one that nobody named has none."""
    if number_of(name) is not None:
        return name
    ends = (f" of K = {k}", *(f" of K = {k}, {number}" for number in range(2, len(taken) + 3)))
    names = (name, *(name[: MAX_NAME - len(end)] + end for end in ends))
    return next(one for one in names if one not in taken)
