"""``histofactor encoders``: what there is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer(help="The encoders that histofactor knows.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False) -> None:
    """List the encoders."""
    from histofactor.encoders.registry import list_encoders

    specs = list_encoders()
    if as_json:
        typer.echo(json.dumps([asdict(spec) for spec in specs], indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "dim", "patch px", "µm/px", "layer", "licence", "access", box=None)
    for spec in specs:
        access = "in the package" if not spec.source.repository else "gated" if spec.gated else "open"
        numbers = (str(spec.dim), str(spec.patch_px), f"{spec.mpp:g}")
        table.add_row(spec.name, *numbers, spec.layer, spec.licence, access)
    Console().print(table)


@app.callback()
def _encoders() -> None:
    """Keep ``list`` a verb of its own."""
