"""Concepts of one name: several may bear it, and are then shown and summed together.

Labels stay as they are: label maps keep every number, and tables by label have a row for each. What is looked at has
one colour for a name, that of the largest that bears it, and legends and what is told of a cohort add up by name. Who
merges labels into a name that another concept bears puts that one in too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from histofactor.concepts.bank.groups import Merge, check_labels
from histofactor.concepts.bank.provenance import counts_of
from histofactor.records import Color, ConceptBank


def joined(names: Sequence[str], merges: Sequence[Merge]) -> list[Merge]:
    """Merges as they are meant: of one name there is one, and concepts that bear it already are part of it.

    Args:
        names: of the concepts, by label from 1 on.
        merges: labels that become one, and its name.

    Raises:
        OptionError: a label does not exist or is asked for twice.
    """
    check_labels([label for labels, _ in merges for label in labels], len(names))
    asked = {label for labels, _ in merges for label in labels}
    found: dict[str, list[int]] = {}
    for labels, name in merges:
        found.setdefault(name, []).extend(labels)
    for label, name in enumerate(names, 1):
        if name in found and label not in asked:
            found[name].append(label)
    return [(tuple(labels), name) for name, labels in found.items()]


def in_one_color(bank: ConceptBank) -> ConceptBank:
    """The bank as it is shown: concepts of one name in the colour of that which has the most tokens.

    Raises:
        BankError: what the bank tells of its concepts cannot be read.
    """
    if len({*bank.names}) == len(bank.names):
        return bank
    return replace(bank, colors=one_color(bank.names, bank.colors, sizes_of(bank)))


def one_color(names: Sequence[str], colors: Sequence[Color], sizes: Sequence[float]) -> tuple[Color, ...]:
    """Colours in which all that bear one name have that of the largest; of equal ones, of the first."""
    largest = {name: at for at, name in sorted(enumerate(names), key=lambda one: (sizes[one[0]], -one[0]))}
    return tuple(colors[largest[name]] for name in names)


def sizes_of(bank: ConceptBank) -> list[float]:
    """Tokens of every concept; zeros where they are not told."""
    counts = counts_of(bank)
    return [0.0] * len(bank.names) if counts is None else counts.tolist()
