"""Rows of a CSV file that a user wrote, by hand or with a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

from histofactor.errors import OptionError

Row = dict[str, str]


def read_rows(path: Path, needed: Collection[str], told: str) -> list[tuple[int, Row]]:
    """Read the rows of a CSV file; cells that are missing are empty.

    Args:
        path: UTF-8, separated by commas or semicolons.
        needed: columns without which it makes no sense.
        told: the columns as the message tells them.

    Returns:
        The line of every row, and its cells by column.

    Raises:
        OptionError: the file cannot be read, or lacks a column.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.splitlines()[0] if text else ""
        separator = ";" if first.count(";") > first.count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = reader.fieldnames or []
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        mend = "save the table as CSV in UTF-8"
        raise OptionError(f"cannot read {path}", expected="a CSV file", got=str(error), mend=mend) from error
    if not set(needed) <= set(header):
        got = ", ".join(header) or "an empty file"
        raise OptionError(f"{path} lacks a column", expected=f"the columns {told}", got=got)
    return [(line, {column: row.get(column) or "" for column in header}) for line, row in rows]
