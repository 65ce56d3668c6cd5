"""``histofactor segment``: inputs to phenotype maps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.base.text import about, counted
from histofactor.cli.bank_share import bank_named
from histofactor.cli.engine_options import EngineChoice, engine_options
from histofactor.cli.following import BalanceOption, GroupOption, check_group
from histofactor.cli.options import (
    INTERRUPTED,
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
from histofactor.cli.share import LogOption, ShardOption, log_of, share

if TYPE_CHECKING:
    from histofactor.base.clock import Clock
    from histofactor.runs.outcome import Outcome


@engine_options
@encoder_options
def segment(  # noqa: PLR0913 - one parameter an option
    inputs: InputsArgument = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")],
    concepts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|hf://USER/REPO|embedded",
            help="Concept bank, one of the hub, or the one that ships; default: learned from the inputs, once for OUT, "
            "and kept there.",
        ),
    ] = None,
    table: TableOption = None,
    group: GroupOption = None,
    balance: BalanceOption = None,
    k: KOption = None,
    relearn: Annotated[
        bool, typer.Option("--relearn", help="Learn the concepts of OUT anew, from these and all earlier inputs.")
    ] = False,
    method: MethodOption = "project",
    components: Annotated[
        int | None, typer.Option(help="Components of factorize, and of single without -k; default 20.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of learning concepts, and of factorize and single.")] = 0,
    tissue: TissueOption = True,
    tissue_mask: TissueMaskOption = None,
    unlike: Annotated[
        str | None,
        typer.Option(
            metavar="auto|NUMBER",
            help='Label tissue whose residual is above this "unlike the bank"; auto: above the bank\'s limit.',
        ),
    ] = None,
    min_area: MinAreaOption = None,
    borders: Annotated[
        str,
        typer.Option(
            metavar="exact|image",
            help="Where phenotypes meet: as their weights say, or drawn to where the colour changes.",
        ),
    ] = "exact",
    resume: Annotated[
        bool, typer.Option(help="Keep what an earlier run finished, and go on where it stopped; else begin anew.")
    ] = True,
    keep_weights: Annotated[
        bool | None,
        typer.Option(
            "--keep-weights/--no-keep-weights",
            help="Write weights.zarr too, from which `relabel` derives other labels; default without --concepts.",
        ),
    ] = None,
    ome_zarr: Annotated[bool, typer.Option(help="Write labels.ome.zarr too, for napari and others.")] = False,
    quality: Annotated[
        bool,
        typer.Option("--quality", help="Mark tissue that is out of focus, under pen or folded, in files of its own."),
    ] = False,
    profile: Annotated[bool, typer.Option(help="Say how long each stage took.")] = False,
    shard: ShardOption = None,
    log: LogOption = None,
    choice: EncoderChoice,
    by: EngineChoice,
) -> None:
    """Segment slides and images into tissue phenotypes, without labels.

    Concepts are learned from the inputs, for several K, and kept in OUT/concepts.safetensors with a page to look at:
    inputs that are given later to the same OUT are segmented with them, so that labels of all compare.
    Every input gets a folder with labels.ome.tif, overlay.png, regions.geojson.gz (for QuPath), phenotypes.csv and
    segmentation.json; the output folder gets report.html to look at and run.json. Inputs that fail, or that are damaged
    in part, are reported and do not stop the others; the exit code is then 1. A run that was cut short goes on where
    it stopped when the same command is given again; several may share a folder, each with a share of the inputs
    (--shard) or with what is left.
    """
    from histofactor.base.clock import Clock
    from histofactor.cli.progress import progress_reporter
    from histofactor.errors import OptionError, OutputError
    from histofactor.records.urls import told
    from histofactor.runs.event_log import logged
    from histofactor.runs.results import Outputs
    from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
    from histofactor.segmentation.setup import SegmentOptions

    choice.check()
    check_group(group, table)
    engine = by.asked(choice.device)
    if relearn and concepts is not None:
        raise OptionError("--relearn is for the concepts of OUT, and others are given", mend="leave one of them out")
    if balance is not None and concepts is not None:
        raise OptionError("--balance is for concepts that are learned, and others are given", mend="leave one out")
    _check_components(components, method, k)
    (paths, known), clock = inputs_of(inputs, table, group), Clock()
    own, where = share(shard, len(paths))
    bank = bank_named(concepts)
    given = choice.given() | ({} if components is None else {"components": components})
    how = SegmentOptions(
        **given,
        seed=seed,
        tissue=tissue,
        tissue_mask=tissue_mask,
        unlike=unlike,
        min_area_um2=min_area,
        borders=borders,
    )
    outcomes: list[Outcome] = []
    try:
        with (
            progress_reporter(outcomes, paths) as shown,
            logged(log_of(log, own), shown, sys.argv[1:]) as reporter,
            clock("in all"),
        ):
            if where:
                reporter.on_note(where)
            options = ManyOptions(
                mpp=choice.mpp,
                opening=choice.opening(),
                known=known,
                method=method,
                segment=how,
                outputs=Outputs(keep_weights, ome_zarr, quality),
                resume=resume,
                relearn=relearn,
                balance=balance,
                arguments=[told(one) for one in sys.argv[1:]],
                observer=Observer(reporter, clock),
                shard=own,
                engine=engine,
            )
            outcomes = segment_many(paths, out, encoder=choice.encoder, concepts=bank, k=k, options=options)
    except KeyboardInterrupt:
        say(INTERRUPTED, err=True)
        raise typer.Exit(130) from None
    except OutputError:
        if outcomes:  # what is derived from them cannot be written; they are
            summarize(outcomes, out)
        raise
    if profile:
        _tell_profile(clock)
    if own is not None and not outcomes:  # which was told
        raise typer.Exit
    raise typer.Exit(
        summarize(outcomes, out, "" if own is None else f" (shard {own} of {counted(len(paths), 'input')})")
    )


def _check_components(components: int | None, method: str, k: int | None) -> None:
    """A number of components is given only to a method that makes use of it."""
    from histofactor.errors import OptionError
    from histofactor.segmentation.method import METHODS, method_of

    if components is None:
        return
    if method_of(method).streamed:  # each token is weighed on its own: the input is not factorized
        users = " or ".join(name for name, one in METHODS.items() if not one.streamed)
        raise OptionError(
            f"--components means nothing to method {method!r}, which does not factorize the input",
            expected=f"--method {users} with it",
            got=f"--components {components} --method {method}",
            mend="leave --components out, or choose another --method",
        )
    if k is not None and not method_of(method).needs_bank:
        raise OptionError(
            f"-k and --components both tell method {method!r} how many components to find",
            expected="one of them",
            got=f"-k {k} --components {components}",
            mend="leave one of them out",
        )


def _tell_profile(clock: Clock) -> None:
    """Seconds and share of every stage, on stderr."""
    from rich.console import Console
    from rich.table import Table

    total = clock.seconds["in all"]
    table = Table("stage", "seconds", "share", box=None)
    for stage, seconds in clock.seconds.items():
        table.add_row(stage, f"{seconds:.2f}", f"{seconds / total:.1%}")
    Console(stderr=True).print(table)


def summarize(outcomes: list[Outcome], out: Path, of_all: str = "") -> int:
    """Say what was written and where; returns the exit code."""
    from histofactor.base.names import PAGE

    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    kept = sum(outcome.status == "kept" for outcome in outcomes)
    of_these = f" ({kept} by an earlier run)" if kept else ""
    sentence = f"{len(outcomes) - len(failed)} of {len(outcomes)} segmented{of_these}{of_all}"
    say(f"{sentence}; look at {out / PAGE}")
    bad = [outcome for outcome in outcomes if outcome.error]
    for outcome in bad:
        say(f"{outcome.status}: {about(outcome.input, outcome.error)}", err=True)
    return 1 if bad else 0
