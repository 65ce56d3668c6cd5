"""``histofactor concepts show``: banks looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histofactor.cli.following import print_following
from histofactor.cli.options import EncoderChoice, named_input, say
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.concepts.bank.file import BankFile
    from histofactor.concepts.bank.suggested import ByConcept


def show(
    target: Annotated[Path, typer.Argument(metavar="OUT|BANK", help="An output folder with concepts, or a bank.")],
    inputs: Annotated[
        list[Any] | None,  # ``Input``
        typer.Argument(metavar="[INPUT...]", parser=named_input, help="Its slides, for patches."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="List the concepts of this K.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with everything, to look at.")] = None,
    source_mpp: Annotated[float | None, typer.Option(help="µm/px of slides whose header lacks it.")] = None,
    series: Annotated[str | None, typer.Option(metavar="NAME|N", help="Image of files that hold several.")] = None,
) -> None:
    """Show what a bank holds: its levels, its concepts, where they come from.

    The page shows typical patches of every concept where the slides that it was learned on are given.
    """
    from histofactor.concepts.bank.suggested import read_suggested
    from histofactor.export.bank_page import Beside, write_bank_page
    from histofactor.runs.examples import Look, read_examples
    from histofactor.runs.study import find_bank, open_study
    from histofactor.slides.inputs import find_inputs

    if inputs and html is None:
        raise OptionError("slides are for the patches of a page", mend="name the page with --html PAGE.html")
    opening = EncoderChoice(source_mpp=source_mpp, series=series)
    opening.check()
    bank = find_bank(target)
    study = open_study(bank)
    file = study.file
    _print_levels(file)
    print_following(file)
    if study.learned:
        say(f"slides are segmented with K = {study.k}")
    suggested = read_suggested(bank)
    if k is not None:
        _print_concepts(file, k, suggested)
    if html is not None:
        slides = find_inputs(inputs) if inputs else []
        patches, missing = (
            read_examples(file, slides, opening.opening(), look=Look(checked=True)) if slides else ({}, [])
        )
        for sentence in missing:
            say(f"no patches: {sentence}", err=True)
        write_bank_page(
            file, html, str(file.card.get("title") or bank.stem), Beside(patches=patches, suggested=suggested)
        )
        say(f"wrote {html}")


def _print_levels(file: BankFile) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from histofactor.base.text import counted, printable
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
        origin = f"learned from {counted(len(slides), 'input')}; licence: {file.card.get('licence') or 'not stated'}"
        console.print(printable(origin), markup=False, highlight=False)


def _print_concepts(file: BankFile, k: int, suggested: ByConcept) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from histofactor.base.text import printable
    from histofactor.concepts.bank.summary import summarize
    from histofactor.runs.edit_study import which_k

    summaries = summarize(file, which_k(file, k), suggested)
    any_suggested = any(summary.suggested for summary in summaries)
    named = ("name", "suggested", "hint") if any_suggested else ("name", "hint")
    table = Table("label", "color", *named, "share", "nearest", "where", box=None)
    for summary in summaries:
        color = "#{:02x}{:02x}{:02x}".format(*summary.color)
        share = "" if summary.share is None else f"{summary.share:.1%}"
        share = "excluded" if summary.excluded else share
        nearest = ", ".join(f"{label} ({cosine:.2f})" for label, cosine in summary.neighbours[:1])
        where = ", ".join(f"{n} {s:.0%}" for n, s in summary.origins[:2])
        where = f"{where}, {summary.in_one_slide}" if summary.in_one_slide else where
        where = f"nearly all from {summary.alone}" if summary.alone and not summary.in_one_slide else where
        where = f"follows {summary.follows}, excess {summary.excess:.2f}" if summary.follows else where
        table.add_row(
            str(summary.label),
            Text("██ ", color) + Text(color),
            Text(printable(summary.name)),
            *([Text(printable(str(summary.suggested or "")))] if any_suggested else []),
            Text(summary.hint, "dim"),
            share,
            nearest,
            Text(printable(where)),
        )
    Console().print(table)
