"""The command ``histofactor``: the verbs, and how mistakes are told."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Annotated

import typer

import histofactor
from histofactor.cli import (
    benchmark,
    concepts,
    demo,
    doctor,
    encoders,
    estimate,
    evaluate,
    export,
    features,
    qupath,
    relabel,
    report,
    segment,
    status,
    tcga,
    view,
)
from histofactor.cli.defaults import state_defaults
from histofactor.cli.options import say
from histofactor.errors import HistofactorError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

app = typer.Typer(
    name="histofactor",
    help="Unsupervised tissue segmentation for H&E pathology: images and slides in, phenotype maps out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("segment")(segment.segment)
app.command("estimate")(estimate.estimate)
app.command("features")(features.features)
app.command("relabel")(relabel.relabel)
app.command("report")(report.report)
app.command("status")(status.status)
app.command("export")(export.export)
app.command("view")(view.view)
app.command("qupath-scripts")(qupath.qupath_scripts)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.command("benchmark")(benchmark.benchmark)
app.command("doctor")(doctor.doctor)
app.add_typer(concepts.app, name="concepts")
app.add_typer(encoders.app, name="encoders")
app.add_typer(tcga.app, name="tcga")
state_defaults(app)


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
    """Run the command line; a mistake of the user ends in one message and exit code 2.

    A reader of the output who goes away ends it without a word, with exit code 1; a full disk behind it is told.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files survive whatever the terminal can show
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # closed by whoever started it
                sys.stdout.flush()
    except HistofactorError as error:
        sys.exit(_tell(error))
    except OSError as error:
        if error.errno == errno.EPIPE:
            _write_no_more()
            sys.exit(1)
        if error.errno not in _FULL or error.filename is not None:
            raise
        _write_no_more()
        sys.exit(_tell(_nowhere_to_print(error)))


def _nowhere_to_print(error: OSError) -> OutputError:
    return OutputError(
        "cannot write the output of this command",
        expected="a disk with room behind it",
        got=error.strerror or str(error),
        mend="free some disk space; files that were reported as written are whole",
    )


def _write_no_more() -> None:
    """Let the interpreter end without another try to write what is left for stdout."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _tell(error: HistofactorError) -> int:
    """Print an error, one part a line; returns the exit code."""
    parts = {"error": error.what, "  expected": error.expected, "  got": error.got, "  to mend": error.mend}
    for name, text in parts.items():
        if text:
            say(f"{name}: {text}", err=True)
    return 2
