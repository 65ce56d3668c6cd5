"""One input of a run as a task: all that a worker must be told, and what it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import histofactor
from histofactor.base.clock import Watch
from histofactor.base.files import check_folder, remove, sweep
from histofactor.base.names import OME_ZARR, QUALITY, WEIGHTS
from histofactor.concepts.bank.record import bank_hash
from histofactor.encoders.encoder import Encoder
from histofactor.errors import ImageError, OutputError
from histofactor.recipe import LabelsRecipe, OutputsRecipe, digest, fingerprint, release
from histofactor.records import ConceptBank
from histofactor.records.urls import Input, Url
from histofactor.runs.loaded import keep_encoder, kept_encoder
from histofactor.runs.outcome import Outcome, attempt
from histofactor.runs.place import Place, Seal, clear, holding, read_seal, seal, unseal, windows_of
from histofactor.runs.quality import control
from histofactor.runs.results import Outputs, keep_weights, write_results
from histofactor.runs.rewrite import rewrite
from histofactor.runs.source import Opening
from histofactor.runs.status import tell_status
from histofactor.segmentation.kept_batches import KeptInput
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.plan import mask_of
from histofactor.segmentation.rows_ahead import RowsAhead
from histofactor.segmentation.setup import Segmenter, SegmentOptions, prepare, with_mask
from histofactor.segmentation.store import DiskStore, MemoryStore
from histofactor.segmentation.window_memory import FeatureMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What every input of a run is segmented with; arguments as for ``segment``."""

    encoder: str | Encoder = "embedded"
    concepts: str | Path | ConceptBank | None = None
    k: int | None = None
    mpp: float | None = None
    method: str = "project"
    options: SegmentOptions = field(default_factory=SegmentOptions)

    def load(self, shared: dict[str, Any] | None = None) -> Segmenter:
        """Load encoder and concepts; raises what ``prepare`` does.

        Args:
            shared: what the worker keeps; an encoder that is there is not loaded again.
        """
        given = {name: getattr(self, name) for name in ("encoder", "concepts", "k", "mpp", "method", "options")}
        encoder, bank, shared = self.encoder, self.concepts, {} if shared is None else shared
        if isinstance(encoder, str) and isinstance(bank, ConceptBank):
            given["encoder"] = kept_encoder(shared, encoder, self.options, bank) or encoder
        segmenter = prepare(**given)
        if isinstance(encoder, str):
            keep_encoder(shared, encoder, self.options, segmenter.setup.encoder)
        return segmenter


@dataclass(frozen=True, slots=True)
class Task:
    """One input of a run.

    Attributes:
        path: the input.
        place: where its results go.
        outputs: what is written.
        opening: how it is opened.
        resume: keep finished results, and go on where unfinished ones were left; else all is made anew.
        run: name of the run in the ledger.
        mask: image of the tissue of this input, or None for what the segmenter has.
        aided: whether other workers may leave rows of its windows meanwhile, see ``segment_job.Aid``.
        after: the task that comes next, whose input is fetched meanwhile where it lies on a store; or None.
    """

    path: Input
    place: Place
    outputs: Outputs = field(default_factory=Outputs)
    opening: Opening = field(default_factory=Opening)
    resume: bool = True
    run: str = ""
    mask: Path | None = None
    aided: bool = False
    after: Task | None = None

    @property
    def name(self) -> str:
        """The input, as given."""
        return str(self.path)


def run_one(
    task: Task, segmenter: Segmenter, watch: Watch | None = None, memory: FeatureMemory | None = None
) -> Outcome | None:
    """Segment one input and write its results and its status; whatever goes wrong is told in the outcome.

    Args:
        task: what to do.
        segmenter: from ``Request.load``.
        watch: who is told.
        memory: what inputs were encoded to when concepts were learned from them; the input's part of it is let go.

    Returns:
        What became of it, or None where another process works on it.
    """

    def work() -> Outcome:
        return _segment(task, segmenter, watch or Watch(), memory or FeatureMemory())

    outcome = attempt(str(task.path), lambda: holding(task.place, work))
    task.opening.discard(task.path)
    if outcome is None:
        return None
    outcome = _scrubbed(outcome, task.path)
    return tell_status(outcome, outcome, task.place, task.run)


def _segment(task: Task, segmenter: Segmenter, watch: Watch, memory: FeatureMemory) -> Outcome:
    """One input from file to results, by whoever holds its lock."""
    place = task.place
    segmenter = replace(segmenter, setup=with_mask(segmenter.setup, task.mask))
    if isinstance(task.path, Path) and task.path.resolve().is_relative_to(place.results.resolve()):
        raise OutputError(
            f"results of {task.path} would be written over it",
            expected="an input outside the folder of its results",
            got=str(place.results),
            mend="choose another output folder",
        )
    recipe, written = labels_recipe(task, segmenter), outputs_recipe(task, segmenter)
    held = memory.take(task.path, recipe.content)
    labels, outputs = digest(recipe), digest(written)
    sealed = read_seal(place)
    if task.resume and sealed is not None and (sealed.labels, sealed.outputs) == (labels, outputs):
        _clear(task)  # the run that sealed it may have been killed before it could
        return _kept(task, sealed)
    if task.resume and sealed is not None and sealed.labels == labels and _rewritten(task, segmenter, sealed):
        seal(place, {**sealed.content, **stated_outputs(written)}, labels, outputs)
        return replace(_kept(task, sealed), status="done")
    notes = () if sealed is None or not sealed.fault else (f"finished results were made anew: {sealed.fault}",)
    if not task.resume:
        _clear(task)
    with task.opening.open(task.path) as slide, _rows_ahead(task, segmenter, labels) as rows:
        _fetch_ahead(task.after, segmenter)
        store = _store(task, (labels, recipe.content), segmenter, rows)
        segmentation = segment_slide(slide, segmenter, store=store, watch=watch, held=held)
        unseal(place)  # not before: results that were finished in another way stay whole where this one fails
        sweep(place.results)
        if task.outputs.quality:
            segmentation = control(segmentation, slide, place, watch.clock)
        write_results(segmentation, slide, place, task.outputs, watch.clock)
        if task.outputs.weights:
            with watch.clock("weights"):
                keep_weights(segmentation, store.weights(), place, labels)
    notes = (*segmentation.slide.notes, *filter(None, [store.note]), *notes)
    made = {"made_by": asdict(recipe), **stated_outputs(written)}
    content = {**segmentation.recipe, "series": task.opening.series, "notes": list(segmentation.slide.notes), **made}
    seal(place, content, labels, outputs)
    _clear(task)
    damaged = segmentation.slide.notes[-1] if segmentation.recipe["unreadable"] else ""
    return Outcome(str(task.path), "damaged" if damaged else "done", place.name, error=damaged, notes=notes)


def _clear(task: Task) -> None:
    """Delete all unfinished work on an input."""
    windows = windows_of(task.place.out, task.path)
    remove(windows, inside=task.place.out)
    with suppress(OSError):  # others have theirs in it
        windows.parent.rmdir()
    clear(task.place)


def _fetch_ahead(task: Task | None, segmenter: Segmenter) -> None:
    """Begin to fetch the input of a task, if it lies on a store and is not finished."""
    if task is None or not isinstance(task.path, Url):
        return
    try:
        own = replace(segmenter, setup=with_mask(segmenter.setup, task.mask))
        labels, outputs = digest(labels_recipe(task, own)), digest(outputs_recipe(task, own))
    except ImageError:  # told when its turn has come
        return
    sealed = read_seal(task.place)
    if not task.resume or sealed is None or (sealed.labels, sealed.outputs) != (labels, outputs):
        task.opening.ahead([task.path])


def _scrubbed(outcome: Outcome, path: Input) -> Outcome:
    """An outcome without secrets of an address, whoever put them into a message."""
    if not isinstance(path, Url):
        return outcome
    return replace(outcome, error=path.scrub(outcome.error), traceback=path.scrub(outcome.traceback))


def _rewritten(task: Task, segmenter: Segmenter, sealed: Seal) -> bool:
    """Write files of finished labels again, where names and colours are all that changed; else False."""
    bank = segmenter.bank
    asked = set(outputs_recipe(task, segmenter).files)
    if bank is None or not asked <= set(sealed.content["digests"]):
        return False
    try:
        rewrite(task.place, bank, task.path, task.opening)
    except ImageError:  # what is there cannot be used: the input is worked anew
        return False
    return True


def labels_recipe(task: Task, segmenter: Segmenter) -> LabelsRecipe:
    """All that decides the labels of an input.

    Raises:
        ImageError: the input or its tissue mask cannot be read.
    """
    setup, spec = segmenter.setup, segmenter.setup.encoder.spec
    mask = None if setup.tissue.mask is None else mask_of(setup.tissue.mask, task.path)
    inference = [setup.encoder.precision, setup.encoder.repaired]
    return LabelsRecipe(
        version=release(histofactor.__version__),
        path=str(task.path.resolve()),
        content=task.opening.content(task.path),
        source_mpp=task.opening.source_mpp,
        series=None if task.opening.series is None else str(task.opening.series),
        encoder=(asdict(spec.key), spec.patch_px, asdict(spec.window), inference),
        bank=None if segmenter.bank is None else bank_hash(segmenter.bank),
        method=(segmenter.method.name, asdict(segmenter.factorization)),
        mpp=setup.mpp,
        tissue=(setup.tissue.find, None if mask is None else fingerprint(mask)),
        windows=(setup.views, setup.shift_px),
        unlike=segmenter.unlike,
        min_area_um2=segmenter.min_area_um2,
        borders=segmenter.borders,
    )


def outputs_recipe(task: Task, segmenter: Segmenter) -> OutputsRecipe:
    """What is written of an input."""
    bank, outputs = segmenter.bank, task.outputs
    asked = {WEIGHTS: bool(outputs.weights), OME_ZARR: outputs.ome_zarr, QUALITY: outputs.quality}
    return OutputsRecipe(
        files=tuple(name for name, wanted in asked.items() if wanted),
        names=() if bank is None else bank.names,
        colors=() if bank is None else bank.colors,
        excluded=() if bank is None else bank.excluded,
    )


def stated_outputs(outputs: OutputsRecipe) -> dict[str, Any]:
    """What ``segmentation.json`` says of what is written: files asked for, and labels of artefacts."""
    return {"files": list(outputs.files), "excluded": [concept + 1 for concept in outputs.excluded]}


@contextmanager
def _rows_ahead(task: Task, segmenter: Segmenter, labels: str) -> Iterator[RowsAhead | None]:
    """Where other workers may leave rows of windows of an input meanwhile."""
    if not (task.aided and segmenter.method.streamed):
        yield None
        return
    check_folder(task.place.rows, inside=task.place.out)
    rows = RowsAhead(task.place.rows, labels)
    rows.open()
    yield rows
    rows.close()  # where this is not come to, what helpers did is there when the input is gone on with


def _store(task: Task, known: tuple[str, str], segmenter: Segmenter, rows: RowsAhead | None) -> DiskStore | MemoryStore:
    """Where the bands of an input are kept: on disk, but for methods that need all tokens at once anyway.

    Args:
        task: the input.
        known: hash of what its labels depend on, and its content.
        segmenter: as it is segmented with.
        rows: where others leave rows of its windows.
    """
    if not segmenter.method.streamed:
        return MemoryStore()
    labels, content = known
    windows = KeptInput(windows_of(task.place.out, task.path), content)
    check_folder(windows.folder, inside=task.place.out)
    weights = bool(task.outputs.weights)
    return DiskStore(task.place.work, labels, keep_weights=weights, ahead=rows, windows=windows)


def _kept(task: Task, sealed: Seal) -> Outcome:
    """The outcome of an input that an earlier run finished."""
    content: Mapping[str, Any] = sealed.content
    notes = tuple(content["notes"])
    if not content["unreadable"]:
        return Outcome(str(task.path), "kept", task.place.name, notes=notes)
    return Outcome(str(task.path), "damaged", task.place.name, error=content["source"]["notes"][-1], notes=notes)
