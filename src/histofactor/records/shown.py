"""Records as a reader of a terminal wants them: what they hold, not every number of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any

_FIRST = 3  # entries of a long collection that are shown
_LETTERS = 60  # of a long text


class Shown:
    """A dataclass whose ``repr`` tells arrays by type and shape, and the beginning of long collections and texts.

    Of a record within it the first field is told, which says most, and fields that are empty are left out.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={short(value)}' for name, value in _filled(self))})"


def short(value: Any) -> str:
    """A value in a few words; no array is read."""
    if isinstance(value, Shown):
        first = [f"{name}={short(one)}" for name, one in islice(_filled(value), 1)]
        return f"{type(value).__name__}({', '.join([*first, '…'])})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{str(value.dtype).removeprefix('torch.')} {' × '.join(map(str, value.shape))}>"
    if isinstance(value, str) and len(value) > _LETTERS:
        return f"{value[:_LETTERS]!r}… ({len(value):,} letters)"
    if isinstance(value, Mapping):
        return _collection((f"{key!r}: {short(one)}" for key, one in value.items()), len(value), "{}")
    if isinstance(value, list | tuple):
        return _collection(map(short, value), len(value), "[]" if isinstance(value, list) else "()")
    shown = repr(value)
    return shown if len(shown) <= 2 * _LETTERS else f"<{type(value).__name__}>"


def _filled(record: Shown) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields that are not empty."""
    for one in fields(record):  # type: ignore[arg-type]
        value = getattr(record, one.name)
        if value is not None and not (isinstance(value, str | Mapping | list | tuple) and not value):
            yield one.name, value


def _collection(shown: Iterator[str], count: int, brackets: str) -> str:
    """Its first entries, and how many more there are."""
    few = count <= _FIRST + 1
    entries = [*islice(shown, count if few else _FIRST), *([] if few else [f"… {count - _FIRST} more"])]
    comma = "," if count == 1 and brackets == "()" else ""
    return f"{brackets[0]}{', '.join(entries)}{comma}{brackets[1]}"
