"""The sample of a collection: slide after slide is encoded, and tokens of each are kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import histofactor
from histofactor.base.clock import Watch
from histofactor.base.files import output_error
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.concepts.learn.sample import Sample, read_note
from histofactor.errors import HistofactorError, OptionError
from histofactor.recipe import fingerprint
from histofactor.runs.outcome import Outcome, Reporter, attempt
from histofactor.runs.source import Opening, Source, Sources
from histofactor.segmentation.cluster_rows import cluster_rows_of
from histofactor.segmentation.plan import make_plan, subsample_windows
from histofactor.segmentation.setup import SegmentOptions, Setup

_SAMPLE_BYTES = 2**30  # of tokens, at most


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
    ) -> None:
        names = Counter(source.name for source in sources.all)
        if twice := sorted(name for name, times in names.items() if times > 1):
            raise OptionError(f"{twice[0]} is there twice", mend="name every input once")
        if options.windows < 0:
            raise OptionError("the number of windows is out of range", expected="0 or more", got=f"{options.windows}")
        self.sources, self.options, self.setup = sources.all, options, setup
        self.spec = setup.encoder.spec
        self._numbers = {source.name: number for number, source in enumerate(sources.all)}
        self._members = Counter(source.group for source in sources.all)
        self._work, self._find, self._reporter = work, sources.find, reporter or Reporter()
        self.sample = self._empty()
        self.slides: dict[str, dict[str, Any]] = {}  # by name: what is known of those that were used
        self.left_out: dict[str, str] = {}
        self._saved = time.monotonic()
        self._resume()

    def gather(self) -> None:
        """Encode the inputs that are not in the sample yet, and tell the reporter."""
        todo = [source for source in self.sources if source.name not in self.slides]
        done = len(self.slides)
        self._save(0)  # a folder that cannot be written is told now, not after hours
        try:
            for index, (source, path) in enumerate(zip(todo, self._find(todo), strict=True), done):
                self._reporter.on_input(source.name, index, len(self.sources))
                outcome = attempt(source.name, partial(self._add, source, path))
                if outcome is None:
                    continue
                if outcome.error:
                    self.left_out[source.name] = outcome.error
                self._reporter.on_outcome(outcome)
                self._save(self.options.checkpoint_s)
        finally:
            self._save(0)

    def _add(self, source: Source, path: Path | HistofactorError) -> Outcome:
        """Sample one input; it counts only once all of it is there."""
        if isinstance(path, HistofactorError):
            raise path
        with self.options.opening.open(path, source.mpp) as slide:
            plan = make_plan(slide, self.setup)
            if self.options.windows:
                seed = hashlib.sha256(f"{self.options.seed} windows\0{source.name}".encode(errors="surrogateescape"))
                rng = np.random.default_rng(np.frombuffer(seed.digest(), np.uint32))
                plan = subsample_windows(plan, self.setup, self.options.windows, rng)
            rows = cluster_rows_of(slide, self.setup, plan, self.options.pool, Watch(self._reporter.on_window))
            draw = self.sample.draw(source.name, rows.n, 1 / self._members[source.group])
            indices, tokens, norms, seen = [], [], [], 0
            for found, features, sq_norms in rows.stream:
                seen += len(found)
                wanted = draw.wanted[found] & features.any(axis=1)  # a token without features says nothing
                indices.append(found[wanted])
                tokens.append(features[wanted])
                norms.append(sq_norms[wanted])
        if indices:
            chosen = np.concatenate(indices)
            keys, places = draw.keys[chosen], rows.places[chosen]
            number = self._numbers[source.name]
            self.sample.add(np.concatenate(tokens), np.concatenate(norms), keys, number, places)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.slides[source.name] = {"tokens": seen, "sha256": digest, "side": rows.side}
        return Outcome(source.name, "done", notes=slide.info.notes)

    def _empty(self) -> Sample:
        dim = self.spec.dim
        return Sample(min(self.options.tokens, max(1, _SAMPLE_BYTES // (4 * dim))), dim, self.options.seed)

    def _recipe(self) -> str:
        """What the sample depends on."""
        options, mask, encoder = self.options, self.setup.tissue.mask, self.setup.encoder
        sampling = [options.mpp, options.seed, self.sample.capacity, options.windows, options.pool]
        opening = [options.opening.source_mpp, options.opening.series]
        inputs = [asdict(source) for source in self.sources]
        tissue = [self.setup.tissue.find, None if mask is None else fingerprint(mask)]
        run = [encoder.precision, encoder.repaired, self.setup.views]
        text = json.dumps([histofactor.__version__, asdict(self.spec.key), run, sampling, opening, tissue, inputs])
        return hashlib.sha256(text.encode()).hexdigest()

    def _resume(self) -> None:
        """Go on from what an earlier run with the same recipe saved; anything else is begun anew, and told."""
        if self._work is None or not self._work.exists():
            return
        try:
            note = json.loads(read_note(self._work))
            recipe, slides = str(note["recipe"]), dict(note["slides"])
            if recipe == self._recipe():
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
        if self._work is not None and time.monotonic() - self._saved >= every_s:
            note = {"recipe": self._recipe(), "slides": self.slides}
            self.sample.save(self._work, json.dumps(note))
            self._saved = time.monotonic()
