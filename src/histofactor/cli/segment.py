"""``histofactor segment``: inputs to phenotype maps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from histofactor.pipeline.jobs import Outcome


def segment(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images, folders or globs.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")],
    encoder: Annotated[str, typer.Option(help="Encoder; see `histofactor encoders list`.")] = "embedded",
    concepts: Annotated[Path | None, typer.Option(help="Concept bank; the embedded encoder brings its own.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Number of concepts, one that the bank has.")] = None,
    method: Annotated[str, typer.Option(help="project, factorize, cluster or single.")] = "project",
    mpp: Annotated[float | None, typer.Option(help="µm/px to work at; default the encoder's own.")] = None,
    source_mpp: Annotated[
        float | None, typer.Option(help="µm/px of inputs whose header lacks it, or is wrong.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Local weights file of the encoder.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the encoder, e.g. blocks[-2] or layer2.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    components: Annotated[int, typer.Option(help="Components of factorize, and of single without -k.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of factorize and single.")] = 0,
    tissue: Annotated[bool, typer.Option(help="Find tissue first; else everything counts as tissue.")] = True,
) -> None:
    """Segment images into tissue phenotypes, without labels.

    Every input gets a folder with labels.ome.tif, overlay.png, regions.geojson.gz (for QuPath), phenotypes.csv and
    segmentation.json; the output folder gets report.html to look at and run.json. Inputs that fail are reported and do
    not stop the others; the exit code is then 1.
    """
    from histofactor.cli.progress import progress_reporter
    from histofactor.pipeline.engine import SegmentOptions, prepare
    from histofactor.pipeline.jobs import Job, run_job
    from histofactor.slides.inputs import find_inputs
    from histofactor.slides.resolution import check_mpp

    if source_mpp is not None:
        check_mpp(source_mpp, "--source-mpp")
    paths = find_inputs(inputs)
    options = SegmentOptions(weights, layer, device, components, seed, tissue)
    engine = prepare(encoder=encoder, concepts=concepts, k=k, mpp=mpp, method=method, options=options)
    job = Job(paths, out, source_mpp, str(concepts or "embedded"), sys.argv[1:])
    with progress_reporter() as reporter:
        outcomes = run_job(job, engine, reporter)
    raise typer.Exit(summarize(outcomes, out))


def summarize(outcomes: list[Outcome], out: Path) -> int:
    """Say what was written and where; returns the exit code."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    typer.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} segmented; look at {out / 'report.html'}")
    for outcome in failed:
        typer.echo(f"failed: {outcome.input}: {outcome.error}", err=True)
    return 1 if failed else 0
