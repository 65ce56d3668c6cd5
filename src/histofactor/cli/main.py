"""The command ``histofactor``: the verbs, and how mistakes are told."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import histofactor
from histofactor.cli import benchmark, concepts, demo, doctor, encoders, evaluate, relabel, report, segment, tcga
from histofactor.errors import HistofactorError

app = typer.Typer(
    name="histofactor",
    help="Unsupervised tissue segmentation for H&E pathology: images and slides in, phenotype maps out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("segment")(segment.segment)
app.command("relabel")(relabel.relabel)
app.command("report")(report.report)
app.command("status")(report.status)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.command("benchmark")(benchmark.benchmark)
app.command("doctor")(doctor.doctor)
app.add_typer(concepts.app, name="concepts")
app.add_typer(encoders.app, name="encoders")
app.add_typer(tcga.app, name="tcga")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"histofactor {histofactor.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of every verb."""


def main() -> None:
    """Run the command line; a mistake of the user ends in one message and exit code 2."""
    try:
        app()
    except HistofactorError as error:
        sys.exit(_tell(error))


def _tell(error: HistofactorError) -> int:
    """Print an error, one part a line; returns the exit code."""
    lines = [f"error: {error.what}"]
    lines += [f"  {name}: {text}" for name, text in (("expected", error.expected), ("got", error.got)) if text]
    if error.mend:
        lines.append(f"  to mend: {error.mend}")
    typer.echo("\n".join(lines), err=True)
    return 2
