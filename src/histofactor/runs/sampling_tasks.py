"""One input of a collection as two tasks: look at it, then take the tokens of the windows that it was allotted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histofactor.base.clock import Watch
from histofactor.base.digests import path_digest
from histofactor.concepts.learn.sample import Quota
from histofactor.runs.outcome import Outcome, attempt
from histofactor.runs.source import Opening, Source
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.feature_cache import FeatureCache
from histofactor.segmentation.feature_file import FeatureSlide
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.sampling import (
    SHARE,
    SMALL_BYTES,
    Taken,
    Whose,
    WindowRule,
    draw_windows,
    is_small,
    take_tokens,
)
from histofactor.segmentation.setup import Setup, with_mask
from histofactor.segmentation.window_memory import FeatureMemory, HeldInput, WindowMemory, bytes_of_features
from histofactor.slides.reader import Slide
from histofactor.slides.slide_parts import files_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Thrift:
    """How learning spares inputs that will be segmented afterwards.

    Attributes:
        share: of the windows of an input, and of those of all inputs, that may be encoded for learning alone.
        small_bytes: an input whose features take no more is encoded whole.
        held_bytes: of features of such inputs that are held for segmenting, so that they are encoded once; those
            beyond it count as encoded for learning alone.
        fewest: so many inputs are learned from whatever their share.
    """

    share: float = SHARE
    small_bytes: int = SMALL_BYTES
    held_bytes: int = 2**31
    fewest: int = 16


@dataclass(frozen=True, slots=True)
class LookTask:
    """An input to look at.

    Attributes:
        source: what it is.
        path: where it lies.
        rule: by which windows would be drawn.
    """

    source: Source
    path: Path
    rule: WindowRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked(Outcome):
    """What an input has, before any of it is encoded.

    Attributes:
        windows: in all, every view counted.
        drawn: of these, windows that would be encoded to learn from it.
        feature_bytes: of all its features, where so few that they can be held; else 0.
        at_hand: whether its features are there already.
    """

    windows: int
    drawn: int
    feature_bytes: int
    at_hand: bool


@dataclass(frozen=True, slots=True)
class Allotment:
    """What of an input is encoded to learn from it.

    Attributes:
        any: whether anything is.
        held: bytes of its features to be held for segmenting; 0 holds none.
    """

    any: bool
    held: int


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
    """

    source: Source
    path: Path
    rule: WindowRule
    allotted: Allotment
    whose: Whose
    quota: Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Outcome):
    """What an input gave to a sample.

    Attributes:
        known: what the sample says of it; JSON types.
        taken: its tokens; None where nothing was encoded.
    """

    known: Mapping[str, Any]
    taken: Taken | None


@dataclass(slots=True)
class Workplace:
    """What inputs are looked at and encoded with, and what is kept from one task for the next.

    Attributes:
        setup: how tokens come about.
        opening: how inputs are opened.
        pool: what is clustered, see ``cluster_rows_of``.
        memory: takes features that are to be held; None holds none.
        plans: of inputs that were looked at and are yet to be encoded.
    """

    setup: Setup
    opening: Opening
    pool: str = "token"
    memory: FeatureMemory | None = None
    plans: dict[Path, Plan] = field(default_factory=dict)


def look(task: LookTask, at: Workplace) -> Outcome:
    """Look at an input; ``Looked``, or what went wrong."""
    return attempt(task.source.name, lambda: _look(task, at))


def take(task: TakeTask, at: Workplace, watch: Watch) -> Outcome:
    """Take of an input what was allotted; ``Sampled``, or what went wrong."""
    return attempt(task.source.name, lambda: _take(task, at, watch))


def allot(looked: Sequence[Looked], thrift: Thrift) -> list[Allotment]:
    """Share out what may be encoded for learning, in the order of the inputs.

    Features of small inputs are held as far as they fit; of others windows are encoded for learning alone, until the
    share of all windows is spent.

    Args:
        looked: what there is.
        thrift: how it is spared.
    """
    found: list[Allotment] = []
    in_all = sum(one.windows for one in looked)
    held = spent = used = 0
    for one in looked:
        if one.at_hand:
            allotted = Allotment(one.drawn > 0, 1)
        elif one.feature_bytes and held + one.feature_bytes <= thrift.held_bytes:
            allotted, held = Allotment(one.drawn > 0, one.feature_bytes), held + one.feature_bytes
        elif spent + one.drawn > thrift.share * in_all and used >= thrift.fewest:
            allotted = Allotment(False, 0)
        else:
            allotted, spent = Allotment(one.drawn > 0, 0), spent + one.drawn
        used += allotted.any
        found.append(allotted)
    return found


def _look(task: LookTask, at: Workplace) -> Looked:
    with _opened(task.source, task.path, at) as slide:
        setup, cache, plan = _planned(task.source, slide, at)
    at.plans[task.path] = plan
    name = task.source.name
    if cache is not None:
        return Looked(name, "done", windows=plan.windows, drawn=plan.windows, feature_bytes=0, at_hand=True)
    return looked_at(name, plan, draw_windows(plan, setup, task.rule), setup, task.rule)


def looked_at(name: str, plan: Plan, drawn: Plan, setup: Setup, rule: WindowRule) -> Looked:
    """What an input has.

    Args:
        name: what it is called.
        plan: of all of it.
        drawn: of what would be encoded to learn from it, by ``rule``.
        setup: how tokens come about.
        rule: by which windows are drawn.
    """
    held = bytes_of_features(plan, setup) if is_small(plan, setup, rule) else 0
    return Looked(name, "done", windows=plan.windows, drawn=drawn.windows, feature_bytes=held, at_hand=False)


def _take(task: TakeTask, at: Workplace, watch: Watch) -> Sampled:
    """The input counts only once all of it is there."""
    source, allotted = task.source, task.allotted
    with _opened(source, task.path, at) as slide:
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
            holds = cache is None and allotted.held and at.memory is not None
            memory = WindowMemory() if holds else None
            planned = Planned(slide, setup, plan, memory, None if cache is None else cache.parts)
            taken = take_tokens(planned, task.quota, task.whose, at.pool, watch)
            known |= {"tokens": taken.seen, "side": taken.side}
            if at.memory is not None and cache is None:
                at.memory.hold(task.path, source.content, HeldInput(whole, memory, taken.mean))
    known["sha256"] = path_digest(files_of(task.path)[0])
    return Sampled(source.name, "done", notes=slide.info.notes, known=known, taken=taken)


def _opened(source: Source, path: Path, at: Workplace) -> Slide:
    return at.opening.open(path, source.mpp)


def _planned(
    source: Source, slide: Slide, at: Workplace, plan: Plan | None = None
) -> tuple[Setup, FeatureCache | None, Plan]:
    """How an open input is encoded, its features where they are at hand, and its windows."""
    setup = with_mask(at.setup, Path(source.mask) if source.mask else None)
    cache = slide.cache(setup) if isinstance(slide, FeatureSlide) else None
    if plan is None:
        plan = make_plan(slide, setup) if cache is None else cache.plan
    return setup, cache, plan
