"""``histofactor concepts``: banks of concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.errors import HistofactorError

app = typer.Typer(help="Learn, import and inspect concept banks.", no_args_is_help=True, rich_markup_mode=None)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The paper's .joblib file, or a .npy or .npz of concepts (K, d).")],
    encoder: Annotated[str, typer.Option(help="The encoder whose features the concepts were learned on.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Bank to write; default FILE.safetensors.")] = None,
    mpp: Annotated[float | None, typer.Option(help="µm/px they were learned at; default the encoder's own.")] = None,
) -> None:
    """Import a foreign bank, such as the paper's published ones.

    The file is read by a restricted reader that can build numeric arrays and nothing else; it runs no code.
    """
    from dataclasses import replace

    from histofactor.concepts.bank_file import save_bank
    from histofactor.concepts.legacy import import_legacy
    from histofactor.encoders.registry import get
    from histofactor.slides.resolution import check_mpp

    if mpp is not None:
        check_mpp(mpp, "--mpp")
    spec = get(encoder)
    key = replace(spec.key, revision=None)  # the file does not say which weights it was learned with
    banks = import_legacy(file, key, dim=spec.dim, mpp=mpp or spec.mpp)
    out = out or file.with_suffix(".safetensors")
    save_bank(banks, out)
    typer.echo(f"wrote {out}: K = {', '.join(str(len(bank.names)) for bank in banks)} for encoder {encoder}")


@app.command("train")
def train(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images, folders or globs.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Bank to write, NAME.safetensors.")],
    k: Annotated[str, typer.Option("-k", help="Numbers of concepts, separated by commas.")] = "8,16,32,64",
    encoder: Annotated[str, typer.Option(help="Encoder; see `histofactor encoders list`.")] = "embedded",
    weights: Annotated[Path | None, typer.Option(help="Local weights file of the encoder.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the encoder.")] = None,
    mpp: Annotated[float | None, typer.Option(help="µm/px to work at; default the encoder's own.")] = None,
    source_mpp: Annotated[float | None, typer.Option(help="µm/px of inputs whose header lacks it.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of sampling and clustering.")] = 0,
) -> None:
    """Learn concepts from a collection of images: k-means over their tissue tokens, for every K."""
    from rich.console import Console
    from rich.progress import Progress

    from histofactor.cli.options import numbers
    from histofactor.concepts.bank_file import save_bank
    from histofactor.pipeline.engine import SegmentOptions
    from histofactor.pipeline.learn import LearnOptions, train_concepts
    from histofactor.slides.inputs import find_inputs
    from histofactor.slides.resolution import check_mpp

    if source_mpp is not None:
        check_mpp(source_mpp, "--source-mpp")
    ks = numbers(k, "-k")
    paths = find_inputs(inputs)
    options = LearnOptions(mpp, source_mpp, seed, encoder=SegmentOptions(weights, layer))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("images", total=len(paths))

        def on_image(path: Path, error: HistofactorError | None) -> None:
            progress.advance(task)
            if error is not None:
                progress.console.print(f"left out {path}: {error}", markup=False, highlight=False)

        banks = train_concepts(paths, ks, encoder=encoder, options=options, on_image=on_image)
    save_bank(banks, out)
    typer.echo(f"wrote {out}: K = {', '.join(str(len(bank.names)) for bank in banks)} from {len(paths)} images")


@app.command("show")
def show(bank: Annotated[Path, typer.Argument(help="A concept bank.")]) -> None:
    """Show what a bank holds."""
    from rich.console import Console
    from rich.table import Table

    from histofactor.concepts.bank import bank_hash
    from histofactor.concepts.bank_file import load_banks

    table = Table("K", "dim", "encoder", "layer", "µm/px", "sha256", "source", box=None)
    for k, concepts in load_banks(bank).items():
        encoder, provenance = concepts.encoder, concepts.provenance
        source = str(provenance.get("source", provenance.get("method", "")))
        mpp = "?" if concepts.mpp is None else f"{concepts.mpp:g}"
        identity = (encoder.name, encoder.layer, mpp, bank_hash(concepts)[:12])
        table.add_row(str(k), str(concepts.vectors.shape[1]), *identity, source)
    Console().print(table)
