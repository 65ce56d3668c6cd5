"""Rows of a CSV file that a user wrote, by hand or with a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from histofactor.errors import OptionError

Row = dict[str, str]
_BEYOND = "\0beyond"  # under which csv puts cells after the last column; no column is called so


def read_rows(path: Path, needed: Collection[str], told: str) -> list[tuple[int, Row]]:
    """Read the rows of a CSV file; cells that are missing are empty.

    Args:
        path: UTF-8, separated by commas or semicolons.
        needed: columns without which it makes no sense.
        told: the columns as the message tells them.

    Returns:
        The line of every row, and its cells by column.

    Raises:
        OptionError: the file cannot be read, lacks a column or has one twice, or a row has more cells than there are
            columns.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.splitlines()[0] if text else ""
        separator = ";" if first.count(";") > first.count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True, restkey=_BEYOND)
        header = reader.fieldnames = [column.strip() for column in reader.fieldnames or ()]
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        mend = "save the table as CSV in UTF-8"
        raise OptionError(f"cannot read {path}", expected="a CSV file", got=str(error), mend=mend) from error
    if not set(needed) <= set(header):
        got = ", ".join(header) or "an empty file"
        raise OptionError(f"{path} lacks a column", expected=f"the columns {told}", got=got)
    if twice := [column for column, times in Counter(header).items() if times > 1 and column]:
        raise OptionError(f"{path} has a column twice", expected="every column once", got=twice[0])
    for line, row in rows:
        if more := [cell for cell in row.get(_BEYOND) or () if cell.strip()]:
            raise OptionError(
                f"{path}, line {line}: there are more cells than columns",
                expected=f"{len(header)} at most: {', '.join(header)}"[:200],
                got=f"{more[0]!r:.100} after them",
                mend=f"put a cell that has {separator!r} in it between double quotes",
            )
    return [(line, {column: row.get(column) or "" for column in header}) for line, row in rows]
