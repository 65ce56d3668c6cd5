"""``histofactor estimate``: what segmenting inputs would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.cli.options import (
    EncoderChoice,
    InputsArgument,
    KOption,
    MethodOption,
    MinAreaOption,
    TableOption,
    TissueMaskOption,
    TissueOption,
    encoder_options,
    inputs_of,
    say,
)

if TYPE_CHECKING:
    from histofactor.runs.estimate import Estimate, InputEstimate


@encoder_options
def estimate(  # noqa: PLR0913 - one parameter an option
    inputs: InputsArgument = None,
    *,
    concepts: Annotated[
        Path | None,
        typer.Option(metavar="FILE|embedded", help="Concept bank, or the one that ships; default: to be learned."),
    ] = None,
    table: TableOption = None,
    k: KOption = None,
    method: MethodOption = "project",
    tissue: TissueOption = True,
    tissue_mask: TissueMaskOption = None,
    min_area: MinAreaOption = None,
    choice: EncoderChoice,
) -> None:
    """Say what `segment` would take with these inputs and options: tissue, windows, time, memory, and room on disk.

    Three windows are encoded to measure this machine as it is used at the moment. Nothing is written. Inputs that
    cannot be read are told, and the exit code is then 1.
    """
    from histofactor.cli.progress import progress_reporter
    from histofactor.runs.estimate import estimate as estimated
    from histofactor.runs.request import ManyOptions
    from histofactor.runs.task import Request
    from histofactor.segmentation.setup import SegmentOptions

    choice.check()
    paths, known = inputs_of(inputs, table)
    how = SegmentOptions(**choice.given(), tissue=tissue, tissue_mask=tissue_mask, min_area_um2=min_area)
    request = Request(encoder=choice.encoder, concepts=concepts, k=k, mpp=choice.mpp, method=method, options=how)
    options = ManyOptions(mpp=choice.mpp, opening=choice.opening(), known=known, method=method, segment=how)
    with progress_reporter(inputs=paths) as reporter:
        found = estimated(paths, request, options, reporter)
    _print(found)
    raise typer.Exit(1 if any(one.error for one in found.inputs) else 0)


def _print(found: Estimate) -> None:
    from rich.console import Console
    from rich.table import Table

    from histofactor.base.text import about, printable
    from histofactor.runs.source import shown_names

    table = Table("input", "size (px)", "µm/px", "tissue (mm²)", "windows", "time", box=None)
    readable, names = [one for one in found.inputs if not one.error], shown_names(one.path for one in found.inputs)
    for one in readable:
        table.add_row(printable(names[str(one.path)]), *_cells(one))
    Console().print(table)
    for one in found.inputs:
        if one.error:
            say(f"cannot be read: {about(str(one.path), one.error)}", err=True)
    windows, areas = sum(one.windows for one in readable), [one.tissue_mm2 for one in readable]
    known = f"{sum(area for area in areas if area is not None):.2f} mm² of tissue" + (
        f" (without {areas.count(None)} inputs without µm/px)" if None in areas else ""
    )
    say(
        f"in all: {len(readable)} inputs, {known}, {windows} windows with {found.views} views of each place counted, "
        f"{found.window_s:.2f} s a window"
    )
    learning = f", {duration(found.learning_s)} of it to learn concepts" if found.learning_s else ""
    say(f"time: {duration(found.seconds)}{learning}, on this machine as it is used at the moment")
    memory = "not known here" if found.memory_bytes is None else f"{found.memory_bytes / 1e9:.1f} GB"
    say(f"memory at the peak: {memory}; on disk: about {found.disk_bytes / 1e6:.0f} MB")


def _cells(one: InputEstimate) -> list[str]:
    mpp = "not known" if one.mpp is None else f"{one.mpp:.3g}"
    area = "not known" if one.tissue_mm2 is None else f"{one.tissue_mm2:.2f}"
    return [f"{one.size[0]} × {one.size[1]}", mpp, area, str(one.windows), duration(one.seconds)]


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as many as are worth telling."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
