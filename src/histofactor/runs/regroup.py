"""What becomes of the concepts of a segmentation: groups of them, and what the weight of a group is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histofactor.concepts.bank.file import load_banks
from histofactor.concepts.bank.groups import Group, Merge
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import BankError, BankMismatch, OptionError
from histofactor.records import Float
from histofactor.segmentation.method import total


@dataclass(frozen=True, slots=True)
class Regrouping:
    """What the user asks for; labels are those of the coarser concepts where there are any.

    Attributes:
        merges: labels that become one.
        renames: new names by label.
        bank: file of nested banks, or None to keep the concepts.
        k: number of coarser concepts; None takes the next coarser level of the bank.
    """

    merges: Sequence[Merge] = ()
    renames: Mapping[int, str] | None = None
    bank: Path | None = None
    k: int | None = None


def combine(weights: Float, members: Sequence[Sequence[int]]) -> Float:
    """Weights of groups of concepts, (…, K) to (…, number of groups): those of the members of each add up."""
    found = np.empty((*weights.shape[:-1], len(members)), np.float32)
    for index, group in enumerate(members):
        found[..., index] = total(weights[..., list(group)])
    return found


def coarser(path: Path, bank_sha256: str, k: int, wanted_k: int | None = None) -> list[Group]:
    """The groups of K concepts that nested banks give, at a coarser level.

    Args:
        path: file of nested banks.
        bank_sha256: ``bank_hash`` of the K concepts.
        k: their number.
        wanted_k: number of groups; None takes the next coarser level.

    Raises:
        BankError: the file is no bank, lacks these concepts, or is not nested.
        BankMismatch: its K concepts are others.
        OptionError: it has no such coarser level.
    """
    banks = load_banks(path)
    if k not in banks:
        has = ", ".join(map(str, banks))
        raise BankError(f"{path} has no bank of K = {k}", expected=f"the K = {k} of the segmentation", got=f"K = {has}")
    if bank_hash(banks[k]) != bank_sha256:
        raise BankMismatch(
            f"{path} holds other concepts than the segmentation was made with",
            expected=f"sha256 {bank_sha256[:12]}…",
            got=f"sha256 {bank_hash(banks[k])[:12]}…",
            mend="give the bank that the input was segmented with",
        )
    levels = [level for level in sorted(banks, reverse=True) if level < k]
    wanted_k = wanted_k or (levels[0] if levels else 0)
    if wanted_k not in levels:
        has = ", ".join(map(str, levels)) or "none"
        raise OptionError(f"{path} has no such level below K = {k}", expected=f"one of K = {has}", got=f"{wanted_k}")
    owner = list(range(k))
    for finer, level in zip([k, *levels], levels[: levels.index(wanted_k) + 1], strict=False):
        parents = banks[finer].parents
        if parents is None or set(parents) != set(range(level)):
            expected = f"parents 0 … {level - 1}, all of them, for its K = {finer}"
            raise BankError(f"{path} is not nested", expected=expected, got=f"{parents}"[:80])
        owner = [parents[concept] for concept in owner]
    bank = banks[wanted_k]
    members = [tuple(i for i, own in enumerate(owner) if own == index) for index in range(wanted_k)]
    return [Group(*group) for group in zip(members, bank.names, bank.colors, strict=True)]
