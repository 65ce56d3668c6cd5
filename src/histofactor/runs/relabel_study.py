"""All slides of a study brought up to date with its concepts: without encoding where their results bear it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import histofactor
from histofactor.base.clock import Watch
from histofactor.base.names import WEIGHTS
from histofactor.concepts.bank.nesting import sums, unions
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.record import bank_hash
from histofactor.export.weights import SparseWeights
from histofactor.recipe import LabelsRecipe, OutputsRecipe, digest
from histofactor.records import ConceptBank
from histofactor.records.urls import Input, as_input
from histofactor.runs.beacon import lit
from histofactor.runs.decode_again import Target, decode_again
from histofactor.runs.derive import deriving
from histofactor.runs.execute.engine import LOCAL, Engine
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.ledger import OF_THE_LEDGER, Ledger, begin, inputs_of, request_of, scan
from histofactor.runs.outcome import Observer, Outcome, Reporter, attempt
from histofactor.runs.place import Place, Seal, holding, read_seal, seal
from histofactor.runs.rewrite import rewrite
from histofactor.runs.shards import Shard
from histofactor.runs.source import Opening, is_there
from histofactor.runs.staging import as_placed, restore, staged
from histofactor.runs.status import read_status, tell_status
from histofactor.runs.study import Study, at_level, find_bank, open_study, origin, page_of, study_lock, write_page
from histofactor.runs.task import Task, stated_outputs
from histofactor.segmentation.method import method_of, nearest

_NO_WEIGHTS = "its weights were not kept, or are of other concepts"
_NO_UNIONS = "the new concepts are no unions of its own"


@dataclass(frozen=True, slots=True)
class Encoding:
    """An input whose features are needed again.

    Attributes:
        path: where it lies.
        folder: of its results in the output folder.
        why: one clause.
        request: what it was segmented with, see ``runs.request``; None where it is not known.
    """

    path: Input
    folder: str
    why: str
    request: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Relabelled:
    """What became of a study.

    Attributes:
        bank: its path.
        k: the level that its slides are segmented with.
        outcomes: of its finished slides; ``waiting`` for those that are to be encoded.
        encode: these.
    """

    bank: Path
    k: int
    outcomes: list[Outcome] = field(default_factory=list)
    encode: list[Encoding] = field(default_factory=list)


def relabel_study(
    out: Path,
    k: int | None = None,
    *,
    arguments: Sequence[str] = (),
    reporter: Reporter | None = None,
    engine: Engine = LOCAL,
    shard: Shard | None = None,
) -> Relabelled:
    """Bring every finished slide of a study up to date with its bank; one that fails does not stop the others.

    Names, colours and artefacts are written anew, each input's in one step: killed at any moment, its results are the
    old ones or the new ones. Where the level is a union of the concepts that a slide was segmented
    with, and its weights were kept, labels are decoded from these. All else needs features, and is told.

    Args:
        out: the output folder.
        k: the level that slides are segmented with from now on; None keeps that of the study.
        arguments: what ``run.json`` says this was called with.
        reporter: who is told.
        engine: where slides are worked on.
        shard: the share of the slides that this process works on; None: all.

    Raises:
        OptionError: the folder is no study, has no results, or its bank has fewer concepts.
        BankError: the bank cannot be read, or was changed by something else.
        OutputError: the folder cannot be written.
    """
    bank = find_bank(out)
    restore(out)
    ledger = scan(out)
    arguments = arguments if shard is None else shard.joined(arguments)
    with lit(out, reporter or Reporter(), str(shard or "")) as signal:
        study = _at(bank, k, arguments)
        made = Relabelled(bank, study.k)
        signal.reporter.on_stage("writing the page of the concepts")
        _write_page(out, study)
        finished = [one for one in ledger.outcomes if one.folder and one.status in {"done", "damaged"}]
        own = [one for one in finished if shard is None or shard.has(as_input(one.input))]
        tasks, telling = [Task(as_input(one.input), Place(out, one.folder)) for one in own], signal.reporter
        with deriving(out, Observer(telling), signal.is_last if shard is not None else lambda: True):
            try:
                _bring_all(tasks, study, engine, made, telling)
            finally:
                _note_run(out, ledger, study, made, arguments)
    waiting = {one.folder: one for one in made.outcomes if one.status == "waiting"}
    for folder, outcome in waiting.items():
        path, request = _input_of(Place(out, folder), as_input(outcome.input)), request_of(out, folder)
        made.encode.append(Encoding(path, folder, outcome.notes[-1], request))
    return made


def _bring_all(tasks: Sequence[Task], study: Study, engine: Engine, made: Relabelled, reporter: Reporter) -> None:
    """Bring slides up to date, and put down what became of each."""
    reporter.on_run("", len(tasks))
    with open_workers(engine) as workers:
        for _, outcome in workers.execute(RelabelJob(study), tasks, Observer(reporter)):
            made.outcomes.append(outcome)
            reporter.on_outcome(outcome)


def _at(bank: Path, k: int | None, arguments: Sequence[str]) -> Study:
    """The study, moved to a level."""
    with study_lock(bank.parent):
        study = open_study(bank)
        return at_level(study, study.k if k is None else k, arguments)


def _write_page(out: Path, study: Study) -> None:
    """Write the page of the bank anew, where the bank was changed since."""
    page = page_of(study.path)
    if not page.exists() or page.stat().st_mtime_ns < study.path.stat().st_mtime_ns:
        write_page(study, [path for path in inputs_of(out) if is_there(path)])


def _note_run(out: Path, ledger: Ledger, study: Study, made: Relabelled, arguments: Sequence[str]) -> None:
    """Write down the run, if it did anything: what is derived tells of the newest."""
    newest, target = ledger.runs[-1], bank_hash(study.file.banks[study.k])
    if newest.get("bank_sha256") == target and all(one.status != "done" for one in made.outcomes):
        return
    facts = {name: value for name, value in newest.items() if name not in OF_THE_LEDGER}
    now = {"histofactor": histofactor.__version__, "arguments": list(arguments), "concepts": origin(study)}
    begin(out, {**facts, **now, "k": study.k, "bank_sha256": target}, [])


@dataclass(frozen=True, slots=True)
class RelabelJob:
    """Every finished slide brought up to date with its study."""

    study: Study

    @property
    def out(self) -> Path:
        """The folder of the study."""
        return self.study.path.parent

    def start(self, shared: dict[str, Any]) -> Study:
        """There is nothing to load."""
        return self.study

    def do(self, state: Study, task: Task, watch: Watch) -> Outcome | None:
        """What became of one slide, told in its status; None where another process works on it."""
        outcome = attempt(task.name, lambda: holding(task.place, lambda: _bring(task, state)))
        return None if outcome is None else _told(outcome, task)

    def aid(self, task: Task) -> None:
        """Nothing."""

    def lost(self, task: Task, cause: str) -> Outcome:
        """The slide has failed, and its results are as they were."""
        return _told(Outcome(task.name, "failed", error=cause), task)


def _told(outcome: Outcome, task: Task) -> Outcome:
    """What became of one slide, in its status where that is to change."""
    before = read_status(task.place.results)
    if outcome.error:
        outcome = replace(outcome, error=as_placed(outcome.error, task.place.out))
    if before is None or outcome.status in {"kept", "waiting"}:
        return outcome
    told = outcome
    if outcome.status == "done":  # how long it took, and what of it is damaged, stays as it was
        told = replace(before.outcome, folder=task.place.name, notes=outcome.notes)
    elif read_seal(task.place) is not None:  # what was there is whole
        return outcome
    return tell_status(outcome, told, task.place, before.run)


def _bring(task: Task, study: Study) -> Outcome:
    """Bring one slide up to date, by whoever holds its lock."""
    place = task.place
    sealed, outcome = read_seal(place), Outcome(str(task.path), "done", place.name)
    recipe = None if sealed is None else _recipe_of(sealed)
    if sealed is None or recipe is None:
        fault = "an earlier version wrote them" if sealed is None or not sealed.fault else sealed.fault
        return _waiting(outcome, f"its results do not bear it: {fault}")
    if recipe.bank is None:
        return replace(outcome, status="kept", notes=("it has concepts of its own, by method single",))
    source = as_input(recipe.path)
    if is_there(source) and task.opening.content(source) != recipe.content:
        return _waiting(outcome, "the input has changed since")
    outcome = replace(outcome, notes=tuple(sealed.content["notes"]))
    return _put(task, study, sealed, recipe, outcome)


def _put(task: Task, study: Study, sealed: Seal, recipe: LabelsRecipe, outcome: Outcome) -> Outcome:
    """Put whole results in the concepts of the study."""
    place, target, source = task.place, in_one_color(study.file.banks[study.k]), as_input(recipe.path)
    opening = Opening(source_mpp=recipe.source_mpp, series=recipe.series)
    outputs = OutputsRecipe(
        files=tuple(sealed.content["files"]), names=target.names, colors=target.colors, excluded=target.excluded
    )
    if recipe.bank == bank_hash(target):
        if sealed.outputs == digest(outputs):
            return replace(outcome, status="kept")
        with staged(place) as beside:
            notes = rewrite(beside, target, source, opening)
            seal(beside, {**sealed.content, **stated_outputs(outputs)}, sealed.labels, digest(outputs))
        return replace(outcome, notes=(*outcome.notes, *notes))
    if (other := _foreign(place, study)) is not None:
        return replace(outcome, status="kept", notes=(f"it was segmented with other concepts, {other}",))
    fine = _weights_bank(place, sealed, study)
    by_cells = method_of(sealed.content["method"]).combine is nearest
    owners = None if fine is None else (unions if by_cells else sums)(fine, target)
    if fine is None or owners is None:
        return _waiting(outcome, _NO_WEIGHTS if fine is None else _NO_UNIONS)
    members = tuple(
        tuple(part for part, owner in enumerate(owners) if owner == concept) for concept in range(len(target.names))
    )
    made = Target(target, members, bank_hash(fine), replace(recipe, bank=bank_hash(target)), outputs)
    with staged(place) as beside:
        notes = decode_again(beside, made, source, opening)
    return replace(outcome, notes=(*outcome.notes, *notes))


def _foreign(place: Place, study: Study) -> str | None:
    """The bank that an input was segmented with, where another one than the study's was given."""
    request = request_of(place.out, place.name) or {}
    given = request.get("concepts")
    return None if given in {None, str(study.path.resolve())} else str(given)


def _waiting(outcome: Outcome, why: str) -> Outcome:
    return replace(outcome, status="waiting", notes=(why,))


def _recipe_of(sealed: Seal) -> LabelsRecipe | None:
    """What the labels depend on; None where the seal does not tell it."""
    try:
        recipe = LabelsRecipe(**sealed.content["made_by"])
    except (KeyError, TypeError):  # of another version
        return None
    return recipe if digest(recipe) == sealed.labels and "files" in sealed.content else None


def _weights_bank(place: Place, sealed: Seal, study: Study) -> ConceptBank | None:
    """The level that the weights are of; None where none were kept, or the study has no such level."""
    if WEIGHTS not in sealed.content["digests"]:
        return None
    of = sealed.content.get("weights_of") or {"recipe": sealed.labels, "bank": sealed.content["bank"]["sha256"]}
    if SparseWeights(place.results / WEIGHTS).header.recipe != of["recipe"]:  # left from an earlier run
        return None
    return next((bank for bank in study.file.banks.values() if bank_hash(bank) == of["bank"]), None)


def _input_of(place: Place, given: Input) -> Input:
    """Where an input lies, however it was given."""
    sealed = read_seal(place)
    made_by = {} if sealed is None else sealed.content.get("made_by", {})
    return as_input(made_by.get("path", given))
