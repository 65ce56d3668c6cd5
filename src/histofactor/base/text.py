"""Foreign text, made fit for where it goes: names of files, concepts and projects may hold any character."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

_FORMULA = "=+-@\t\r\n＝＋－＠"  # a field that begins so is worked out by spreadsheets, or hides what is
_TEXT = "'"  # a field that begins so is text to them
_NO_MARKUP = re.compile(  # what XML 1.0 forbids, control characters, and those that turn the order of the others round
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)


def counted(count: int, noun: str) -> str:
    """How many there are of what, in words: ``1 input``, ``2 inputs``.

    Args:
        count: how many.
        noun: what one of them is called; more of them end in s.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def about(name: str, message: str) -> str:
    """A message with what it is about before it, unless it says so itself."""
    says_so = message.startswith(name) and not message[len(name) :][:1].isalnum()  # a name may begin a word
    return message if says_so else f"{name}: {message}"


def utf8(text: str) -> bytes:
    r"""Encode any text in UTF-8, as every text file is written.

    A lone surrogate, such as a byte of a file name that is no UTF-8, becomes its escape ``\udcff``: in JSON, whose
    escapes are the same, it is read back as it was.

    Args:
        text: any.

    Returns:
        Valid UTF-8.
    """
    return text.encode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""Foreign text for a terminal: what it would obey or cannot show is written as an escape such as ``\x1b``.

    Args:
        text: any; line feeds are escaped too, so what is meant to be several lines is given line by line.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def markup_text(text: str) -> str:
    r"""Foreign text for HTML, XML and GeoJSON: characters that these forbid are written as escapes such as ``\x00``.

    Control characters, lone surrogates and overrides of the direction of writing are escaped; tabs and line ends stay.
    What means something in markup (``<``, ``&``) is left to whoever writes it.

    Args:
        text: any.

    Returns:
        Characters of XML 1.0 alone (https://www.w3.org/TR/xml/#charsets).
    """
    return _NO_MARKUP.sub(lambda found: _escaped(found[0]), text)


def finalize(value: Any) -> Any:
    """What a page shows of a value, for ``jinja2.Environment(finalize=…)``: ``markup_text`` of all but markup."""
    return value if hasattr(value, "__html__") else markup_text(str(value))


def csv_safe(text: str) -> str:
    """A field of a CSV file that a spreadsheet takes as text, never as a formula; ``csv_plain`` reads it back.

    An apostrophe is put before text that begins with what begins a formula (``=``, ``+``, ``-``, ``@``, a tab or a line
    end; https://owasp.org/www-community/attacks/CSV_Injection), or with an apostrophe.

    Args:
        text: any.
    """
    return _TEXT + text if text.startswith((*_FORMULA, _TEXT)) else text


def csv_plain(field: str) -> str:
    """The text of a field that ``csv_safe`` wrote; fields without such an apostrophe are left alone."""
    return field[1:] if field.startswith(_TEXT) and field[1:].startswith((*_FORMULA, _TEXT)) else field


def csv_text(rows: Iterable[Iterable[object]], delimiter: str = ",") -> str:
    """Rows of a CSV file that ``csv.reader`` reads back, whatever line ends the fields hold.

    Args:
        rows: fields; foreign text among them has gone through ``csv_safe``.
        delimiter: between the fields.

    Returns:
        The text of the file; rows end in a line feed.
    """
    lines = io.StringIO(newline="")
    row = io.StringIO(newline="")
    writer = csv.writer(row, delimiter=delimiter, lineterminator="\r\n")  # so that fields with either are quoted
    for fields in rows:
        writer.writerow(fields)
        lines.write(row.getvalue().removesuffix("\r\n") + "\n")
        row.seek(0)
        row.truncate()
    return lines.getvalue()


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key in which digits count as numbers, and case does not: ``s2`` comes before ``S10``."""
    parts = re.split(r"(\d+)", text.lower())  # words at even places, digits at odd ones
    return [(int(part), part) if place % 2 else (-1, part) for place, part in enumerate(parts)]
