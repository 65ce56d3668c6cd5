"""Many inputs: every one is a job with its own outcome, and one error boundary."""

from __future__ import annotations

import json
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Any

import histofactor
from histofactor.concepts.bank import bank_hash
from histofactor.errors import HistofactorError
from histofactor.export.files import atomic
from histofactor.export.geojson import write_geojson
from histofactor.export.labels import write_labels
from histofactor.export.overlay import thumbnail_size, write_overlay
from histofactor.export.report import ReportEntry, ReportRun, report_entry, write_report
from histofactor.export.tables import write_phenotypes
from histofactor.pipeline.engine import Engine
from histofactor.pipeline.segment import segment_slide
from histofactor.records import Region, Segmentation
from histofactor.slides.reader import Slide, open_slide

_LIBRARIES = ("numpy", "torch", "timm", "numba", "pillow", "opencv-python-headless", "shapely", "tifffile")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input, as written to ``run.json``.

    Attributes:
        input: the path as given.
        status: ``done`` or ``failed``.
        folder: folder of its results inside the output folder, "" where it failed.
        seconds: wall time.
        error: one message, "" where it is done.
        traceback: of errors that histofactor did not foresee, else "".
    """

    input: str
    status: str
    folder: str
    seconds: float
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who is told of progress.

    Attributes:
        on_input: called with (input, index, number of inputs) before each input.
        on_window: called with (windows done, windows in all) while it runs.
        on_outcome: called with the outcome after each input.
    """

    on_input: Callable[[Path, int, int], None] = lambda path, index, total: None
    on_window: Callable[[int, int], None] = lambda done, total: None
    on_outcome: Callable[[Outcome], None] = lambda outcome: None


@dataclass(frozen=True, slots=True)
class Job:
    """A run over many inputs.

    Attributes:
        inputs: the files.
        out: the output folder.
        source_mpp: µm/px of inputs whose header lacks it.
        concepts: name of the bank, for the report.
        arguments: the arguments of the command, for ``run.json``.
    """

    inputs: Sequence[Path]
    out: Path
    source_mpp: float | None = None
    concepts: str = "embedded"
    arguments: Sequence[str] = ()


def run_job(job: Job, engine: Engine, reporter: Reporter | None = None) -> list[Outcome]:
    """Segment every input and write its results; a failing input does not stop the others.

    ``run.json`` is rewritten after every input, so that a run cut short still tells what it did; ``report.html`` comes
    at the end, also after an interruption.

    Raises:
        OutputError: the output folder cannot be written.
    """
    reporter = reporter or Reporter()
    outcomes: list[Outcome] = []
    entries: list[ReportEntry] = []
    _write_run(job, engine, outcomes)  # fails early where nothing can be written
    folders = _folders(job.inputs)
    try:
        for index, (path, folder) in enumerate(zip(job.inputs, folders, strict=True)):
            reporter.on_input(path, index, len(job.inputs))
            outcome, entry = _run_one(job, engine, path, folder, reporter)
            outcomes.append(outcome)
            entries.append(entry)
            _write_run(job, engine, outcomes)
            reporter.on_outcome(outcome)
    finally:
        write_report(entries, _report_run(job, engine), job.out / "report.html")
    return outcomes


def _run_one(job: Job, engine: Engine, path: Path, folder: str, reporter: Reporter) -> tuple[Outcome, ReportEntry]:
    """One input from file to results: the error boundary."""
    started = time.perf_counter()
    try:
        with open_slide(path, source_mpp=job.source_mpp) as slide:
            segmentation = segment_slide(slide, engine, reporter.on_window)
            entry = write_results(segmentation, slide, job.out / folder)
    except Exception as error:  # noqa: BLE001 - the one boundary: the other inputs go on, the cause is kept
        seconds = round(time.perf_counter() - started, 3)
        foreseen = isinstance(error, HistofactorError)
        message = str(error) if foreseen else f"{type(error).__name__}: {error}"
        trace = "" if foreseen else traceback.format_exc()
        outcome = Outcome(str(path), "failed", "", seconds, message, trace)
        return outcome, ReportEntry(path.name, seconds=seconds, error=message)
    seconds = round(time.perf_counter() - started, 3)
    return Outcome(str(path), "done", folder, seconds), replace(entry, seconds=seconds)


def write_results(segmentation: Segmentation, slide: Slide, folder: Path) -> ReportEntry:
    """Write everything about one segmentation into its folder; ``segmentation.json`` comes last and seals it.

    Returns:
        What the report shows of it.

    Raises:
        OutputError: the folder cannot be written.
    """
    width, height = slide.info.size
    size = thumbnail_size(slide.info.size)
    rgb = slide.read(Region(0, 0, width, height, size))
    write_labels(segmentation, folder / "labels.ome.tif")
    write_overlay(rgb, segmentation, folder / "overlay.png")
    write_geojson(segmentation, folder / "regions.geojson.gz")
    write_phenotypes(segmentation, folder / "phenotypes.csv")
    _write_json(segmentation.recipe, folder / "segmentation.json")
    return report_entry(segmentation, slide, rgb, folder=folder.name)


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


def _write_run(job: Job, engine: Engine, outcomes: Sequence[Outcome]) -> None:
    """``run.json``: versions, arguments, every input with its status, time and error."""
    waiting = [{"input": str(path), "status": "waiting"} for path in job.inputs[len(outcomes) :]]
    run = {
        "histofactor": histofactor.__version__,
        "versions": _versions(),
        "arguments": list(job.arguments),
        "encoder": asdict(engine.encoder.spec.key),
        "method": engine.method,
        "k": _k(engine),
        "bank_sha256": "" if engine.bank is None else bank_hash(engine.bank),
        "inputs": [*(asdict(outcome) for outcome in outcomes), *waiting],
    }
    _write_json(run, job.out / "run.json")


def _write_json(content: Any, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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
