"""The sample of a collection: slide after slide is encoded, and tokens of each are kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import histofactor
from histofactor.base.files import output_error
from histofactor.base.text import counted
from histofactor.concepts.learn.levels import TrainOptions, check_algorithm
from histofactor.concepts.learn.sample import Sample
from histofactor.concepts.learn.sample_file import read_note
from histofactor.encoders.encoder import Encoder
from histofactor.errors import HistofactorError, OptionError
from histofactor.recipe import fingerprint, release
from histofactor.records.urls import Input
from histofactor.runs.execute.engine import LOCAL, Engine, Workers
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.outcome import Observer, Outcome, Reporter
from histofactor.runs.sampling_tasks import LookTask, Sampled, SampleJob, TakeTask, Tasks
from histofactor.runs.source import Opening, Source, Sources, check_balance, content_of
from histofactor.runs.thrift import Allotment, Looked, Thrift, allot, rule_of
from histofactor.segmentation.cluster_rows import check_pool
from histofactor.segmentation.sampling import Whose, put_tokens
from histofactor.segmentation.setup import SegmentOptions, learning_setup

_SAMPLE_BYTES = 2**30  # of tokens, at most
_ALL = Allotment(any=True, held=0)  # where inputs are not spared
_LOOKED = ("windows", "drawn", "feature_bytes", "at_hand")  # that is kept of a look
_SPARING = 20  # times as long as saving takes, it is not done again


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
        balance: what gives tokens alike: every ``slide``, or every ``group`` and the slides of each alike; None takes
            groups where there are any.
        checkpoint_s: seconds between two savings of the sample.
        engine: where inputs are worked on, by ``learn_concepts``.
        keep: output folder in which windows are kept that will be segmented, see ``Workplace``.
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
    balance: str | None = None
    checkpoint_s: float = 60.0
    engine: Engine = LOCAL
    keep: Path | None = None


class SampleBuilder:
    """A sample of the tissue of many inputs, and what became of each.

    Args:
        sources: the inputs, each of another name.
        encoder: name of an encoder, or one that is loaded.
        options: how to sample.
        work: file that holds the sample while it grows, or None. One of another recipe is set aside, one that is
            damaged made anew; both are told.
        reporter: who is told.
        workers: who encodes; default this process.

    Raises:
        OptionError: a name is there twice, or an option is out of range.
        HistofactorError: the encoder cannot be used, as told by ``learning_setup``.
        OutputError: a sample cannot be set aside.
    """

    def __init__(
        self,
        sources: Sources,
        encoder: str | Encoder,
        options: LearnOptions,
        *,
        work: Path | None = None,
        reporter: Reporter | None = None,
        workers: Workers | None = None,
    ) -> None:
        names = Counter(source.name for source in sources.all)
        if twice := sorted(name for name, times in names.items() if times > 1):
            raise OptionError(f"{twice[0]} is there twice", mend="name every input once")
        if options.windows < 0:
            raise OptionError("the number of windows is out of range", expected="0 or more", got=f"{options.windows}")
        check_balance(options.balance, sources.all)
        check_pool(options.pool)
        check_algorithm(options.train.algorithm)
        if options.centring is not None and not 0 <= options.centring <= 1:
            raise OptionError("the share of centring is out of range", expected="0 to 1", got=f"{options.centring}")
        self.sources, self.options = sources.all, options
        self.setup = learning_setup(encoder, options.mpp, options.encoder)
        self.spec = self.setup.encoder.spec
        self._numbers = {source.name: number for number, source in enumerate(sources.all)}
        self._members = Counter(source.group for source in sources.all)
        self._work, self._find, self._together = work, sources.find, sources.together
        self._reporter, self._workers = reporter or Reporter(), workers or LocalWorkers()
        how, spared = (encoder, options.mpp, options.encoder), options.thrift is not None
        self._job = SampleJob(*how, options.opening, options.pool, spared, self.setup, options.keep)
        self.sample = self._empty()
        self.slides: dict[str, dict[str, Any]] = {}  # by name: what is known of those that were looked at
        self.left_out: dict[str, str] = {}
        self._looked: dict[str, Looked] = {}
        self._allotted: dict[str, Allotment] = {}
        self._rule = rule_of(options.thrift, options.windows, options.seed)
        self._recipe, self._saved, self._saving_s = self._make_recipe(), time.monotonic(), 0.0
        self._resume()

    @property
    def centring(self) -> float:
        """Share of a slide's own mean that is taken from its tokens."""
        if self.options.pool != "token":
            return 0.0
        return self.spec.centring if self.options.centring is None else self.options.centring

    @property
    def balance(self) -> str:
        """What gives tokens alike: ``slide`` or ``group``."""
        groups = "group" if any(source.group is not None for source in self.sources) else "slide"
        return self.options.balance or groups

    @property
    def used(self) -> list[Source]:
        """The inputs that gave tokens, or might have."""
        return [source for source in self.sources if self.slides.get(source.name, {}).get("windows")]

    @property
    def without_tissue(self) -> list[str]:
        """Names of the inputs that were read and have none."""
        return [name for name, known in self.slides.items() if not known["of"]]

    def tell(self, sentence: str) -> None:
        """Tell the reporter what is to be known of the sample."""
        self._reporter.on_note(sentence)

    def gather(self) -> None:
        """Encode the inputs that are not in the sample yet, and tell the reporter."""
        self._save(0)  # a folder that cannot be written is told now, not after hours
        try:
            self._look()
            self._take()
            self._in_order()  # what is kept does not tell where a run was cut off
        finally:
            self._save(0)

    def _look(self) -> None:
        """Find out what the inputs have and share out what may be encoded, where they are spared."""
        if self.options.thrift is None:
            return
        todo = [source for source in self.sources if source.name not in self._looked]
        if todo:
            self._reporter.on_stage(f"looking at {counted(len(todo), 'input')}")
        quiet = replace(self._reporter, on_input=lambda *_: None)
        for outcome in self._worked(todo, lambda source, path: LookTask(source, path, self._rule), quiet):
            if isinstance(outcome, Looked):
                self._looked[outcome.input] = outcome
        there = [self._looked[source.name] for source in self.sources if source.name in self._looked]
        allotted = allot(there, self.options.thrift)
        self._allotted = {looked.input: one for looked, one in zip(there, allotted, strict=True)}

    def _take(self) -> None:
        """Take of every input what it was allotted; it counts only once all of it is there."""
        todo = [source for source in self.sources if source.name not in {*self.slides, *self.left_out}]
        reporter, n = self._reporter, len(self.sources)
        counting = replace(reporter, on_input=lambda name, *_: reporter.on_input(name, len(self.slides), n))
        for outcome in self._worked(todo, self._task, counting):
            if isinstance(outcome, Sampled):
                self.slides[outcome.input] = dict(outcome.known)
                if outcome.taken is not None:
                    put_tokens(self.sample, self._numbers[outcome.input], outcome.taken)
                reporter.on_outcome(outcome)

    def _worked(
        self, todo: Sequence[Source], task: Callable[[Source, Input], LookTask | TakeTask], reporter: Reporter
    ) -> Iterator[Outcome]:
        """What came of inputs; those that failed are left out, and the sample is saved now and then."""
        reached = zip(todo, self._find(todo), strict=True)
        for few in [list(reached)] if self._together else ([one] for one in reached):
            there = [(source, path) for source, path in few if not isinstance(path, HistofactorError)]
            lost = [
                Outcome(one.name, "failed", error=str(why)) for one, why in few if isinstance(why, HistofactorError)
            ]
            tasks = Tasks(there, task, ahead=self._workers.number == 1)
            made = self._workers.execute(self._job, tasks, Observer(reporter))
            for outcome in chain(lost, (outcome for _, outcome in made)):
                if outcome.error:
                    self.left_out[outcome.input] = outcome.error
                    self._reporter.on_outcome(outcome)
                yield outcome
                if self.kept_in(outcome.input) is None:
                    self._save(self.options.checkpoint_s)

    def kept_in(self, name: str) -> Path | None:
        """The output folder in which all that an input was encoded to is at hand, see ``Workplace``, or None."""
        held = self.sources[self._numbers[name]].content and self.slides.get(name, {}).get("held")
        return self.options.keep if held else None

    def _task(self, source: Source, path: Input) -> TakeTask:
        name = source.name if len(self.sources) > 1 else ""  # alone, it gives the same whatever it is called
        whose = Whose(name, 1 / self._members[source.group] if self.balance == "group" else 1.0)
        return TakeTask(source, path, self._rule, self._allotted.get(source.name, _ALL), whose, self.sample.quota)

    def _in_order(self) -> None:
        """Order the sample by key, and what is known of inputs as they were given."""
        self.sample.sort()
        names = [source.name for source in self.sources]
        self.slides = {name: self.slides[name] for name in names if name in self.slides}
        self._looked = {name: self._looked[name] for name in names if name in self._looked}

    def _empty(self) -> Sample:
        dim = self.spec.dim
        return Sample(min(self.options.tokens, max(1, _SAMPLE_BYTES // (4 * dim))), dim, self.options.seed)

    def _make_recipe(self) -> str:
        """What the sample depends on."""
        options, mask, encoder = self.options, self.setup.tissue.mask, self.setup.encoder
        sampling = [options.mpp, options.seed, self.sample.capacity, options.windows, options.pool, self.balance]
        thrift = None if options.thrift is None else asdict(options.thrift)
        opening = [options.opening.source_mpp, options.opening.series]
        inputs = [[asdict(source), source.mask and content_of(Path(source.mask))] for source in self.sources]
        tissue = [self.setup.tissue.find, None if mask is None else fingerprint(mask)]
        run = [encoder.precision, encoder.repaired, self.setup.views, asdict(self.spec.window)]
        known = [
            release(histofactor.__version__),
            asdict(self.spec.key),
            run,
            sampling,
            thrift,
            opening,
            tissue,
            inputs,
        ]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _resume(self) -> None:
        """Go on from what an earlier run with the same recipe saved; anything else is begun anew, and told."""
        if self._work is None or not self._work.exists():
            return
        try:
            note = json.loads(read_note(self._work))
            recipe, slides = str(note["recipe"]), dict(note["slides"])
            if recipe == self._recipe:
                looked = {str(name): Looked(name, "done", **one) for name, one in dict(note["looked"]).items()}
                self.sample.load(self._work)
                self.slides, self._looked = slides, looked
                return
            if not slides and not note["looked"]:
                return  # nothing of any input is in it
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
            looked = {name: {kind: getattr(one, kind) for kind in _LOOKED} for name, one in self._looked.items()}
            note = {"recipe": self._recipe, "slides": self.slides, "looked": looked}
            self.sample.save(self._work, json.dumps(note))
            self._saved = time.monotonic()
            self._saving_s = self._saved - started
