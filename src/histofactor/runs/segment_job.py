"""Segmenting as a job of an engine: every input to its results, and help with inputs that others segment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from histofactor.base.clock import Watch
from histofactor.recipe import digest
from histofactor.records.urls import Input
from histofactor.runs.loaded import memory_of
from histofactor.runs.outcome import Outcome, attempt
from histofactor.runs.status import tell_status
from histofactor.runs.task import Request, Task, labels_recipe, run_one
from histofactor.segmentation.rows_ahead import RowsAhead, encode_ahead
from histofactor.segmentation.setup import Segmenter, with_mask
from histofactor.segmentation.window_memory import FeatureMemory


@dataclass(frozen=True, slots=True)
class Aid:
    """Help with an input that another worker segments: rows of its windows are encoded, see ``RowsAhead``."""

    task: Task

    @property
    def name(self) -> str:
        """The input, as given."""
        return self.task.name

    @property
    def path(self) -> Input:
        """Where it lies."""
        return self.task.path


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """Every input to its results.

    Attributes:
        request: what they are segmented with; to go elsewhere it names its encoder, and has its bank in it.
        out: the output folder of the run.
        here: the same, loaded in this process; it goes nowhere else.
    """

    request: Request
    out: Path
    here: Segmenter | None = None

    def __reduce__(self) -> tuple[type[SegmentJob], tuple[Request, Path]]:
        return SegmentJob, (self.request, self.out)

    def start(self, shared: dict[str, Any]) -> tuple[Segmenter, FeatureMemory]:
        """Load encoder and concepts; raises what ``prepare`` does."""
        return self.here or self.request.load(shared), memory_of(shared)

    def do(self, state: tuple[Segmenter, FeatureMemory], task: Task | Aid, watch: Watch) -> Outcome | None:
        """As ``run_one``; or how an ``Aid`` went, which no status tells."""
        segmenter, memory = state
        if isinstance(task, Aid):
            return attempt(task.name, lambda: _aid(task.task, segmenter, watch))
        return run_one(task, segmenter, watch, memory)

    def aid(self, task: Task) -> Aid | None:
        """What another worker may do for an input that is under way; None where there is nothing."""
        return Aid(task) if task.aided else None

    def lost(self, task: Task, cause: str) -> Outcome:
        """The input has failed, which its status tells."""
        outcome = Outcome(task.name, "failed", error=cause)
        return tell_status(outcome, outcome, task.place, task.run)


def _aid(task: Task, segmenter: Segmenter, watch: Watch) -> Outcome:
    """Encode rows of windows of an input while another worker segments it."""
    segmenter, done = replace(segmenter, setup=with_mask(segmenter.setup, task.mask)), 0
    rows = RowsAhead(task.place.rows, digest(labels_recipe(task, segmenter)))
    if rows.is_open:
        with task.opening.open(task.path) as slide:
            done = encode_ahead(slide, segmenter, rows, watch)
    return Outcome(task.name, "done", notes=(f"{done} rows of windows were encoded elsewhere",) if done else ())
