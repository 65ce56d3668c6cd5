"""Concepts put together and named anew: which ones become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from histofactor.concepts.bank.record import check_name
from histofactor.concepts.bank.unnamed import numbered
from histofactor.errors import OptionError
from histofactor.records import Color

Merge = tuple[tuple[int, ...], str]  # labels ≥ 1, and the name of what they become


@dataclass(frozen=True, slots=True)
class Group:
    """One concept of a relabelled segmentation.

    Attributes:
        members: 0-based concepts of the original.
        name, color: its name and colour.
    """

    members: tuple[int, ...]
    name: str
    color: Color


def regroup(groups: Sequence[Group], merges: Sequence[Merge], renames: Mapping[int, str]) -> list[Group]:
    """Merge and rename; a merged group takes the place and the colour of its lowest label.

    After a merge, names that nobody gave are those of the labels that there are then, see ``unnamed``.

    Args:
        groups: one for each label from 1 on.
        merges: labels that become one, and its name.
        renames: new names by label.

    Raises:
        OptionError: a label does not exist, is asked for twice, a merge has fewer than two, or a new name is none (see
            ``record.check_name``).
    """
    check_labels([label for labels, _ in merges for label in labels] + list(renames), len(groups))
    for labels, name in merges:
        if len(labels) < 2:
            raise OptionError(f"nothing to merge into {name!r}", expected="two labels or more", got=str(labels[0]))
    new = {name for _, name in merges} | {name for label, name in renames.items() if name != groups[label - 1].name}
    for name in sorted(new):
        check_name(name)
    named = [replace(group, name=renames.get(label, group.name)) for label, group in enumerate(groups, 1)]
    merged = {label: (min(labels), labels, name) for labels, name in merges for label in labels}
    found = []
    for label, group in enumerate(named, 1):
        first, labels, name = merged.get(label, (label, (label,), group.name))
        if label == first:
            members = sorted(member for part in labels for member in groups[part - 1].members)
            found.append(Group(tuple(members), name, group.color))
    names = numbered([group.name for group in found]) if merges else [group.name for group in found]
    return [replace(group, name=name) for group, name in zip(found, names, strict=True)]


def check_labels(labels: Sequence[int], k: int) -> None:
    """Raise OptionError unless all labels exist and none is there twice."""
    unknown = sorted({label for label in labels if not 1 <= label <= k})
    if unknown:
        raise OptionError(
            f"there is no label {', '.join(map(str, unknown))}", expected=f"labels from 1 to {k}", got=str(unknown[0])
        )
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise OptionError(
            f"label {', '.join(map(str, twice))} is asked for twice",
            expected="each label in one merge or one rename",
            mend="name what a merge becomes in the merge itself: 1+4=tumour",
        )
