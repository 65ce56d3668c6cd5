"""``histofactor concepts show|name|merge``: banks looked at and kept in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.cli.options import EncoderChoice, labels_and_name, say
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.concepts.bank.file import BankFile


def show(
    bank: Annotated[Path, typer.Argument(help="A concept bank.")],
    inputs: Annotated[list[Path] | None, typer.Argument(metavar="[INPUT...]", help="Its slides, for patches.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="List the concepts of this K.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with everything, to look at.")] = None,
    source_mpp: Annotated[float | None, typer.Option(help="µm/px of slides whose header lacks it.")] = None,
    series: Annotated[str | None, typer.Option(metavar="NAME|N", help="Image of files that hold several.")] = None,
) -> None:
    """Show what a bank holds: its levels, its concepts, where they come from.

    The page shows typical patches of every concept where the slides that it was learned on are given.
    """
    from histofactor.concepts.bank.file import read_bank_file
    from histofactor.export.bank_page import write_bank_page
    from histofactor.runs.examples import read_examples
    from histofactor.slides.inputs import find_inputs

    if inputs and html is None:
        raise OptionError("slides are for the patches of a page", mend="name the page with --html PAGE.html")
    opening = EncoderChoice(source_mpp=source_mpp, series=series)
    opening.check()
    file = read_bank_file(bank)
    _print_levels(file)
    if k is not None:
        _print_concepts(file, k)
    if html is not None:
        patches, missing = read_examples(file, find_inputs(inputs), opening.opening()) if inputs else ({}, [])
        for sentence in missing:
            say(f"no patches: {sentence}", err=True)
        write_bank_page(file, html, str(file.card.get("title") or bank.stem), patches)
        say(f"wrote {html}")


def name(
    bank: Annotated[Path, typer.Argument(help="A concept bank.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[LABEL=NAME...]", help="For example 3=stroma.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Which K; needed where the bank has several.")] = None,
    table: Annotated[Path | None, typer.Option(help="CSV with label, name and perhaps color (#rrggbb).")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Bank to write; default BANK itself.")] = None,
) -> None:
    """Name concepts, once for all slides; a phenotypes.csv that was edited serves as the table."""
    from histofactor.concepts.bank.edit import rename
    from histofactor.concepts.bank.file import read_bank_file, write_bank_file
    from histofactor.concepts.bank.name_table import Naming, read_names

    file = read_bank_file(bank)
    k = _which(file, k)
    naming = read_names(table) if table is not None else Naming()
    given: dict[int, str] = {}
    for text in names or ():
        labels, called = labels_and_name(text, "LABEL=NAME", "3=stroma")
        if len(labels) > 1 or labels[0] in given:
            raise OptionError("a name is for one label, once", expected="for example 3=stroma", got=text)
        given[labels[0]] = called
    new, colors = {**naming.names, **given}, naming.colors
    if not new and not colors:
        raise OptionError("nothing to name", mend="give LABEL=NAME, or --table")
    write_bank_file(rename(file, k, new, colors), out or bank)
    say(f"wrote {out or bank}: {len(new)} names at K = {k}")


def merge(
    bank: Annotated[Path, typer.Argument(help="A concept bank.")],
    merges: Annotated[list[str], typer.Argument(metavar="LABEL+LABEL=NAME...", help="For example 1+4=tumour.")],
    k: Annotated[int | None, typer.Option("-k", help="Which K; needed where the bank has several.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Bank to write; default BANK itself.")] = None,
) -> None:
    """Put concepts together: adds a coarser level in which they are one.

    Where the bank has a level of that K already, it is replaced in another file only (-o).
    """
    from histofactor.concepts.bank.edit import merge as run
    from histofactor.concepts.bank.file import read_bank_file, write_bank_file

    file = read_bank_file(bank)
    k = _which(file, k)
    wanted = [labels_and_name(text, "LABEL+LABEL=NAME", "1+4=tumour") for text in merges]
    merged = run(file, k, wanted)
    coarser = k - sum(len(labels) - 1 for labels, _ in wanted)
    if out is None and coarser in file.banks:
        mend = "write to another file with -o; the level of that K is replaced there"
        raise OptionError(f"{bank} has a level of K = {coarser} already", mend=mend)
    write_bank_file(merged, out or bank)
    say(f"wrote {out or bank}: K = {', '.join(map(str, merged.banks))}; the merged level is K = {coarser}")


def _which(file: BankFile, k: int | None) -> int:
    """The K that is meant."""
    if k is None and len(file.banks) > 1:
        raise OptionError("the bank has several K", mend=f"choose one with -k: {', '.join(map(str, file.banks))}")
    k = next(iter(file.banks)) if k is None else k
    if k not in file.banks:
        raise OptionError(f"the bank has no K = {k}", expected=f"one of {', '.join(map(str, file.banks))}")
    return k


def _print_levels(file: BankFile) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from histofactor.base.text import printable
    from histofactor.concepts.bank.provenance import residual_limit_of, slides_of
    from histofactor.concepts.bank.record import bank_hash

    facts = ("dim", "encoder", "layer", "transform", "µm/px", "unions", "unlike above", "sha256")
    table = Table("K", *facts, box=None)
    for k, concepts in file.banks.items():
        key = concepts.encoder
        mpp = "?" if concepts.mpp is None else f"{concepts.mpp:g}"
        unions = "" if concepts.leaves is None else f"of {len(concepts.leaves.owners)}"
        key_facts = (Text(printable(text)) for text in (key.name, key.layer, key.transform))
        limit = residual_limit_of(concepts)
        above = "" if limit is None else f"{limit:.3f}"
        table.add_row(str(k), str(concepts.vectors.shape[1]), *key_facts, mpp, unions, above, bank_hash(concepts)[:8])
    console = Console()
    console.print(table)
    if slides := slides_of(file.card):
        origin = f"learned from {len(slides)} inputs; {file.card.get('licence', '')}"
        console.print(printable(origin), markup=False, highlight=False)


def _print_concepts(file: BankFile, k: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from histofactor.base.text import printable
    from histofactor.concepts.bank.summary import summarize

    table = Table("label", "color", "name", "share", "nearest", "where", box=None)
    for summary in summarize(file, _which(file, k)):
        color = "#{:02x}{:02x}{:02x}".format(*summary.color)
        share = "" if summary.share is None else f"{summary.share:.1%}"
        nearest = ", ".join(f"{label} ({cosine:.2f})" for label, cosine in summary.neighbours[:1])
        where = (
            f"nearly all from {summary.alone}"
            if summary.alone
            else ", ".join(f"{n} {s:.0%}" for n, s in summary.origins[:2])
        )
        table.add_row(
            str(summary.label),
            Text("██ ", color) + Text(color),
            Text(printable(summary.name)),
            share,
            nearest,
            Text(printable(where)),
        )
    Console().print(table)
