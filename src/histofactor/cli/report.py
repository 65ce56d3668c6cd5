"""``histofactor report`` and ``histofactor status``: what is known of an output folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli.options import say

_Out = Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of `histofactor segment`.")]


def report(out: _Out) -> None:
    """Derive report.html, phenotypes.csv and run.json of an output folder again, from what its inputs tell."""
    from histofactor.runs.ledger import derive

    for path in derive(out):
        say(f"wrote {path}")


def status(out: _Out) -> None:
    """Say how far the runs into an output folder are: inputs that are done, damaged, failed, waiting or under way."""
    from histofactor.runs.ledger import other_concepts, scan, under_way

    ledger = scan(out)
    outcomes = ledger.outcomes
    counts = Counter(outcome.status for outcome in outcomes)
    working = under_way(out)
    counts["waiting"] -= sum(outcome.folder in working for outcome in outcomes if outcome.status == "waiting")
    parts = [f"{counts[name]} {name}" for name in ("done", "damaged", "failed", "waiting") if counts[name]]
    parts += [f"{len(working)} under way"] if working else []
    typer.echo(f"{len(outcomes)} inputs: {', '.join(parts)}")
    if other := sum(bool(one.folder and other_concepts(out, one, ledger.runs[-1])) for one in outcomes):
        say(
            f"{other} of them with other concepts than the newest run: `histofactor relabel {out}` brings all slides "
            f"of a study up to date"
        )
    for outcome in outcomes:
        if outcome.error:
            say(f"{outcome.status}: {outcome.input}: {outcome.error}")
