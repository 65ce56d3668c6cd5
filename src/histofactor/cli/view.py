"""``histofactor view``: a study to look at in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.base.extras import need
from histofactor.cli.options import say
from histofactor.errors import OptionError


def view(
    target: Annotated[Path, typer.Argument(metavar="OUT|BANK", help="An output folder of `segment`, or a bank.")],
    slides: Annotated[Path | None, typer.Option(help="Folder to look for slides in that were moved.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look only: nothing can be changed.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine can reach any but this.")
    ] = ("127.0.0.1"),
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; default the first free from 8750.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Look at the slides of a study and their maps, name and merge concepts, correct them: a page on this machine.

    Names, colours, merges and artefacts are written to the study's bank as they are given, and can all be undone.
    `Apply` on the page brings tables, regions, reports and label maps up to date, as `histofactor relabel` does.
    """
    need("the viewer needs", "view", "starlette", "uvicorn")
    if slides is not None and not slides.is_dir():
        raise OptionError(f"{slides} is no folder", expected="the folder that the slides lie in now")
    from histofactor.viewer.serve import ServeOptions, serve

    def ready(address: str, notes: list[str]) -> None:
        for note in notes:
            say(note, err=True)
        say(f"look at {address}")
        say("Ctrl-C ends it", err=True)
        if browser:
            import webbrowser

            webbrowser.open(address)

    options = ServeOptions(host=host, port=port, read_only=read_only, slides=slides, on_ready=ready)
    serve(target, options)
