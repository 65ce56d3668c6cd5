"""``histofactor features``: the dense features of inputs, written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.base.text import about
from histofactor.cli.options import (
    INTERRUPTED,
    EncoderChoice,
    InputsArgument,
    TableOption,
    TissueMaskOption,
    TissueOption,
    encoder_options,
    inputs_of,
    say,
)


@encoder_options
def features(  # noqa: PLR0913 - one parameter an option
    inputs: InputsArgument = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write into.")],
    dtype: Annotated[str, typer.Option(help="float16, or float32 for the very labels of the image.")] = "float16",
    table: TableOption = None,
    tissue: TissueOption = True,
    tissue_mask: TissueMaskOption = None,
    resume: Annotated[bool, typer.Option(help="Keep features that were made in the same way; else all anew.")] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over features that were made in another way.")
    ] = False,
    choice: EncoderChoice,
) -> None:
    """Write the dense features of inputs: OUT/NAME.features.zarr of each, a Zarr 3 group with tokens (h, w, d).

    Features that are there and were made in another way are not written over without --overwrite.
    `segment` and `concepts train` take these folders instead of the images, and encode nothing. Features are made
    split-root where no --transform is given, as concepts are learned from. Inputs that fail are reported and do not
    stop the others; the exit code is then 1.
    """
    from histofactor.cli.progress import progress_reporter
    from histofactor.runs.features import write_many_features
    from histofactor.runs.outcome import Observer
    from histofactor.runs.request import ManyOptions
    from histofactor.segmentation.setup import SegmentOptions

    choice.check()
    paths, known = inputs_of(inputs, table)
    how = SegmentOptions(**choice.given(), tissue=tissue, tissue_mask=tissue_mask)
    try:
        with progress_reporter(inputs=paths) as reporter:
            options = ManyOptions(
                mpp=choice.mpp,
                opening=choice.opening(),
                known=known,
                segment=how,
                resume=resume,
                observer=Observer(reporter),
            )
            outcomes = write_many_features(
                paths, out, encoder=choice.encoder, options=options, dtype=dtype, overwrite=overwrite
            )
    except KeyboardInterrupt:
        say(INTERRUPTED, err=True)
        raise typer.Exit(130) from None
    failed = [one for one in outcomes if one.error]
    kept = sum(one.status == "kept" for one in outcomes)
    of_these = f" ({kept} by an earlier run)" if kept else ""
    say(f"features of {len(outcomes) - len(failed)} of {len(outcomes)} inputs in {out}{of_these}")
    for one in failed:
        say(f"{one.status}: {about(one.input, one.error)}", err=True)
    raise typer.Exit(1 if failed else 0)
