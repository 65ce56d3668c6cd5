"""``histofactor relabel``: the labels of segmented inputs derived again from their weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.base.text import about, counted
from histofactor.cli.engine_options import EngineChoice, engine_options
from histofactor.cli.options import labels_and_name, names_by_label, say
from histofactor.cli.share import LogOption, ShardOption, log_of, share
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.runs.execute.engine import Engine
    from histofactor.runs.outcome import Outcome, Reporter
    from histofactor.runs.relabel_study import Encoding, Relabelled

_NAMED = 3  # inputs in a sentence


@engine_options
def relabel(  # noqa: PLR0913 - one parameter an option
    source: Annotated[
        Path,
        typer.Argument(metavar="OUT|OUT/STEM", help="A study, or with -o the results of one input with its weights."),
    ],
    *,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder to write, for one input.")] = None,
    merge: Annotated[list[str] | None, typer.Option(help="Labels that become one: 1+4+7=tumour; repeatable.")] = None,
    rename: Annotated[list[str] | None, typer.Option(help="A label's new name: 3=stroma; repeatable.")] = None,
    bank: Annotated[Path | None, typer.Option(help="Nested bank whose coarser concepts to take.")] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", help="Number of concepts from now on; with --bank a coarser one, default the next."),
    ] = None,
    slide: Annotated[Path | None, typer.Option(help="The input, for the overlay, if it was moved.")] = None,
    shard: ShardOption = None,
    log: LogOption = None,
    by: EngineChoice,
) -> None:
    """Bring all slides of a study up to date with its concepts: their names, merges, splits, artefacts and level.

    What can be had without encoding is: names, colours and artefacts always, unions of concepts where weights were kept
    (`segment --keep-weights`). Inputs of which features are needed are encoded again, which is said before.

    With -o, the labels of one segmented input are derived again into another folder: merged, renamed or coarser.
    Labels are numbered as in phenotypes.csv, or as in the coarser bank if one is given. The new folder gets
    labels.ome.tif, regions.geojson.gz, phenotypes.csv and segmentation.json, and overlay.png if the input can be read;
    neither weights nor a page. Labels are numbered anew; a merged one takes the place and colour of its lowest label.
    """
    from histofactor.runs.regroup import Regrouping
    from histofactor.runs.relabel import relabel as run

    engine = by.asked()
    if out is None:
        if merge or rename or bank or slide:
            mend = "give -o FOLDER, or edit the study with `histofactor concepts`"
            raise OptionError("--merge, --rename, --bank and --slide are for one input", mend=mend)
        raise typer.Exit(_relabel_study(source, k, engine, shard, log))
    if shard is not None or log is not None:
        raise OptionError("--shard and --log are for all slides of a study", mend="leave them out")
    if engine.name != "local":
        raise OptionError("--engine ray is for a study, and one input is given", mend="leave --engine out")
    merges = [labels_and_name(text, "--merge", "1+4+7=tumour") for text in merge or ()]
    renames = names_by_label(rename or (), "--rename", "--rename takes one label, once")
    left_out = run(source, out, Regrouping(merges, renames, bank, k), slide)
    say(f"wrote {out}")
    for sentence in left_out:
        say(sentence, err=True)


def _relabel_study(out: Path, k: int | None, engine: Engine, shard: str | None, log: Path | None) -> int:
    """Bring a study up to date; returns the exit code."""
    from histofactor.base.names import PAGE
    from histofactor.cli.progress import progress_reporter
    from histofactor.runs.event_log import logged
    from histofactor.runs.relabel_study import relabel_study

    own, where = share(shard)
    file = log_of(log, own)
    try:
        with progress_reporter() as shown, logged(file, shown, sys.argv[1:]) as reporter:
            if where:
                reporter.on_note(where)
            made = relabel_study(out, k, arguments=sys.argv[1:], reporter=reporter, engine=engine, shard=own)
        encoded: list[Outcome] = []
        if made.encode:
            _tell_encoding(made)
            with progress_reporter() as shown, logged(file, shown, sys.argv[1:]) as reporter:
                encoded = _encode(made, out, reporter, engine)
    except KeyboardInterrupt:
        typer.echo("interrupted; what is up to date is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    ends = [*(one for one in made.outcomes if one.status != "waiting"), *encoded]
    failed = [one for one in ends if one.status == "failed"]
    kept = sum(one.status == "kept" for one in ends)
    of_these = f" ({kept} were already)" if kept else ""
    say(f"{len(ends) - len(failed)} of {len(ends)} up to date at K = {made.k}{of_these}; look at {out / PAGE}")
    for one in failed:
        say(f"failed: {about(one.input, one.error)}", err=True)
    return 1 if failed else 0


def _tell_encoding(made: Relabelled) -> None:
    """Which inputs are encoded again, and why."""
    for why in dict.fromkeys(one.why for one in made.encode):
        names = [one.path.name for one in made.encode if one.why == why]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        of_all = f"{len(names)} of {counted(len(made.outcomes), 'input')} {'is' if len(names) == 1 else 'are'}"
        say(f"{of_all} encoded again: {', '.join(names[:_NAMED])}{more} ({why})")


def _encode(made: Relabelled, out: Path, reporter: Reporter, engine: Engine) -> list[Outcome]:
    """Segment inputs again as they were, with the concepts of the study; those of one request together."""
    from histofactor.runs.outcome import Outcome
    from histofactor.runs.request import again
    from histofactor.runs.segment_many import ManyOptions, Observer, segment_many

    outcomes = []
    groups: list[tuple[object, list[Encoding]]] = []
    for one in made.encode:
        found = next((members for request, members in groups if request == one.request), None)
        if found is None:
            groups.append((one.request, [one]))
        else:
            found.append(one)
    for _, members in groups:
        request, paths = members[0].request, [one.path for one in members]
        if request is None:
            why = "how it was segmented is not known: give the command of `histofactor segment` again"
            outcomes += [Outcome(str(path), "failed", error=why) for path in paths]
            continue
        encoder, how = again(request)
        options = ManyOptions(**how, arguments=sys.argv[1:], observer=Observer(reporter), engine=engine)
        concepts = None if request["concepts"] is None else made.bank
        outcomes += segment_many(paths, out, encoder=encoder, concepts=concepts, k=made.k, options=options)
    return outcomes
