"""``histofactor encoders``: what there is, and whether it is what it should be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli.options import say

app = typer.Typer(help="The encoders that histofactor knows.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the docs.")] = False,
) -> None:
    """List the encoders."""
    from histofactor.encoders.registry import list_encoders, markdown_table

    specs = list_encoders()
    if as_json:
        typer.echo(json.dumps([asdict(spec) for spec in specs], indent=1, ensure_ascii=False))
        return
    if markdown:
        typer.echo(markdown_table(specs))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("name", no_wrap=True), "dim", "patch px", "µm/px", "access", "licence", box=None)
    for spec in specs:
        access = "in the package" if not spec.source.repository else "gated" if spec.gated else "open"
        table.add_row(spec.name, str(spec.dim), str(spec.patch_px), f"{spec.mpp:g}", access, spec.licence)
    Console().print(table)
    typer.echo("also timm:NAME for any network of timm, transformers:ID for a repository or folder, and a,b for both")


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="An encoder.")],
    weights: Annotated[Path | None, typer.Option(help="Local file of its weights.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer to take features at.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    random: Annotated[bool, typer.Option("--random", help="Without weights: build it with random ones.")] = False,
) -> None:
    """Build an encoder, verify where its tokens are, time it, and say whether the hub would let you in."""
    from histofactor.cli.progress import at_work
    from histofactor.encoders.build import assemble, choose_device, load_encoder
    from histofactor.encoders.check import access, check_encoder
    from histofactor.encoders.networks import build_network
    from histofactor.encoders.registry import get

    spec = get(name)
    say(f"{name}: {spec.source.library} {spec.source.architecture}, {spec.licence}")
    say(f"facts: {spec.facts}")
    say(f"hub: {access(spec)}")
    with at_work(f"checking {name}"):
        if random:
            encoder = assemble(spec, build_network(spec), layer=layer, device=choose_device(device))
        else:
            encoder = load_encoder(name, weights=weights, layer=layer, device=device)
        found = check_encoder(encoder)
    rows, columns = found.grid
    typer.echo(f"layer {encoder.spec.layer}: {rows} × {columns} tokens of {encoder.spec.dim} channels a window")
    typer.echo(f"geometry: {'right' if found.geometry else 'WRONG'}")
    typer.echo(f"norm of a token: {found.norm:.3g}, {found.outliers:.2%} stand out")
    typer.echo(f"speed on {encoder.device}: {found.tokens_s:,.0f} tokens/s, peak {found.peak_mb:,.0f} MB")
    if not found.geometry:
        raise typer.Exit(1)
