"""Names and colours of concepts from a table, such as an edited ``phenotypes.csv``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from histofactor.base.text import csv_plain
from histofactor.concepts.bank.csv_rows import read_rows
from histofactor.errors import OptionError
from histofactor.masks.unlike import NAME as UNLIKE
from histofactor.records import Color

_DIGITS = 10  # that no label has


@dataclass(frozen=True, slots=True)
class Naming:
    """What concepts are to be called.

    Attributes:
        names: by label, from 1 on.
        colors: by label.
    """

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)


def read_names(path: Path) -> Naming:
    """Read the columns ``label``, ``name`` and, where it is there, ``color`` (#rrggbb) of a CSV file.

    Label 0 and "unlike the bank", which are no concepts, and other columns are passed over; an empty name or colour
    leaves what is there. The apostrophe that ``base.text.csv_safe`` puts before what looks like a formula is taken off.

    Args:
        path: UTF-8, separated by commas or semicolons.

    Raises:
        OptionError: the file cannot be read, lacks a column, or a row makes no sense.
    """
    rows = read_rows(path, ("label", "name"), "label and name, if you like color")
    found = Naming()
    for line, row in rows:
        label, color = (row.get(column, "").strip() for column in ("label", "color"))
        name = csv_plain(row["name"].strip(" "))
        if label == "0" or name == UNLIKE:
            continue
        if not (label.isdecimal() and len(label) < _DIGITS) or int(label) in found.names or int(label) in found.colors:
            expected = "a label from 1 on, each once"
            raise OptionError(f"{path}, line {line}: the label makes no sense", expected=expected, got=f"{label!r:.80}")
        if name:
            found.names[int(label)] = name
        if color:
            found.colors[int(label)] = _color(color, f"{path}, line {line}")
    return found


def _color(text: str, where: str) -> Color:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise OptionError(f"{where}: the colour makes no sense", expected="for example #e69f00", got=repr(text))
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue
