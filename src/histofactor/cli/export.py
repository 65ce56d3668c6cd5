"""``histofactor export``: results for SpatialData, wsidata, AnnData and GeoPandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.base.text import about
from histofactor.cli.options import say

if TYPE_CHECKING:
    from histofactor.runs.outcome import Outcome


def export(
    source: Annotated[
        Path, typer.Argument(metavar="OUT|OUT/STEM", help="An output folder of `segment`, or that of one input in it.")
    ],
    *,
    spatialdata: Annotated[
        bool, typer.Option("--spatialdata", help="Write STEM.zarr, a SpatialData store that wsidata opens too.")
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write regions.parquet (GeoParquet) and phenotypes.parquet.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder to write; default that of each input.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what was exported before.")] = False,
    tile_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Tokens along the side of a tile of the token table; default 1, of large inputs more."
        ),
    ] = None,
) -> None:
    """Write the results of one input, or of all of an output folder, for the Python ecosystem of spatial data.

    STEM.zarr holds the labels in levels, regions, tissue and tiles as shapes, and the token table as AnnData. It opens
    with spatialdata.read_zarr, and beside its slide with wsidata.open_wsi(SLIDE, store="OUT/STEM"). Needs the extra
    histofactor[spatialdata].
    """
    from histofactor.cli.progress import at_work
    from histofactor.runs.exported import Formats, export_all

    formats = Formats(spatialdata, parquet, overwrite, tile_tokens)
    try:
        with at_work("exporting"):
            outcomes = export_all(source, out, formats, _tell)
    except KeyboardInterrupt:
        say("interrupted; what was exported is whole", err=True)
        raise typer.Exit(130) from None
    failed = [one for one in outcomes if one.status == "failed"]
    say(f"{len(outcomes) - len(failed)} of {len(outcomes)} exported")
    for one in failed:
        say(f"failed: {about(one.input, one.error)}", err=True)
    if failed:
        raise typer.Exit(1)


def _tell(outcome: Outcome) -> None:
    from histofactor.runs.exported import Exported

    if isinstance(outcome, Exported):
        for path in outcome.files:
            say(f"wrote {path}")
    for note in outcome.notes:
        say(f"note: {outcome.input}: {note}", err=True)
