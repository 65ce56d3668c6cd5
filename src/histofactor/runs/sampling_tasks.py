"""One input of a collection as two tasks: look at it, then take the tokens of the windows that it was allotted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histofactor.base.clock import Watch
from histofactor.concepts.learn.sample import Quota
from histofactor.encoders.encoder import Encoder
from histofactor.records.urls import Input
from histofactor.runs.loaded import keep_encoder, memory_of
from histofactor.runs.outcome import Outcome, attempt
from histofactor.runs.place import windows_of
from histofactor.runs.source import Opening, Source, digest_of
from histofactor.runs.thrift import Allotment, Looked, looked_at
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.feature_cache import FeatureCache
from histofactor.segmentation.feature_file import FeatureSlide
from histofactor.segmentation.kept_batches import KeptInput
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.sampling import Taken, Whose, WindowRule, draw_windows, take_tokens
from histofactor.segmentation.setup import SegmentOptions, Setup, learning_setup, with_mask
from histofactor.segmentation.window_memory import FeatureMemory, HeldInput, WindowMemory
from histofactor.slides.reader import Slide

_SETUP, _PLANS = "setup", "plans"  # what a worker keeps


@dataclass(frozen=True, slots=True)
class LookTask:
    """An input to look at.

    Attributes:
        source: what it is.
        path: where it lies.
        rule: by which windows would be drawn.
        after: the input that comes next, which is fetched or decoded meanwhile; or None.
    """

    source: Source
    path: Input
    rule: WindowRule
    after: Input | None = None

    @property
    def name(self) -> str:
        """What tells the input from all others."""
        return self.source.name


@dataclass(frozen=True, slots=True)
class TakeTask:
    """An input to take tokens of.

    Attributes:
        source: what it is.
        path: where it lies.
        rule: by which windows are drawn.
        allotted: what of these is encoded.
        whose: how its tokens are drawn.
        quota: what the sample wants.
        after: as of a ``LookTask``.
    """

    source: Source
    path: Input
    rule: WindowRule
    allotted: Allotment
    whose: Whose
    quota: Quota
    after: Input | None = None

    @property
    def name(self) -> str:
        """What tells the input from all others."""
        return self.source.name


class Tasks(Sequence[LookTask | TakeTask]):
    """Tasks that are made as they begin, with what the sample wants by then.

    Args:
        inputs: with where each lies.
        make: a task of one.
        ahead: whether the next one is fetched while one is worked on, see ``LookTask``.
    """

    def __init__(
        self,
        inputs: Sequence[tuple[Source, Input]],
        make: Callable[[Source, Input], LookTask | TakeTask],
        *,
        ahead: bool = False,
    ) -> None:
        self._inputs, self._make, self._ahead = inputs, make, ahead

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: Any, /) -> Any:
        task, following = self._make(*self._inputs[index]), self._inputs[index + 1 : index + 2]
        return replace(task, after=following[0][1]) if self._ahead and following else task


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Outcome):
    """What an input gave to a sample.

    Attributes:
        known: what the sample says of it; JSON types.
        taken: its tokens; None where nothing was encoded.
    """

    known: Mapping[str, Any]
    taken: Taken | None


@dataclass(frozen=True, slots=True)
class Workplace:
    """What inputs are looked at and encoded with, and what is kept from one task for the next.

    Attributes:
        setup: how tokens come about.
        opening: how inputs are opened.
        pool: what is clustered, see ``cluster_rows_of``.
        memory: takes what is known of inputs that will be segmented; None where none will be.
        plans: of inputs that were looked at and are yet to be encoded.
        keep: output folder in which windows are kept that will be segmented; None keeps them in memory alone.
        again: whether this process will open the inputs again: what they are decoded to is held until then.
    """

    setup: Setup
    opening: Opening
    pool: str = "token"
    memory: FeatureMemory | None = None
    plans: dict[Input, Plan] = field(default_factory=dict)
    keep: Path | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class SampleJob:
    """Inputs looked at, and sampled.

    Attributes:
        encoder, mpp, options: as for ``learning_setup``.
        opening, pool: see ``Workplace``.
        segments: whether the inputs will be segmented afterwards.
        here: the setup, loaded in this process; it goes nowhere else.
        keep: see ``Workplace``.
    """

    encoder: str | Encoder
    mpp: float | None
    options: SegmentOptions
    opening: Opening
    pool: str = "token"
    segments: bool = False
    here: Setup | None = None
    keep: Path | None = None

    def __reduce__(self) -> tuple[type[SampleJob], tuple[Any, ...]]:
        how = (self.encoder, self.mpp, self.options, self.opening, self.pool, self.segments)
        return SampleJob, (*how, None, self.keep)

    @property
    def out(self) -> None:
        """Samples are returned, and go nowhere."""
        return None

    def start(self, shared: dict[str, Any]) -> Workplace:
        """Load the encoder; raises what ``learning_setup`` does."""
        how = (self.encoder, self.mpp, self.options)
        kept, setup = shared.get(_SETUP), self.here
        if setup is None:
            setup = kept[1] if kept is not None and kept[0] == how else learning_setup(*how)
        shared[_SETUP] = how, setup
        if isinstance(self.encoder, str):
            keep_encoder(shared, self.encoder, self.options, setup.encoder)
        memory = memory_of(shared) if self.segments else None
        again = self.here is not None and self.segments
        return Workplace(setup, self.opening, self.pool, memory, shared.setdefault(_PLANS, {}), self.keep, again)

    def do(self, state: Workplace, task: LookTask | TakeTask, watch: Watch) -> Outcome:
        """``Looked`` or ``Sampled``, or what went wrong."""
        if isinstance(task, LookTask):
            return attempt(task.name, lambda: _look(task, state))
        outcome = attempt(task.name, lambda: _take(task, state, watch))
        if not self.segments:
            state.opening.discard(task.path)
        return outcome

    def aid(self, task: LookTask | TakeTask) -> None:
        """Nothing."""

    def lost(self, task: LookTask | TakeTask, cause: str) -> Outcome:
        """The input has failed."""
        return Outcome(task.name, "failed", error=cause)


def _look(task: LookTask, at: Workplace) -> Looked:
    for path in (task.path, task.after) if at.again else ():
        if path is not None:
            at.opening.hold(path)
    with _opened(task, at) as slide:
        setup, cache, plan = _planned(task.source, slide, at)
    at.plans[task.path] = plan
    name = task.source.name
    if cache is not None:
        return Looked(name, "done", windows=plan.windows, drawn=plan.windows, feature_bytes=0, at_hand=True)
    return looked_at(name, plan, draw_windows(plan, setup, task.rule), setup, task.rule)


def _take(task: TakeTask, at: Workplace, watch: Watch) -> Sampled:
    """The input counts only once all of it is there."""
    source, allotted = task.source, task.allotted
    with _opened(task, at) as slide:
        setup, cache, whole = _planned(source, slide, at, at.plans.pop(task.path, None))
        drawn = whole if cache is not None else draw_windows(whole, setup, task.rule)
        plan = drawn if allotted.any else replace(whole, rows=())
        known: dict[str, Any] = {
            "windows": plan.windows,
            "of": whole.windows,
            "held": allotted.held,
            "mpp": whole.frame.t_mpp,
        }
        taken = None
        if plan.windows:
            planned = Planned(slide, setup, plan, parts=None if cache is None else cache.parts)
            holds = cache is None and allotted.held and at.memory is not None
            memory = _memory(task, planned, at.keep) if holds else None
            planned = replace(planned, memory=memory)
            taken = take_tokens(planned, task.quota, task.whose, at.pool, watch)
            known |= {"tokens": taken.seen, "side": taken.side}
            if at.memory is not None and cache is None:
                at.memory.hold(task.path, source.content, HeldInput(whole, memory, taken.mean))
        known["sha256"] = digest_of(slide, task.path)
    return Sampled(source.name, "done", notes=slide.info.notes, known=known, taken=taken)


def _memory(task: TakeTask, planned: Planned, keep: Path | None) -> WindowMemory:
    """What holds the windows of an input until it is segmented; a process that is killed leaves them to the next."""
    if keep is None or not task.source.content:
        return WindowMemory()
    return KeptInput(windows_of(keep, task.path), task.source.content).memory(planned)


def _opened(task: LookTask | TakeTask, at: Workplace) -> Slide:
    slide = at.opening.open(task.path, task.source.mpp)
    at.opening.ahead([] if task.after is None else [task.after])
    return slide


def _planned(
    source: Source, slide: Slide, at: Workplace, plan: Plan | None = None
) -> tuple[Setup, FeatureCache | None, Plan]:
    """How an open input is encoded, its features where they are at hand, and its windows."""
    setup = with_mask(at.setup, Path(source.mask) if source.mask else None)
    cache = slide.cache(setup) if isinstance(slide, FeatureSlide) else None
    if plan is None:
        plan = make_plan(slide, setup) if cache is None else cache.plan
    return setup, cache, plan
