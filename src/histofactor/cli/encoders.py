"""``histofactor encoders``: what there is, and whether it is what it should be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.cli.options import say

if TYPE_CHECKING:
    from histofactor.encoders.build import Weighted
    from histofactor.encoders.check import Checked
    from histofactor.encoders.encoder import Encoder
    from histofactor.encoders.own_forward import Compared

_MOST_NORM = 65504.0  # of a token, in float16, which every encoder is run in by somebody
_MANY = 0.005  # share of tokens that stand out from which on repair is advised

app = typer.Typer(help="The encoders that histofactor knows.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the docs.")] = False,
) -> None:
    """List the encoders, what their licences allow, and how robust they were found."""
    from histofactor.encoders.registry import access_of, list_encoders, markdown_table

    specs = list_encoders()
    if as_json:
        typer.echo(json.dumps([asdict(spec) for spec in specs], indent=1, ensure_ascii=False))
        return
    if markdown:
        typer.echo(markdown_table(specs))
        return
    from rich.console import Console
    from rich.table import Column, Table

    licence = Column("licence", overflow="fold")
    columns = ("dim", "patch px", "µm/px", "access", licence, "commercial", "sharing", "robustness")
    table = Table(Column("name", no_wrap=True), *columns, box=None)
    for spec in specs:
        cells = (str(spec.dim), str(spec.patch_px), f"{spec.mpp:g}", access_of(spec), spec.licence)
        table.add_row(spec.name, *cells, spec.commercial, spec.derivatives, spec.robustness.replace(" / ", "/"))
    Console().print(table)
    typer.echo("commercial: whether the licence allows commercial use; sharing: to share concepts learned with them")
    typer.echo("also timm:NAME for any network of timm, transformers:ID for a repository or folder, and a,b for both")


@app.command("check")
def check(  # noqa: PLR0913 - one parameter an option
    name: Annotated[str, typer.Argument(help="An encoder.")],
    *,
    weights: Annotated[
        Path | None, typer.Option(help="Its weights: a file, a folder that holds it, or a snapshot of the hub.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer to take features at.")] = None,
    window: Annotated[
        int | None, typer.Option(metavar="PX", help="Side of its windows, a multiple of its patch.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    random: Annotated[bool, typer.Option("--random", help="Without weights: build it with random ones.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Image to draw a map of; default: procedural tissue.")] = None,
    pca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what it sees in the picture, as colours: a .png, or a page, .html."),
    ] = None,
) -> None:
    """Load an encoder and look through it: tensors, place of its tokens, their norms, its own forward, its speed.

    Where anything is off, the message begins with what to do, and the exit code is not 0.
    """
    from histofactor.cli.encoder_page import check_ending, what_to_do_first, write_map
    from histofactor.cli.progress import at_work
    from histofactor.encoders.build import Weighted, assemble, choose_device, row_of, with_weights
    from histofactor.encoders.check import access, check_encoder, compare_forward
    from histofactor.encoders.encoder import Inference
    from histofactor.encoders.networks import build_network
    from histofactor.errors import EncoderError, OptionError

    if pca is not None:
        check_ending(pca)
    elif picture is not None:
        raise OptionError("a picture is for a map of it", mend="name the map with --pca FILE.png or FILE.html")
    spec, target = row_of(name, window), choose_device(device)
    say(f"{name}: {spec.source.library} {spec.source.architecture}")
    say(f"licence: {spec.licence}; commercial use: {spec.commercial}; sharing what is made with it: {spec.derivatives}")
    say(f"robustness, as published: {spec.robustness or 'not found'}")
    say(f"facts: {spec.facts}")
    say(f"hub: {access(spec)}")
    try:
        with at_work(f"checking {name}"):
            given = (
                Weighted(spec, build_network(spec))
                if random
                else with_weights(name, weights, Inference(window_px=window))
            )
            encoder = assemble(given.spec, given.network, layer=layer, device=target)
            found = check_encoder(encoder)
            compared = compare_forward(row_of(name), given, target)
    except EncoderError as error:
        raise what_to_do_first(error) from error
    _tell(given, encoder, found, compared)
    if pca is not None:
        say(f"what it sees: {write_map(encoder, picture, pca)}")
    raise typer.Exit(1 if _advise(found, compared) else 0)


def _tell(given: Weighted, encoder: Encoder, found: Checked, compared: Compared | None) -> None:
    """Everything that was found, a line each."""
    if given.path is not None:
        matched = sum(not name.endswith("num_batches_tracked") for name in given.network.state_dict())
        say(f"weights: {given.path}, {given.spec.source.revision}")
        say(f"tensors: all {matched} of the network are there; the file has {given.tensors}")
    for note in given.notes:
        say(f"note: {note}")
    (rows, columns), side = found.grid, encoder.spec.window.size_px
    grid = f"{rows} × {columns} tokens of {encoder.spec.dim} channels a window of {side} px"
    typer.echo(f"layer {encoder.spec.layer}: {grid}")
    typer.echo(f"geometry: {'right' if found.geometry else 'WRONG'}")
    typer.echo(f"norm of a token: {found.norm:.3g}, {found.outliers:.2%} stand out")
    if compared is not None:
        missing = f"; the package {compared.package} of its authors is not installed" if compared.package else ""
        told = "the same tokens" if compared.same else "OTHER tokens"
        typer.echo(f"its own forward: {compared.who} gives {told}, {compared.difference:.0e} of their norm{missing}")
    typer.echo(f"speed on {encoder.device}: {found.tokens_s:,.0f} tokens/s, peak {found.peak_mb:,.0f} MB")


def _advise(found: Checked, compared: Compared | None) -> bool:
    """Say what to do about what is off; returns whether the encoder is not to be used."""
    wrong = []
    if not found.finite:
        wrong.append("get a fresh copy of the weights: tokens are not finite numbers")
    elif found.alike:
        wrong.append("get a fresh copy of the weights: tokens are the same wherever they lie")
    elif found.norm > _MOST_NORM:
        wrong.append(f"get a fresh copy of the weights: these are of another scale, norm of a token {found.norm:.0e}")
    elif not found.geometry:
        wrong.append("choose another --layer, or another encoder: tokens do not lie where their patches lie")
    if found.finite and found.norm <= _MOST_NORM and compared is not None and not compared.same:
        wrong.append(f"get weights and {compared.who} of the same version: its own forward gives other tokens")
    for advice in wrong:
        say(advice, err=True)
    if found.outliers > _MANY:
        say(f"give --repair-tokens: {found.outliers:.1%} of the tokens hold nothing of their place", err=True)
    return bool(wrong)
