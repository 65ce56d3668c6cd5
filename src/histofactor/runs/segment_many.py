"""Many inputs into one output folder: every one is a task with its own place, status and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from histofactor.base.text import counted
from histofactor.concepts.bank.file import default_k, read_bank_file, recommended_k
from histofactor.encoders.encoder import Encoder
from histofactor.errors import OptionError
from histofactor.records import ConceptBank
from histofactor.records.urls import Input, check_here
from histofactor.runs.beacon import Signal, lit
from histofactor.runs.derive import deriving
from histofactor.runs.execute.engine import Workers
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.ledger import begin, facts_of, inputs_of, known_inputs, openings_of
from histofactor.runs.loaded import memory_of
from histofactor.runs.notebook import watched
from histofactor.runs.outcome import Observer, Outcome
from histofactor.runs.own_concepts import OwnConcepts, StudyOptions, own_concepts
from histofactor.runs.place import Place
from histofactor.runs.request import ManyOptions, stated
from histofactor.runs.results import Outputs
from histofactor.runs.segment_job import SegmentJob
from histofactor.runs.shards import Shard
from histofactor.runs.source import NOTHING, is_there, settled
from histofactor.runs.task import Request, Task
from histofactor.segmentation.feature_file import encoder_for
from histofactor.segmentation.given_bank import EMBEDDED
from histofactor.segmentation.method import method_of
from histofactor.segmentation.setup import Segmenter, check_options
from histofactor.slides.decoded import IMAGES
from histofactor.slides.resolution import check_mpp

__all__ = ["ManyOptions", "Observer", "segment_many"]
_OPENED = ("source_mpp", "series")  # of an opening: what changes the px that are read, or their size


def segment_many(
    inputs: Sequence[str | Input],
    out: str | Path,
    *,
    encoder: str | Encoder = "embedded",
    concepts: str | Path | ConceptBank | None = None,
    k: int | None = None,
    options: ManyOptions | None = None,
) -> list[Outcome]:
    """Segment many inputs and write the results of each; one that fails does not stop the others.

    Without concepts these are learned from the inputs, once for the folder, and kept there: inputs that come later are
    segmented with them. In a notebook progress is shown where nobody else is told of it.

    Inputs that an earlier run finished in the same way are kept, unfinished ones go on after their last band, and those
    that another process works on are waited for at the end. ``run.json``, ``phenotypes.csv`` and ``report.html`` are
    derived at the end, also after an interruption, and tell of all runs into the folder.

    Args:
        inputs: files and URLs; see ``find_inputs`` for folders and globs.
        out: the output folder.
        encoder, concepts, k: as for ``segment``.
        options: all else.

    Returns:
        Outcomes in the order of the inputs; of a shard, those of its own.

    Raises:
        OptionError: there are no inputs, or one is there twice; or a shard is to learn concepts anew.
        OutputError: the output folder cannot be written, or not what is derived at the end; the inputs are then done.
        HistofactorError: encoder or concepts cannot be used, or none can be learned, as told by ``segment`` and
            ``own_concepts``.
    """
    check_here(out)
    options = options or ManyOptions()
    paths = settled(inputs)
    _check_inputs(paths)
    if options.shard is not None and options.relearn:
        raise OptionError(
            "--relearn is for one process: every shard would learn the concepts anew",
            mend="learn them anew without --shard first, or leave --relearn out",
        )
    if options.opening.source_mpp is not None:
        check_mpp(options.opening.source_mpp, "--source-mpp")
    request = Request(
        encoder=encoder, concepts=concepts, k=k, mpp=options.mpp, method=options.method, options=options.segment
    )
    if options.shard is not None and not any(map(options.shard.has, paths)):
        share = f"shard {options.shard} has none of the {counted(len(paths), 'input')}"
        options.observer.reporter.on_note(f"{share}: there is nothing to do for it")
        return []
    with (
        watched(options.observer.reporter) as reporter,
        open_workers(options.engine) as workers,
        lit(Path(out), reporter, str(options.shard or "")) as signal,
    ):
        options = replace(options, observer=replace(options.observer, reporter=signal.reporter))
        try:
            return _segment(paths, Path(out), request, options, (workers, signal))
        finally:
            IMAGES.clear()


def _segment(
    paths: list[Input], out: Path, request: Request, options: ManyOptions, ready: tuple[Workers, Signal]
) -> list[Outcome]:
    """As ``segment_many``, with workers that are ready, and what others are told by."""
    workers, signal = ready
    encoder, concepts, k, observer = request.encoder, request.concepts, request.k, options.observer
    request = replace(request, encoder=encoder_for(paths, encoder))
    own = concepts is None and method_of(options.method).needs_bank
    if own:
        check_options(k, method_of(options.method), options.segment)
        former = _former(out, paths, options)
        paths, options = [*paths, *former], _remembered(out, former, options)
    with observer.clock("concepts"):
        chosen = _own(out, paths, request, options, workers) if own else _given(request, options)
    segmenter = chosen.request.load()
    outputs = options.outputs if options.outputs.weights is not None else replace(options.outputs, weights=own)
    asked = stated(encoder, concepts, replace(options, outputs=outputs))
    facts = {**facts_of(segmenter, chosen.origin, options.arguments), "request": asked}
    shard = options.shard or Shard(1, 1)
    if options.shard is not None:
        facts |= {"shards": shard.of, "arguments": shard.joined(options.arguments)}
    run, places = begin(out, facts, paths, observer.reporter.on_note)
    placed = [(path, place) for path, place in zip(paths, places, strict=True) if shard.has(path)]
    observer.reporter.on_run(run, len(placed))
    memory_of(workers.shared).keep([path for path, _ in placed])
    made = (_task(path, place, outputs, options, run) for path, place in placed)
    tasks = [replace(task, aided=workers.number > 1) for task in made]
    if workers.number == 1:  # of several, nobody knows which will have the next one
        tasks = [replace(task, after=after) for task, after in zip(tasks, [*tasks[1:], None], strict=True)]
    outcomes = {}
    with deriving(out, observer, signal.is_last if options.shard is not None else lambda: True):
        for _, outcome in workers.execute(_job(out, request, chosen, segmenter), tasks, observer):
            outcomes[outcome.input] = outcome
            observer.reporter.on_outcome(outcome)
    return [outcomes[str(path)] for path, _ in placed]


def _job(out: Path, named: Request, chosen: OwnConcepts, segmenter: Segmenter) -> SegmentJob:
    """What is done with every input: the encoder goes to other processes by its name, the concepts as they are."""
    bank = segmenter.bank
    request = replace(chosen.request, encoder=named.encoder, k=named.k if bank is None else None, concepts=bank)
    return SegmentJob(request, out, segmenter)


def _task(path: Input, place: Place, outputs: Outputs, options: ManyOptions, run: str) -> Task:
    """One input with what is said of it."""
    known, opening = options.known.get(path, NOTHING), options.opening
    opening = replace(opening, source_mpp=known.mpp or opening.source_mpp)
    return Task(path, place, outputs, opening, options.resume, run, known.mask)


def _own(out: Path, paths: Sequence[Input], request: Request, options: ManyOptions, workers: Workers) -> OwnConcepts:
    """The concepts of the folder."""
    how = StudyOptions(
        opening=options.opening, relearn=options.relearn, known=options.known, workers=workers, balance=options.balance
    )
    return own_concepts(out, paths, request, how, options.observer.reporter)


def _given(request: Request, options: ManyOptions) -> OwnConcepts:
    """Concepts that are given, or that the method does without; a K that no bank recommends is told."""
    given = request.concepts
    if request.k is None and isinstance(given, str | Path) and str(given) != EMBEDDED:
        file = read_bank_file(given)
        if len(file.banks) > 1 and recommended_k(file) is None:
            ks = ", ".join(map(str, file.banks))
            options.observer.reporter.on_note(f"{given} recommends no K of {ks}: K = {default_k(file)} is taken")
    origin = "a bank in memory" if isinstance(request.concepts, ConceptBank) else str(request.concepts)
    return OwnConcepts(request, origin)


def _former(out: Path, paths: Sequence[Input], options: ManyOptions) -> list[Input]:
    """Inputs of earlier runs that are still there, where concepts are learned anew from all."""
    if not options.relearn:
        return []
    given = {path.resolve() for path in paths}
    former = [path for path in inputs_of(out) if path.resolve() not in given and is_there(path)]
    now, before = asdict(options.opening), openings_of(out)
    own = known_inputs(out)
    changed = [
        path.name
        for path in former
        if path not in own and any(before.get(path, now).get(name) != now[name] for name in _OPENED)
    ]
    if changed:
        options.observer.reporter.on_note(
            f"opened with another --source-mpp or --series than before, as all inputs are: {', '.join(changed)}"
        )
    return former


def _remembered(out: Path, former: Sequence[Input], options: ManyOptions) -> ManyOptions:
    """Options with what earlier runs were told of their inputs."""
    known = {path: one for path, one in known_inputs(out).items() if path in former} if former else {}
    return replace(options, known={**known, **options.known})


def _check_inputs(paths: Sequence[Input]) -> None:
    """There is something to do, once."""
    if not paths:
        raise OptionError("there is nothing to segment", expected="at least one input", got="none")
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        twice = next(path for path, where in zip(paths, resolved, strict=True) if resolved.count(where) > 1)
        raise OptionError(f"{twice} is there twice", mend="name every input once")
