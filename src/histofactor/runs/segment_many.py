"""Many inputs: every one is a job with its own state and outcome, and one error boundary."""

from __future__ import annotations

import platform
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Any

import histofactor
from histofactor.base.clock import Clock
from histofactor.base.files import sweep, write_json
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import HistofactorError
from histofactor.export.previews import read_preview
from histofactor.export.report import ReportEntry, ReportRun, write_report
from histofactor.records import Segmentation
from histofactor.runs.place import Place, claim, clear, read_seal, recipe_hash, seal, unseal
from histofactor.runs.results import Outputs, keep_weights, write_results
from histofactor.segmentation.method import STREAMED
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import Engine
from histofactor.segmentation.store import DiskStore, MemoryStore
from histofactor.slides.reader import open_slide

_LIBRARIES = (
    "numpy", "torch", "timm", "numba", "pillow", "opencv-python-headless", "shapely", "tifffile", "imagecodecs",
    "openslide-python", "openslide-bin", "zarr",
)  # fmt: skip
_POLL_S = 1.0  # how often an input that another process works on is looked at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input, as written to ``run.json``.

    Attributes:
        input: the path as given.
        status: ``done``; ``kept``, where an earlier run had done the same; ``damaged``, where it is done but for parts
            that cannot be read; or ``failed``.
        folder: folder of its results inside the output folder, "" where it failed.
        seconds: wall time.
        error: one message, "" where it is done.
        notes: what was assumed or could not be done as asked, one sentence each.
        traceback: of errors that histofactor did not foresee, else "".
    """

    input: str
    status: str
    folder: str
    seconds: float
    error: str = ""
    traceback: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who is told of progress.

    Attributes:
        on_input: called with (input, index, number of inputs) before each input.
        on_window: called with (windows done, windows in all) while it runs.
        on_outcome: called with the outcome after each input.
        on_wait: called with an input that another process is working on.
    """

    on_input: Callable[[Path, int, int], None] = lambda path, index, total: None
    on_window: Callable[[int, int], None] = lambda done, total: None
    on_outcome: Callable[[Outcome], None] = lambda outcome: None
    on_wait: Callable[[Path], None] = lambda path: None


@dataclass(frozen=True, slots=True)
class Job:
    """A run over many inputs.

    Attributes:
        inputs: the files.
        out: the output folder.
        source_mpp: µm/px of inputs whose header lacks it.
        concepts: name of the bank, for the report.
        arguments: the arguments of the command, for ``run.json``.
        outputs: what is written of each input.
        resume: keep finished inputs, and go on where unfinished ones were left; else everything is made anew.
    """

    inputs: Sequence[Path]
    out: Path
    source_mpp: float | None = None
    concepts: str = "embedded"
    arguments: Sequence[str] = ()
    outputs: Outputs = field(default_factory=Outputs)
    resume: bool = True


def run_job(job: Job, engine: Engine, reporter: Reporter | None = None, clock: Clock | None = None) -> list[Outcome]:
    """Segment every input and write its results; a failing input does not stop the others.

    Inputs that an earlier run finished by the same recipe are kept, unfinished ones go on after their last band, and
    those that another process works on are waited for at the end. ``run.json`` is rewritten after every input, so that
    a run cut short still tells what it did; ``report.html`` comes at the end, also after an interruption.

    Args:
        job: inputs and output folder.
        engine: from ``prepare``.
        reporter: told of progress.
        clock: told how long each stage takes.

    Returns:
        Outcomes in the order of the inputs.

    Raises:
        OutputError: the output folder cannot be written.
    """
    reporter, clock = reporter or Reporter(), clock or Clock()
    outcomes: dict[int, Outcome] = {}
    entries: dict[int, ReportEntry] = {}
    _write_run(job, engine, outcomes)  # fails early where nothing can be written
    places = [Place(job.out, name) for name in _folders(job.inputs)]
    waiting, elsewhere = deque(range(len(places))), set[int]()
    try:
        while waiting:
            index = waiting.popleft()
            path = job.inputs[index]
            if index in elsewhere:
                time.sleep(_POLL_S)
            else:
                reporter.on_input(path, index, len(places))
            with claim(places[index]) as mine:
                if mine:
                    outcomes[index], entries[index] = _run_one(job, engine, path, places[index], (reporter, clock))
            if not mine:
                if index not in elsewhere:
                    reporter.on_wait(path)
                elsewhere.add(index)
                waiting.append(index)
                continue
            _write_run(job, engine, outcomes)
            reporter.on_outcome(outcomes[index])
    finally:
        with clock("report"):
            write_report([entries[i] for i in sorted(entries)], _report_run(job, engine), job.out / "report.html")
    return [outcomes[i] for i in sorted(outcomes)]


def _run_one(
    job: Job, engine: Engine, path: Path, place: Place, told: tuple[Reporter, Clock]
) -> tuple[Outcome, ReportEntry]:
    """One input from file to results, by whoever holds its lock: the error boundary."""
    (reporter, clock), started = told, time.perf_counter()
    status, error = "done", ""
    try:
        recipe = recipe_hash(path, job.source_mpp, engine, asdict(job.outputs))
        sealed = read_seal(place, recipe) if job.resume else None
        if sealed is not None:
            clear(place)  # the run that sealed it may have been killed before it could
            return _kept(path, place, sealed)
        if not job.resume:
            clear(place)
        unseal(place)
        sweep(place.results)
        with open_slide(path, source_mpp=job.source_mpp) as slide:
            store = _store(place, recipe, engine, job.outputs)
            segmentation = segment_slide(slide, engine, reporter.on_window, store=store, clock=clock)
            entry = write_results(segmentation, slide, place, job.outputs, clock)
            if job.outputs.weights:
                with clock("weights"):
                    keep_weights(segmentation, store.weights(), place, recipe)
        seal(place, segmentation, recipe)
        clear(place)
        if segmentation.recipe["unreadable"]:
            status, error = "damaged", segmentation.slide.notes[-1]
    except Exception as failure:  # noqa: BLE001 - the one boundary: the other inputs go on, the cause is kept
        seconds = round(time.perf_counter() - started, 3)
        foreseen = isinstance(failure, HistofactorError)
        message = str(failure) if foreseen else f"{type(failure).__name__}: {failure}"
        trace = "" if foreseen else traceback.format_exc()
        outcome = Outcome(str(path), "failed", "", seconds, message, trace)
        return outcome, ReportEntry(path.name, seconds=seconds, error=message)
    seconds = round(time.perf_counter() - started, 3)
    outcome = Outcome(str(path), status, place.name, seconds, error, notes=_notes(segmentation))
    return outcome, replace(entry, seconds=seconds)


def _store(place: Place, recipe: str, engine: Engine, outputs: Outputs) -> DiskStore | MemoryStore:
    """Where the bands of an input are kept: on disk, but for methods that need all tokens at once anyway."""
    if engine.method in STREAMED:
        return DiskStore(place.work, recipe, keep_weights=outputs.weights)
    return MemoryStore()


def _kept(path: Path, place: Place, sealed: Mapping[str, Any]) -> tuple[Outcome, ReportEntry]:
    """The outcome of an input that an earlier run finished."""
    status = "damaged" if sealed["unreadable"] else "kept"
    notes = tuple(sealed["source"]["notes"])
    entry = read_preview(place.results) or ReportEntry(path.name, folder=place.name, notes=notes)
    error = notes[-1] if status == "damaged" else ""
    return Outcome(str(path), status, place.name, 0.0, error, notes=notes), entry


def _notes(segmentation: Segmentation) -> tuple[str, ...]:
    """What the user should know of a segmentation."""
    empty = () if segmentation.tokens.label.any() else ("no tissue",)
    return (*segmentation.slide.notes, *empty)


def _folders(inputs: Sequence[Path]) -> list[str]:
    """A folder name per input: its stem, numbered where stems repeat (whatever their case)."""
    folders: list[str] = []
    taken: set[str] = set()
    for path in inputs:
        candidates = chain([path.stem], (f"{path.stem}-{number}" for number in count(2)))
        folder = next(name for name in candidates if name.lower() not in taken)
        taken.add(folder.lower())
        folders.append(folder)
    return folders


def _write_run(job: Job, engine: Engine, outcomes: Mapping[int, Outcome]) -> None:
    """``run.json``: versions, arguments, every input with its status, time and error."""
    inputs = [
        asdict(outcomes[index]) if index in outcomes else {"input": str(path), "status": "waiting"}
        for index, path in enumerate(job.inputs)
    ]
    run = {
        "histofactor": histofactor.__version__,
        "versions": _versions(),
        "arguments": list(job.arguments),
        "encoder": asdict(engine.encoder.spec.key),
        "method": engine.method,
        "k": _k(engine),
        "bank_sha256": "" if engine.bank is None else bank_hash(engine.bank),
        "inputs": inputs,
    }
    write_json(run, job.out / "run.json")


def _report_run(job: Job, engine: Engine) -> ReportRun:
    return ReportRun(
        version=histofactor.__version__,
        encoder=engine.encoder.spec.key,
        concepts=job.concepts if engine.bank is not None else "the image's own components",
        bank_hash="" if engine.bank is None else bank_hash(engine.bank),
        k=_k(engine),
        method=engine.method,
        mpp=engine.mpp or engine.encoder.spec.mpp,
        command=" ".join(job.arguments),
        versions=_versions(),
    )


def _k(engine: Engine) -> int:
    return engine.factorization.components if engine.bank is None else len(engine.bank.vectors)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}
