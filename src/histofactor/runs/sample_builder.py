"""The sample of a collection: slide after slide is encoded, and tokens of each are kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import histofactor
from histofactor.base.clock import Watch
from histofactor.base.digests import path_digest
from histofactor.base.files import output_error
from histofactor.concepts.learn.levels import TrainOptions, check_algorithm
from histofactor.concepts.learn.sample import Sample, read_note
from histofactor.errors import HistofactorError, OptionError
from histofactor.recipe import fingerprint
from histofactor.runs.outcome import Outcome, Reporter, attempt
from histofactor.runs.source import Opening, Source, Sources, content_of
from histofactor.segmentation.cluster_rows import check_pool
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.feature_file import FeatureSlide
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.sampling import SHARE, SMALL_BYTES, Whose, WindowRule, draw_windows, is_small, take_tokens
from histofactor.segmentation.setup import SegmentOptions, Setup, with_mask
from histofactor.segmentation.window_memory import FeatureMemory, HeldInput, WindowMemory, bytes_of_features
from histofactor.slides.slide_parts import files_of

_SAMPLE_BYTES = 2**30  # of tokens, at most
_SPARING = 20  # times as long as saving takes, it is not done again


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnOptions:
    """How concepts are learned.

    Attributes:
        mpp: µm/px to work at; default the encoder's own.
        opening: how inputs are opened.
        seed: of the sampling.
        tokens: size of the sample, at most; it is no larger than 1 GiB either.
        windows: so many windows of every slide are encoded, drawn at random; 0 encodes all.
        pool: what is clustered: each ``token``, or the mean of each ``tile``, as in arXiv 2409.05697.
        train: how concepts are learned from the sample.
        encoder: weights, layer and device of the encoder, and how tissue is found.
        thrift: how inputs are spared that will be segmented afterwards; None takes ``windows`` of each.
        centring: share of what a slide's mean differs from the mean of all that is taken from its tokens, in [0, 1];
            None as the encoder's row has it. Means of tiles stay as they are.
        checkpoint_s: seconds between two savings of the sample.
    """

    mpp: float | None = None
    opening: Opening = field(default_factory=Opening)
    seed: int = 0
    tokens: int = 2**18
    windows: int = 32
    pool: str = "token"
    train: TrainOptions = field(default_factory=TrainOptions)
    encoder: SegmentOptions = field(default_factory=SegmentOptions)
    thrift: Thrift | None = None
    centring: float | None = None
    checkpoint_s: float = 60.0


class SampleBuilder:
    """A sample of the tissue of many inputs, and what became of each.

    Args:
        sources: the inputs, each of another name.
        setup: how tokens come about.
        options: how to sample.
        work: file that holds the sample while it grows, or None. One of another recipe is set aside, one that is
            damaged made anew; both are told.
        reporter: who is told.
        memory: takes the features that ``options.thrift`` lets it hold; None holds none.

    Raises:
        OptionError: a name is there twice, or an option is out of range.
        OutputError: a sample cannot be set aside.
    """

    def __init__(
        self,
        sources: Sources,
        setup: Setup,
        options: LearnOptions,
        *,
        work: Path | None = None,
        reporter: Reporter | None = None,
        memory: FeatureMemory | None = None,
    ) -> None:
        names = Counter(source.name for source in sources.all)
        if twice := sorted(name for name, times in names.items() if times > 1):
            raise OptionError(f"{twice[0]} is there twice", mend="name every input once")
        if options.windows < 0:
            raise OptionError("the number of windows is out of range", expected="0 or more", got=f"{options.windows}")
        check_pool(options.pool)
        check_algorithm(options.train.algorithm)
        if options.centring is not None and not 0 <= options.centring <= 1:
            raise OptionError("the share of centring is out of range", expected="0 to 1", got=f"{options.centring}")
        self.sources, self.options, self.setup = sources.all, options, setup
        self.spec = setup.encoder.spec
        self._numbers = {source.name: number for number, source in enumerate(sources.all)}
        self._members = Counter(source.group for source in sources.all)
        self._work, self._find, self._reporter = work, sources.find, reporter or Reporter()
        self._memory = memory
        self.sample = self._empty()
        self.slides: dict[str, dict[str, Any]] = {}  # by name: what is known of those that were looked at
        self.left_out: dict[str, str] = {}
        self._recipe, self._saved, self._saving_s = self._make_recipe(), time.monotonic(), 0.0
        self._resume()

    @property
    def centring(self) -> float:
        """Share of a slide's own mean that is taken from its tokens."""
        if self.options.pool != "token":
            return 0.0
        return self.spec.centring if self.options.centring is None else self.options.centring

    @property
    def used(self) -> list[Source]:
        """The inputs that gave tokens, or might have."""
        return [source for source in self.sources if self.slides.get(source.name, {}).get("windows")]

    def gather(self) -> None:
        """Encode the inputs that are not in the sample yet, and tell the reporter."""
        todo = [source for source in self.sources if source.name not in self.slides]
        done = len(self.slides)
        self._save(0)  # a folder that cannot be written is told now, not after hours
        try:
            for index, (source, path) in enumerate(zip(todo, self._find(todo), strict=True), done):
                self._reporter.on_input(source.name, index, len(self.sources))
                outcome = attempt(source.name, partial(self._add, source, path))
                if outcome.error:
                    self.left_out[source.name] = outcome.error
                self._reporter.on_outcome(outcome)
                self._save(self.options.checkpoint_s)
            self.sample.sort()  # what is kept does not tell where a run was cut off
        finally:
            self._save(0)

    def _add(self, source: Source, path: Path | HistofactorError) -> Outcome:
        """Sample one input; it counts only once all of it is there."""
        if isinstance(path, HistofactorError):
            raise path
        with self.options.opening.open(path, source.mpp) as slide:
            setup = with_mask(self.setup, source.mask)
            cache = slide.cache(setup) if isinstance(slide, FeatureSlide) else None
            whole = make_plan(slide, setup) if cache is None else cache.plan
            plan, held = self._choose(whole) if cache is None else (whole, 1)
            known: dict[str, Any] = {
                "windows": plan.windows,
                "of": whole.windows,
                "held": held,
                "mpp": whole.frame.t_mpp,
            }
            if plan.windows:
                memory = WindowMemory() if cache is None and held and self._memory is not None else None
                name = source.name if len(self.sources) > 1 else ""  # alone, it gives the same whatever it is called
                whose = Whose(name, self._numbers[source.name], 1 / self._members[source.group])
                planned = Planned(slide, setup, plan, memory, None if cache is None else cache.parts)
                watch = Watch(self._reporter.on_window)
                taken = take_tokens(planned, self.sample, whose, self.options.pool, watch)
                known |= {"tokens": taken.seen, "side": taken.side}
                if self._memory is not None and cache is None:
                    self._memory.hold(
                        path, source.content, HeldInput(whole, memory, self.sample.means.get(whose.number))
                    )
        digest = path_digest(files_of(path)[0])
        self.slides[source.name] = {**known, "sha256": digest}
        return Outcome(source.name, "done", notes=slide.info.notes)

    def _choose(self, plan: Plan) -> tuple[Plan, int]:
        """The windows of an input to encode, perhaps none, and bytes of their features to hold."""
        options, thrift = self.options, self.options.thrift
        if thrift is None:
            return draw_windows(plan, self.setup, WindowRule(most=options.windows, seed=options.seed)), 0
        rule = WindowRule(most=options.windows, share=thrift.share, small_bytes=thrift.small_bytes, seed=options.seed)
        chosen, known = draw_windows(plan, self.setup, rule), self.slides.values()
        needed = bytes_of_features(plan, self.setup) if is_small(plan, self.setup, rule) else 0
        if needed and sum(one["held"] for one in known) + needed <= thrift.held_bytes:
            return chosen, needed
        spent = sum(one["windows"] for one in known if not one["held"]) + chosen.windows
        in_all = (sum(one["of"] for one in known) + plan.windows) / (len(known) + 1) * len(self.sources)
        if spent > thrift.share * in_all and sum(one["windows"] > 0 for one in known) >= thrift.fewest:
            return replace(chosen, rows=()), 0
        return chosen, 0

    def _empty(self) -> Sample:
        dim = self.spec.dim
        return Sample(min(self.options.tokens, max(1, _SAMPLE_BYTES // (4 * dim))), dim, self.options.seed)

    def _make_recipe(self) -> str:
        """What the sample depends on."""
        options, mask, encoder = self.options, self.setup.tissue.mask, self.setup.encoder
        sampling = [options.mpp, options.seed, self.sample.capacity, options.windows, options.pool]
        thrift = None if options.thrift is None else asdict(options.thrift)
        opening = [options.opening.source_mpp, options.opening.series]
        inputs = [[asdict(source), source.mask and content_of(Path(source.mask))] for source in self.sources]
        tissue = [self.setup.tissue.find, None if mask is None else fingerprint(mask)]
        run = [encoder.precision, encoder.repaired, self.setup.views]
        known = [histofactor.__version__, asdict(self.spec.key), run, sampling, thrift, opening, tissue, inputs]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _resume(self) -> None:
        """Go on from what an earlier run with the same recipe saved; anything else is begun anew, and told."""
        if self._work is None or not self._work.exists():
            return
        try:
            note = json.loads(read_note(self._work))
            recipe, slides = str(note["recipe"]), dict(note["slides"])
            if recipe == self._recipe:
                self.sample.load(self._work)
                self.slides = slides
                return
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._reporter.on_note(f"{self._work} is damaged and made anew: {error}")
            self.sample = self._empty()
            return
        aside = self._work.with_name(f"{self._work.name}.{recipe[:8]}")
        try:
            self._work.replace(aside)
        except OSError as error:
            raise output_error(aside, error) from error
        self._reporter.on_note(f"{self._work.name} was sampled in another way or from other inputs: kept as {aside}")

    def _save(self, every_s: float) -> None:
        """Save the sample unless it was saved less than so many seconds ago; a large one takes a twentieth at most."""
        started = time.monotonic()
        if self._work is not None and started - self._saved >= max(every_s, every_s and _SPARING * self._saving_s):
            note = {"recipe": self._recipe, "slides": self.slides}
            self.sample.save(self._work, json.dumps(note))
            self._saved = time.monotonic()
            self._saving_s = self._saved - started
