"""``histofactor tcga``: slides of The Cancer Genome Atlas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.base.text import counted, printable
from histofactor.cli.options import say

if TYPE_CHECKING:
    from histofactor.tcga.gdc import GdcFile

app = typer.Typer(help="List and fetch slides of TCGA.", no_args_is_help=True, rich_markup_mode=None)
_SHOWN = 100  # projects, of which TCGA has 33
_ENDPOINT = "Address of the API; default that of the Genomic Data Commons."


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one parameter an option
    out: Annotated[Path, typer.Option("-o", "--out", help="Manifest to write, NAME.tsv.")],
    project: Annotated[list[str] | None, typer.Option(help="TCGA-BRCA and the like; repeatable; default all.")] = None,
    kind: Annotated[str, typer.Option(help="diagnostic (FFPE) or tissue (frozen) slides.")] = "diagnostic",
    per_project: Annotated[int | None, typer.Option(min=1, help="So many of each project, drawn at random.")] = None,
    one_per_case: Annotated[bool, typer.Option("--one-per-case", help="No patient gives two slides.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    endpoint: Annotated[str | None, typer.Option(help=_ENDPOINT)] = None,
) -> None:
    """List the open slides of some projects, and write a manifest to fetch them by."""
    from histofactor.tcga.gdc import ENDPOINT, draw, list_slides
    from histofactor.tcga.manifest import write_manifest

    files = list_slides(project or (), kind=kind, endpoint=endpoint or ENDPOINT)
    files = draw(files, per_project, one_per_case=one_per_case, seed=seed)
    write_manifest(files, out)
    _print_projects(files)
    say(f"wrote {out}: {counted(len(files), 'slide')}, {sum(file.size for file in files) / 1e9:,.1f} GB to download")


@app.command("fetch")
def fetch(
    manifest: Annotated[Path, typer.Argument(help="A manifest, of `tcga list` or of the Genomic Data Commons.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to fetch into.")],
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Downloads side by side.")] = 4,
    tries: Annotated[int, typer.Option(min=1, help="Failures in a row before a file is given up.")] = 8,
    endpoint: Annotated[str | None, typer.Option(help=_ENDPOINT)] = None,
) -> None:
    """Fetch the files of a manifest; run it again to go on after an interruption.

    Every file is checked by its MD5 and gets its name only then. Files that cannot be had do not stop the others; the
    exit code is then 1.
    """
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    from histofactor.cli.progress import say as tell
    from histofactor.cli.progress import shown, start
    from histofactor.errors import HistofactorError
    from histofactor.tcga.fetch import FetchOptions, fetched
    from histofactor.tcga.gdc import ENDPOINT
    from histofactor.tcga.manifest import read_manifest

    files = read_manifest(manifest)
    failed = 0
    with shown(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(f"0/{len(files)} files, bytes", total=sum(file.size for file in files))
        start(progress)
        options = FetchOptions(
            endpoint or ENDPOINT,
            tries,
            on_bytes=lambda count: progress.advance(task, count),
            on_note=lambda sentence: tell(progress, sentence),
        )
        results = fetched(files, out, options, ahead=jobs, keep=True)
        for number, result in enumerate(results, 1):
            progress.update(task, description=f"{number}/{len(files)} files, bytes")
            if isinstance(result, HistofactorError):
                failed += 1
                tell(progress, str(result))
    say(f"fetched {len(files) - failed} of {counted(len(files), 'file')} into {out}")
    if failed:
        raise typer.Exit(1)


def _print_projects(files: Sequence[GdcFile]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    by_project: dict[str, list[GdcFile]] = {}
    for file in files:
        by_project.setdefault(file.project, []).append(file)
    table = Table("project", "slides", "patients", "GB", box=None)
    for project, slides in sorted(by_project.items())[:_SHOWN]:
        size = sum(file.size for file in slides) / 1e9
        patients = len({file.case for file in slides})
        table.add_row(Text(printable(project)), str(len(slides)), str(patients), f"{size:,.1f}")
    Console().print(table)
    if len(by_project) > _SHOWN:
        typer.echo(f"and {len(by_project) - _SHOWN:,} more projects")
