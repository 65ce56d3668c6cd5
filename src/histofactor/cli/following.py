"""Concepts and groups of slides (hospitals, …): what is balanced, and what is told of concepts that follow them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.cli.options import say
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.concepts.bank.file import BankFile

BalanceOption = Annotated[
    str | None,
    typer.Option(
        metavar="slide|group",
        help="What gives tokens alike to learn from: every slide, or every group of the table and the slides of each; "
        "default: group where there are groups.",
    ),
]

GroupOption = Annotated[
    str | None, typer.Option(help="Column of the table that holds the groups (hospital, …); default: group.")
]


def check_group(group: str | None, table: Path | None) -> None:
    """Raise OptionError where a column of groups is named, and no table."""
    if group is not None and table is None:
        raise OptionError("--group is a column of a table", mend="give the table with --table")


def tell_following(file: BankFile, k: int, target: Path) -> None:
    """Say whether the concepts of one K, just learned, follow the groups of slides; a warning on stderr."""
    from histofactor.concepts.bank.following import sentences

    said = sentences(file, k, str(target))
    for sentence in said:
        say(sentence, err=said[0].startswith("warning"))


def print_following(file: BankFile) -> None:
    """How far the concepts of every K follow the groups of slides, where a bank tells, and what is not told of them."""
    from rich.console import Console
    from rich.table import Table

    from histofactor.concepts.bank.following import following_of, in_words, ungrouped

    table = Table("K", "ARI with the groups", "by chance", "p", "tail mean", "", box=None)
    for k, bank in file.banks.items():
        if (found := following_of(bank)) is not None:
            chance = "" if found.p is None else f"{found.p:.3f}"
            figures = f"{found.ari:.2f}", f"{found.by_chance:.2f}", chance, f"{found.tail_mean:.2f}"
            table.add_row(str(k), *figures, in_words(found))
    if table.row_count:
        Console().print(table)
    if sentence := ungrouped(file.card):
        say(sentence)
