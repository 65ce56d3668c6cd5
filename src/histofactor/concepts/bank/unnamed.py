"""Names that nobody gave: ``Concept 3`` is label 3, at every level, so that name and label never differ.

Levels that are made of others number such names anew (``nesting.put_levels``, ``groups.regroup``); a name that somebody
gave goes with its concept and is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# what follows the number is of earlier versions: parts of a split, artefacts of another level
_UNNAMED = re.compile(r"Concept ([0-9]{1,9})(?P<more>( of K = [0-9]+)?( [a-z0-9]+)?)")


def default_name(label: int) -> str:
    """What a concept is called as long as nobody names it, by its label from 1 on."""
    return f"Concept {label}"


def number_of(name: str) -> int | None:
    """The number in a name of the form that ``default_name`` gives; None for any other."""
    found = _UNNAMED.fullmatch(name)
    return None if found is None or found["more"] else int(found[1])


def is_unnamed(name: str) -> bool:
    """Whether a name was made and not given, by this or an earlier version."""
    return _UNNAMED.fullmatch(name) is not None


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the labels from 1 on, those that nobody gave by the labels that they have here."""
    return tuple(name if number_of(name) is None else default_name(label) for label, name in enumerate(names, 1))
