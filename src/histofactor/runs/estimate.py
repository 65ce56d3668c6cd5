"""What a run would take, before a night is spent: windows are counted, and three of them encoded."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from histofactor.concepts.learn.from_sample import (
    LADDER,
    TOKENS_A_CONCEPT,
    Features,
    Origin,
    bearable_ks,
    learn_from_sample,
)
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.concepts.learn.sample import Known, Sample
from histofactor.errors import HistofactorError, OptionError
from histofactor.export.overlay import LONG_SIDE_PX, thumbnail_size
from histofactor.export.picture import IMAGE_PX
from histofactor.records import SlideInfo
from histofactor.records.urls import Input
from histofactor.runs.outcome import Reporter
from histofactor.runs.own_concepts import MOST_INPUTS
from histofactor.runs.request import ManyOptions
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import NOTHING, one_ahead, settled
from histofactor.runs.task import Request
from histofactor.runs.thrift import Thrift, allot, looked_at, rule_of
from histofactor.segmentation.batches import LANES, batches
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.method import method_of
from histofactor.segmentation.plan import Plan, make_plan, subsample_windows
from histofactor.segmentation.sampling import Whose, draw_windows, put_tokens, take_tokens
from histofactor.segmentation.setup import Setup, check_options, learning_setup, with_mask
from histofactor.slides.reader import Slide
from histofactor.slides.resolution import check_mpp
from histofactor.slides.slide_parts import is_features

_CANVAS = 64  # numbers a token of the canvas
_LEAST = LADDER[0] * TOKENS_A_CONCEPT  # tokens that can be clustered
_WINDOWS = 3  # that are measured, after one that is not
_ALIKE = 0.05  # by which tokens that are made differ from one that was seen
_CLUSTERED = 2**14  # tokens whose clustering is measured, at most
_MPX_S, _INPUT_S = 0.6, 0.7  # of one free core: to decode and write a Mpx of labels, and the files of an input
_MERGE_S = 0.3  # of one free core: to merge the small pieces of a Mpx of labels
_OVERLAY_BYTES, _PAGE_BYTES = 1.8, 2.5  # on disk: a px of the overlay, and of the picture that two pages hold
_INPUT_BYTES, _MPX_BYTES = 2e5, 4e5  # on disk: what else is told of an input; labels and regions of a Mpx
_WEIGHT_BYTES = 30  # on disk of a token, where weights are kept
_STUDY_BYTES = 4e6  # on disk: the concepts of a study with their page


@dataclass(frozen=True, slots=True)
class InputEstimate:
    """One input; what it takes is 0 where it cannot be read.

    Attributes:
        path: the input.
        size: (width, height) in level-0 px.
        mpp: µm per level-0 px, or None.
        tissue_mm2: area of tissue, or None where the µm/px is not known.
        windows: to encode, every view counted.
        seconds: to segment it.
        error: why it cannot be read, or "".
    """

    path: Input
    size: tuple[int, int] = (0, 0)
    mpp: float | None = None
    tissue_mm2: float | None = None
    windows: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take on this machine, as it is used at the moment.

    Attributes:
        inputs: one by one.
        views: how often every window is encoded.
        window_s: seconds a window takes, each view counted.
        learning_s: seconds to learn concepts first; 0 where they are given.
        memory_bytes: at the peak; None where the system does not tell it.
        disk_bytes: what is written, roughly.
    """

    inputs: tuple[InputEstimate, ...]
    views: int
    window_s: float
    learning_s: float
    memory_bytes: int | None
    disk_bytes: int

    @property
    def seconds(self) -> float:
        """In all."""
        return self.learning_s + sum(one.seconds for one in self.inputs)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Seconds of a window, each view counted, and of clustering a token; how slow the machine is by other work."""

    window_s: float = 0.0
    token_s: float = 0.0
    busy: float = 1.0


@dataclass(frozen=True, slots=True)
class _Learning:
    """What is encoded for learning alone, the tokens in the sample, and bytes of features that are held meanwhile."""

    windows: int = 0
    tokens: int = 0
    held_bytes: int = 0


def estimate(inputs: Sequence[str | Input], request: Request, options: ManyOptions, reporter: Reporter) -> Estimate:
    """Say what ``segment_many`` would take for inputs; nothing is written.

    Args:
        inputs: files.
        request: what they would be segmented with; without concepts these would be learned first.
        options: how they are opened, and what is said of them.
        reporter: who is told.

    Raises:
        HistofactorError: encoder or concepts cannot be used, as told by ``segment_many``.
    """
    method = method_of(request.method)
    own = request.concepts is None and method.needs_bank
    check_options(request.k, method, request.options)
    if options.opening.source_mpp is not None:
        check_mpp(options.opening.source_mpp, "--source-mpp")
    setup = learning_setup(request.encoder, request.mpp, request.options) if own else request.load().setup
    plans: dict[Input, Plan] = {}
    rows: list[InputEstimate] = []
    for index, path in enumerate(one_ahead(settled(inputs), options.opening)):
        reporter.on_input(str(path), index, len(inputs))
        try:
            with _open(path, options) as slide:
                plans[path] = make_plan(slide, with_mask(setup, options.known.get(path, NOTHING).mask))
                rows.append(_counted(path, slide.info, plans[path]))
        except HistofactorError as error:
            rows.append(InputEstimate(path, error=str(error)))
    learning = _learning(list(plans.values()), setup, request.options.seed) if own else _Learning()
    measured = _measure(plans, setup, options, learning.tokens)
    merges = bool(request.options.min_area_um2)
    done = [
        replace(row, seconds=_seconds(plans[row.path], measured, merges)) if row.path in plans else row for row in rows
    ]
    sample_bytes = learning.tokens * (4 * setup.encoder.spec.dim + 16)
    return Estimate(
        inputs=tuple(done),
        views=setup.views,
        window_s=measured.window_s,
        learning_s=learning.windows * measured.window_s + learning.tokens * measured.token_s,
        memory_bytes=_memory(plans, learning.held_bytes + 3 * sample_bytes),
        disk_bytes=int(sum(_disk(plan, own) for plan in plans.values()) + (sample_bytes + _STUDY_BYTES if own else 0)),
    )


def _open(path: Input, options: ManyOptions) -> Slide:
    if is_features(path):
        raise OptionError(f"{path} holds features: nothing of it is encoded", mend="name images")
    return options.opening.open(path, options.known.get(path, NOTHING).mpp)


def _counted(path: Input, info: SlideInfo, plan: Plan) -> InputEstimate:
    width, height = info.size
    area = None if info.mpp is None else float(plan.thumbnail.mean()) * width * height * (info.mpp / 1000) ** 2
    return InputEstimate(path, info.size, info.mpp, area, plan.windows)


def _learning(plans: Sequence[Plan], setup: Setup, seed: int) -> _Learning:
    """What ``own_concepts`` encodes beyond what is segmented anyway."""
    rule = rule_of(Thrift(), LearnOptions().windows, seed)
    drawn = [draw_windows(plan, setup, rule) for plan in plans[:MOST_INPUTS]]
    looked = [looked_at("", plan, few, setup, rule) for plan, few in zip(plans, drawn, strict=False)]
    allotted = list(zip(drawn, allot(looked, Thrift()), strict=True))
    windows = sum(plan.windows for plan, one in allotted if one.any and not one.held)
    tokens = sum(int(plan.g_tissue.sum()) for plan, one in allotted if one.any)
    return _Learning(windows, min(tokens, LearnOptions().tokens), sum(one.held for _, one in allotted))


def _measure(plans: Mapping[Input, Plan], setup: Setup, options: ManyOptions, tokens: int) -> _Measured:
    """Encode a few windows of the input that has most, and cluster their tokens where concepts would be learned."""
    path = max(plans, key=lambda one: plans[one].windows, default=None)
    if path is None or not plans[path].windows:
        return _Measured()
    rng = np.random.default_rng(0)
    with _open(path, options) as slide:
        for windows in (1, _WINDOWS):
            plan = subsample_windows(plans[path], setup, windows, rng)
            sample = Sample(_CLUSTERED, setup.encoder.spec.dim, 0)
            started, worked = time.perf_counter(), time.process_time()
            taken = take_tokens(Planned(slide, setup, plan), sample.quota, Whose(""))
            seconds, worked = time.perf_counter() - started, time.process_time() - worked
            put_tokens(sample, 0, taken)
    jobs = sum(len(batches(row, setup.encoder)) for row in plan.rows)
    lanes = max(1, min(LANES, torch.get_num_threads(), jobs))
    seconds *= jobs / lanes / -(-jobs // lanes)  # few windows leave lanes idle at the end, many do not
    busy = max(1.0, seconds * lanes / worked) if setup.encoder.device.type == "cpu" and worked else 1.0
    token_s = _clustering(sample, setup, taken.side, tokens) if min(tokens, sample.size) >= _LEAST else 0.0
    return _Measured(seconds / plan.windows, token_s, busy)


def _clustering(seen: Sample, setup: Setup, side: float, tokens: int) -> float:
    """Seconds of learning concepts, for each of so many tokens, from such as were seen and from others like them."""
    n, rng = min(tokens, _CLUSTERED), np.random.default_rng(0)
    X = seen.tokens[rng.integers(0, seen.size, n)]
    X = np.maximum(X * rng.normal(1, _ALIKE, X.shape).astype(np.float32), 0)
    sample = Sample(n, X.shape[1], 0)
    sample.add(X, rng.random(n), 0, Known((X**2).sum(1), np.zeros((n, 2), np.float32)))
    started = time.perf_counter()
    sample.sort()
    features = Features(encoder=setup.encoder.spec.key, mpp=setup.mpp or setup.encoder.spec.mpp)
    learn_from_sample(sample, Origin(np.zeros(n, np.int64), [None], [side]), bearable_ks(n), features, TrainOptions())
    return (time.perf_counter() - started) / n


def _seconds(plan: Plan, measured: _Measured, merges: bool) -> float:
    """Seconds to segment one input, small pieces merged or not."""
    labels_s = _MPX_S + (_MERGE_S if merges else 0)
    return plan.windows * measured.window_s + measured.busy * (_INPUT_S + labels_s * _mpx(plan))


def _mpx(plan: Plan) -> float:
    return plan.frame.t_size[0] * plan.frame.t_size[1] / 1e6


def _disk(plan: Plan, weights: bool) -> float:
    """Bytes that are written of an input."""
    kept = _WEIGHT_BYTES * int(plan.g_tissue.sum()) if weights else 0
    pictures = _OVERLAY_BYTES * _shown_px(plan) + _PAGE_BYTES * _shown_px(plan, IMAGE_PX)
    return _INPUT_BYTES + pictures + _MPX_BYTES * _mpx(plan) + kept


def _shown_px(plan: Plan, long_side_px: int = LONG_SIDE_PX) -> int:
    """The px of an input in a picture."""
    (width, height), (across, down) = plan.frame.t_size, plan.frame.l0_per_px
    size = thumbnail_size((round(width * across), round(height * down)), long_side_px)
    return size[0] * size[1]


def _memory(plans: Mapping[Input, Plan], learning: int) -> int | None:
    """Bytes at the peak: what this process took to encode, and what grows with the inputs."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    widest = max((_row_bytes(plan) for plan in plans.values()), default=0)
    return peak + max(learning, widest)


def _row_bytes(plan: Plan) -> int:
    """Bytes of the canvas and of a band of labels across a whole input."""
    rows = 2 * plan.rule.size_px // plan.frame.stride_px
    return plan.frame.g_size[0] * rows * 4 * _CANVAS + plan.frame.t_size[0] * plan.rule.size_px * 8
