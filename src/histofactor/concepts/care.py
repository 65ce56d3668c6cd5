"""Banks kept in order: concepts named, and concepts merged into unions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from histofactor.concepts.bank_file import BankFile
from histofactor.concepts.groups import Group, Merge, regroup
from histofactor.errors import BankError
from histofactor.records import Color, ConceptBank, Leaves


def rename(file: BankFile, k: int, names: Mapping[int, str], colors: Mapping[int, Color] | None = None) -> BankFile:
    """Give concepts of one K other names and colours.

    Args:
        file: the banks.
        k: which of them.
        names: new names by label, 1 … K.
        colors: new colours by label.

    Raises:
        BankError: there is no such K.
        OptionError: there is no such label.
    """
    bank, colors = _bank_of(file, k), colors or {}
    groups = regroup(_groups(bank), (), names)
    regroup(groups, (), dict.fromkeys(colors, ""))  # checks the labels
    new = tuple(colors.get(label, group.color) for label, group in enumerate(groups, 1))
    bank = replace(bank, names=tuple(group.name for group in groups), colors=new)
    return replace(file, banks={**file.banks, k: bank})


def merge(file: BankFile, k: int, merges: Sequence[Merge]) -> BankFile:
    """Add a coarser level, in which concepts of one K are put together.

    The merged concepts are unions of the leaves of the old ones, as the levels that training nests. A level of K
    concepts takes the place of one that the file has already. Smaller levels whose concepts are not unions of the new
    ones stay as they are, but the chain of parents ends at the new level.

    Args:
        file: the banks.
        k: the level whose concepts are merged.
        merges: labels, 1 … K, that become one, and its name.

    Raises:
        BankError: there is no such K.
        OptionError: a label does not exist, is asked for twice, or a merge has fewer than two.
    """
    bank = _bank_of(file, k)
    groups = regroup(_groups(bank), merges, {})
    owner = {member: index for index, group in enumerate(groups) for member in group.members}
    parents = tuple(owner[concept] for concept in range(k))
    counts = np.asarray(bank.provenance.get("counts", np.ones(k)), np.float64)
    weights = np.stack([np.bincount(group.members, counts[list(group.members)], k) for group in groups])
    means = (weights @ bank.vectors / weights.sum(1, keepdims=True)).astype(np.float32)
    leaves = bank.leaves or Leaves(bank.vectors, tuple(range(k)))
    merged = ConceptBank(
        means,
        bank.encoder,
        tuple(group.name for group in groups),
        tuple(group.color for group in groups),
        bank.mpp,
        None,
        {"merged_from": k, "members": [[member + 1 for member in group.members] for group in groups]}
        | ({"counts": (weights > 0).astype(float).dot(counts).tolist()} if "counts" in bank.provenance else {}),
        Leaves(leaves.vectors, tuple(parents[owner_] for owner_ in leaves.owners)),
    )
    banks = {**file.banks, k: replace(bank, parents=parents), len(groups): merged}
    banks = {level: banks[level] for level in sorted(banks)}
    unknown = {level: known for level, known in file.unknown_by_k.items() if level != len(groups)}
    return replace(file, banks=_relinked(banks, k), unknown_by_k=unknown)


def _relinked(banks: dict[int, ConceptBank], k: int) -> dict[int, ConceptBank]:
    """Parents that are true of the levels as they now are: the concept of the next coarser level, or none."""
    levels = list(banks)
    found = {levels[0]: replace(banks[levels[0]], parents=None)}
    for coarse, fine in pairwise(levels):
        found[fine] = replace(banks[fine], parents=_parents(banks[fine], banks[coarse]))
    return found


def _parents(fine: ConceptBank, coarse: ConceptBank) -> tuple[int, ...] | None:
    """The coarse concept that holds every fine one, where both are unions of the same leaves; else None."""
    if coarse.leaves is None:
        return None
    leaves = fine.leaves or Leaves(fine.vectors, tuple(range(len(fine.vectors))))
    if leaves.vectors.shape != coarse.leaves.vectors.shape or (leaves.vectors != coarse.leaves.vectors).any():
        return None
    pairs = set(zip(leaves.owners, coarse.leaves.owners, strict=True))
    return tuple(owner for _, owner in sorted(pairs)) if len(pairs) == len(fine.vectors) else None


def _bank_of(file: BankFile, k: int) -> ConceptBank:
    if k not in file.banks:
        has = ", ".join(map(str, file.banks))
        raise BankError(f"the file has no bank of K = {k}", mend=f"choose K from {has}")
    return file.banks[k]


def _groups(bank: ConceptBank) -> list[Group]:
    return [Group((i,), *one) for i, one in enumerate(zip(bank.names, bank.colors, strict=True))]
