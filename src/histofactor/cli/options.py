"""Options that several verbs read alike."""

from __future__ import annotations

from histofactor.errors import OptionError


def numbers(text: str, option: str) -> list[int]:
    """Positive whole numbers separated by commas.

    Raises:
        OptionError: the text is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise OptionError(f"{option} is not a list of numbers", expected="for example 8,16,32", got=text)
    return [int(part) for part in parts]


def labels_and_name(text: str, option: str, example: str) -> tuple[tuple[int, ...], str]:
    """Labels and name of ``1+4=name``.

    Raises:
        OptionError: the text is something else.
    """
    left, _, name = text.partition("=")
    labels = [part.strip() for part in left.split("+")]
    if not name.strip() or not all(label.isdecimal() for label in labels):
        raise OptionError(f"{option} cannot be read", expected=f"for example {example}", got=text)
    return tuple(map(int, labels)), name.strip()


def printable(text: str) -> str:
    """Foreign text without what a terminal would obey or cannot show."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
