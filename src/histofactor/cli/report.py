"""``histofactor report`` and ``histofactor status``: what is known of an output folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from histofactor.base.text import about, counted
from histofactor.cli.options import say

_Out = Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of `histofactor segment`.")]


def report(out: _Out) -> None:
    """Derive report.html, phenotypes.csv, phenotypes.parquet and run.json of a folder again, as its inputs tell."""
    from histofactor.cli.progress import at_work
    from histofactor.runs.ledger import derive

    with at_work("writing the report"):
        written = derive(out)
    for path in written:
        say(f"wrote {path}")


def status(out: _Out) -> None:
    """Say how far the runs into an output folder are: inputs that are done, damaged, failed, waiting or under way."""
    from histofactor.runs.ledger import scan
    from histofactor.runs.made_with import made_with, told_apart
    from histofactor.runs.place import under_way

    ledger = scan(out)
    outcomes = ledger.outcomes
    counts = Counter(outcome.status for outcome in outcomes)
    working = under_way(out)
    counts["waiting"] -= sum(outcome.folder in working for outcome in outcomes if outcome.status == "waiting")
    parts = [f"{counts[name]} {name}" for name in ("done", "damaged", "failed", "waiting") if counts[name]]
    parts += [f"{len(working)} under way"] if working else []
    typer.echo(f"{counted(len(outcomes), 'input')}: {', '.join(parts)}")
    made = [made_with(out / one.folder) for one in outcomes if one.folder]
    apart = Counter(filter(None, (told_apart(one, ledger.runs[-1]) for one in made)))
    for sentence, count in apart.items():
        say(f"{count} of them {sentence}")
    if apart:
        say(f"`histofactor relabel {out}` brings all slides of a study up to date with its concepts")
    for outcome in outcomes:
        if outcome.error:
            say(f"{outcome.status}: {about(outcome.input, outcome.error)}")
