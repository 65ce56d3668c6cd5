"""A bank without what tells the inputs that it was learned from, as it is shared unless their names are asked for.

What is known to tell none of them stays, and nothing else does: a field that this module does not name is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from histofactor.base.text import counted
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.following import FOLLOWING, following_of, stated
from histofactor.concepts.bank.provenance import LIMIT, ONE_SLIDE, WINDOW, check_card, per_group_of, slides_of
from histofactor.concepts.bank.record import is_a
from histofactor.records import ConceptBank

_CARD = ("made", "algorithm", "licence", "choice")
_OPTIONS = ("pool", "balance")  # options of the card that are words, none of them a user's
_SLIDE = ("windows", "of", "held", "mpp", "tokens", "side", "sampled")  # numbers of an input
_PROVENANCE = (
    "counts",
    "leaf_counts",
    "per_slide",
    ONE_SLIDE,
    "stains",
    "inertia",
    LIMIT,
    WINDOW,
    "origin",
    "licence",
    "format",
    "merged_from",
    "members",
    "split_from",
    "split_label",
    "grown_from",
    "negative_entries_set_to_0",
)
_GIVEN = "given"  # on the card of a study: hashes of the paths of its inputs
_REPLACED = ("slides", "groups", "left_out", "options")


@dataclass(frozen=True, slots=True)
class Nameless:
    """What became of a bank.

    Attributes:
        file: all that it holds now; its concepts, and so their hashes, are what they were.
        notes: what was replaced or left out, a few words each.
    """

    file: BankFile
    notes: tuple[str, ...]


def without_names(file: BankFile) -> Nameless:
    """Replace the names of inputs and groups by numbers, and leave out what could tell which inputs they were.

    Names of concepts stay. Left out are hashes of inputs, places of typical patches, messages on inputs that could not
    be used, whatever else names a file, and all fields and tensors that this version does not know.

    Args:
        file: from ``read_bank_file``.

    Raises:
        BankError: what the bank tells of its inputs cannot be read.
    """
    check_card(file.card)
    groups = _numbered(file)
    notes = _told(file, groups)
    card = {name: file.card[name] for name in _CARD if name in file.card}
    if file.card.get("options"):
        card["options"] = {name: value for name, value in file.card["options"].items() if _is_plain(name, value)}
    if groups:
        counts = file.card.get("groups") or {}
        card["groups"] = {groups[name]: count for name, count in counts.items()}
    if slides := slides_of(file.card):
        card["slides"] = [
            {
                "name": f"input {number}",
                "group": None if slide.group is None else groups[slide.group],
                **{name: entry[name] for name in _SLIDE if is_a(int | float, entry.get(name))},
            }
            for number, (slide, entry) in enumerate(zip(slides, file.card["slides"], strict=True), 1)
        ]
    if left_out := file.card.get("left_out"):
        card["left_out"] = {f"left out {number}": "" for number in range(1, len(left_out) + 1)}
    return Nameless(BankFile({k: _bank(bank, groups) for k, bank in file.banks.items()}, card), notes)


def with_names(file: BankFile) -> BankFile:
    """A bank whose inputs stay named, without messages on inputs that could not be used, and hashes of where they lay.

    Both tell of the machine that it was made on.

    Args:
        file: from ``read_bank_file``.

    Raises:
        BankError: what the bank tells of its inputs cannot be read.
    """
    check_card(file.card)
    card = {name: value for name, value in file.card.items() if name != _GIVEN}
    if left_out := card.get("left_out"):
        card["left_out"] = dict.fromkeys(left_out, "")
    return replace(file, card=card)


def _numbered(file: BankFile) -> dict[str, str]:
    """New names of all groups, in the order of their old ones."""
    named = {slide.group for slide in slides_of(file.card) if slide.group is not None}
    named |= {*(file.card.get("groups") or {})}.union(*(per_group_of(bank) for bank in file.banks.values()))
    for bank in file.banks.values():
        if (following := following_of(bank)) is not None:
            named |= {*following.most} - {""}
    return {name: f"group {number}" for number, name in enumerate(sorted(named), 1)}


def _is_plain(name: str, value: Any) -> bool:
    """Whether an option of the card is a number, a choice or none, and so no name."""
    return value is None or isinstance(value, bool | int | float) or (name in _OPTIONS and isinstance(value, str))


def _bank(bank: ConceptBank, groups: Mapping[str, str]) -> ConceptBank:
    """A bank with what its provenance tells of no input."""
    kept = {name: bank.provenance[name] for name in _PROVENANCE if name in bank.provenance}
    if per_group := bank.provenance.get("per_group"):
        kept["per_group"] = {groups[name]: counts for name, counts in per_group.items()}
    if (following := following_of(bank)) is not None:
        most = tuple(groups.get(name, "") for name in following.most)
        kept[FOLLOWING] = stated(replace(following, most=most))
    return replace(bank, provenance=kept)


def _told(file: BankFile, groups: Mapping[str, str]) -> tuple[str, ...]:
    """What is replaced or left out."""
    notes = []
    if slides := slides_of(file.card):
        notes.append(f"names and hashes of {counted(len(slides), 'input')}")
    if groups:
        notes.append(f"names of {counted(len(groups), 'group')}")
    if left_out := file.card.get("left_out"):
        notes.append(f"names of {counted(len(left_out), 'input')} that could not be used")
    if any(bank.provenance.get("examples") for bank in file.banks.values()):
        notes.append("places of typical patches")
    fields = {name for name in file.card if name not in {*_CARD, *_REPLACED}}
    fields |= {name for name, value in (file.card.get("options") or {}).items() if not _is_plain(name, value)}
    for bank in file.banks.values():
        fields |= {*bank.provenance} - {*_PROVENANCE, "per_group", "examples", FOLLOWING}
    fields |= {*file.unknown, *file.unknown_tensors, *file.metadata}.union(*file.unknown_by_k.values())
    if fields:
        notes.append(f"what may tell of inputs: {', '.join(sorted(fields))}")
    return tuple(notes)
