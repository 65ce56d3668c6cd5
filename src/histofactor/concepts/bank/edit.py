"""Banks kept in order: concepts named, and concepts merged into unions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.groups import Group, Merge, check_labels, regroup
from histofactor.concepts.bank.nesting import leaves_of, parts_of, put_levels
from histofactor.concepts.bank.one_name import in_one_color, sizes_of
from histofactor.concepts.bank.provenance import (
    STAIN_DIGITS,
    Counts,
    Example,
    Stains,
    counts_of,
    examples_of,
    per_group_of,
    per_slide_of,
    stains_of,
    stays_true,
)
from histofactor.concepts.bank.unnamed import number_of
from histofactor.errors import BankError, OptionError
from histofactor.records import Color, ConceptBank, Float, Leaves


def rename(file: BankFile, k: int, names: Mapping[int, str], colors: Mapping[int, Color] | None = None) -> BankFile:
    """Give concepts of one K other names and colours.

    Args:
        file: the banks.
        k: which of them.
        names: new names by label, 1 … K; several concepts may have one, see ``one_name``.
        colors: new colours by label.

    Raises:
        BankError: there is no such K.
        OptionError: there is no such label, or a name is what another label is called as long as nobody names it.
    """
    bank, colors = level_of(file, k), colors or {}
    called = tuple(group.name for group in regroup(_groups(bank), (), names))
    check_labels(list(colors), k)
    _check_free(bank.names, called)
    bank = replace(bank, names=called, colors=_recolored(bank, called, colors))
    return replace(file, banks={**file.banks, k: bank})


def _check_free(before: Sequence[str], after: Sequence[str]) -> None:
    """Raise OptionError where a concept takes the name that another label has by its number."""
    for label, (old, new) in enumerate(zip(before, after, strict=True), 1):
        if new != old and (number := number_of(new)) is not None and number != label:
            raise OptionError(
                f"label {label} cannot be called {new!r}",
                expected="a name that no other label has by its number",
                got=f"that of label {number}",
                mend="choose another name; to put both together, merge them",
            )


def _recolored(bank: ConceptBank, names: Sequence[str], wanted: Mapping[int, Color]) -> tuple[Color, ...]:
    """Colours of concepts after some are to be seen in others: of one name, the largest has that colour for all."""
    sizes, seen, found = sizes_of(bank), in_one_color(bank).colors, list(bank.colors)
    for label in sorted(wanted, key=lambda label: (sizes[label - 1], -label)):
        if wanted[label] != seen[label - 1]:  # else nobody chose it: it is what a table told
            same = [at for at, name in enumerate(names) if name == names[label - 1]]
            found[max(same, key=lambda at: (sizes[at], -at))] = wanted[label]
    return tuple(found)


def merge(file: BankFile, k: int, merges: Sequence[Merge]) -> BankFile:
    """Add a coarser level, in which concepts of one K are put together.

    The merged concepts are unions of the leaves of the old ones, as the levels that training nests, and are weighed by
    the old ones: labels are those of an input that was segmented before, merged. A level of K concepts takes the place
    of one that the file has already. Smaller levels whose concepts are not unions of the new ones stay as they are, but
    the chain of parents ends at the new level.

    Args:
        file: the banks.
        k: the level whose concepts are merged.
        merges: labels, 1 … K, that become one, and its name.

    Raises:
        BankError: there is no such K, or what the bank tells of its concepts cannot be read.
        OptionError: a label does not exist, is asked for twice, a merge has fewer than two, or holds an artefact and
            what is none.
    """
    bank = level_of(file, k)
    groups = regroup(_groups(bank), merges, {})
    owner = {member: index for index, group in enumerate(groups) for member in group.members}
    parents = tuple(owner[concept] for concept in range(k))
    leaves, parts = leaves_of(bank), parts_of(bank)
    merged = ConceptBank(
        _means(bank, groups),
        bank.encoder,
        tuple(group.name for group in groups),
        tuple(group.color for group in groups),
        bank.mpp,
        None,
        _provenance(bank, groups),
        Leaves(leaves.vectors, tuple(parents[owner_] for owner_ in leaves.owners)),
        bank.centring,
        _excluded(bank, groups),
        Leaves(parts.vectors, tuple(parents[owner_] for owner_ in parts.owners)),
    )
    return put_levels(file, {len(groups): merged})


def _excluded(bank: ConceptBank, groups: Sequence[Group]) -> tuple[int, ...]:
    """The groups of artefacts."""
    found = []
    for index, group in enumerate(groups):
        out = [member + 1 for member in group.members if member in bank.excluded]
        if out and len(out) < len(group.members):
            inside = next(member + 1 for member in group.members if member not in bank.excluded)
            raise OptionError(
                f"{group.name!r} would be an artefact and none",
                expected="labels that are all excluded, or none of them",
                got=f"label {out[0]}, which is excluded, and label {inside}, which is not",
                mend="exclude all of them first, or include them",
            )
        if out:
            found.append(index)
    return tuple(found)


def _means(bank: ConceptBank, groups: Sequence[Group]) -> Float:
    """The mean of each group's members."""
    counts = counts_of(bank)
    return np.array([mean_of(bank.vectors, group.members, counts) for group in groups], np.float32)


def _provenance(bank: ConceptBank, groups: Sequence[Group]) -> dict[str, Any]:
    """What stays true of unions, and what adds up."""

    def added(counts: Counts) -> list[int]:
        return [int(counts[list(group.members)].sum()) for group in groups]

    found = stays_true(bank)
    found["merged_from"] = len(bank.names)
    found["members"] = [[member + 1 for member in group.members] for group in groups]
    counts, per_group, per_slide, examples = counts_of(bank), per_group_of(bank), per_slide_of(bank), examples_of(bank)
    if counts is not None:
        found["counts"] = added(counts)
    if per_group:
        found["per_group"] = {name: added(one) for name, one in per_group.items()}
    if per_slide:
        found["per_slide"] = [added(one) for one in per_slide]
    if (stains := stains_of(bank)) is not None:
        found["stains"] = [_stain(stains, group.members, counts) for group in groups]
    if any(examples):
        found["examples"] = [_nearest([examples[member] for member in group.members]) for group in groups]
    return found


def mean_of(vectors: NDArray[np.floating[Any]], chosen: Sequence[int], counts: Counts | None) -> NDArray[np.float64]:
    """The mean (d,) of some vectors, weighed by their tokens where these are told and there are any."""
    rows = list(chosen)
    weights = counts[rows] if counts is not None and counts[rows].any() else None
    mean: NDArray[np.float64] = np.average(vectors[rows].astype(np.float64), 0, weights)
    return mean


def _stain(stains: Stains, chosen: Sequence[int], counts: Counts | None) -> list[float] | None:
    """The mean stain of some concepts, as provenance tells it."""
    measured = [one for one in chosen if not np.isnan(stains[one]).any()]
    return mean_of(stains, measured, counts).round(STAIN_DIGITS).tolist() if measured else None


def _nearest(lists: Sequence[Sequence[Example]]) -> list[dict[str, Any]]:
    """As many examples as the longest list has, those nearest to their concept first."""
    merged = sorted((one for examples in lists for one in examples), key=lambda one: one.distance)
    return [asdict(one) for one in merged[: max(map(len, lists))]]


def level_of(file: BankFile, k: int) -> ConceptBank:
    """The bank of one K; raises BankError where there is none."""
    if k not in file.banks:
        has = ", ".join(map(str, file.banks))
        raise BankError(f"the file has no bank of K = {k}", mend=f"choose K from {has}")
    return file.banks[k]


def _groups(bank: ConceptBank) -> list[Group]:
    return [Group((i,), *one) for i, one in enumerate(zip(bank.names, bank.colors, strict=True))]
