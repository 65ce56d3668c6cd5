"""``histofactor qupath-scripts``: scripts for QuPath."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli.options import say


def qupath_scripts(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write them to.")] = Path("qupath-scripts"),
) -> None:
    """Write two scripts for QuPath 0.6 or newer: import regions into images, and run histofactor on the open image.

    Open them in its script editor; what may be changed stands at their head.
    """
    from histofactor.export.qupath_scripts import write_scripts

    for path in write_scripts(out):
        say(f"wrote {path}")
