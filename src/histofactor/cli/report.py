"""``histofactor report``: what tells of all inputs of an output folder, derived again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli.options import say


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of `histofactor segment`.")],
) -> None:
    """Derive report.html, phenotypes.csv, phenotypes.parquet and run.json of a folder again, as its inputs tell.

    What several runs or shards wrote into the folder is told as one. Parquet takes the extra `parquet`.
    """
    from histofactor.cli.progress import at_work
    from histofactor.runs.derive import derive

    notes: list[str] = []
    with at_work("writing the report"):
        written = derive(out, on_note=notes.append)
    for path in written:
        say(f"wrote {path}")
    for note in notes:
        say(f"note: {note}", err=True)
