"""The sample of a collection: slide after slide is encoded, and tokens of each are kept."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import histofactor
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.concepts.learn.sample import Sample, read_note
from histofactor.errors import HistofactorError, OptionError, ResolutionError
from histofactor.segmentation.cluster_rows import cluster_rows_of
from histofactor.segmentation.encoding import Progress
from histofactor.segmentation.plan import make_plan, subsample_windows
from histofactor.segmentation.setup import Engine, SegmentOptions
from histofactor.slides.reader import open_slide
from histofactor.slides.resolution import check_mpp
from histofactor.tcga.fetch import FetchOptions, fetched
from histofactor.tcga.gdc import GdcFile

_SAMPLE_BYTES = 2**30  # of tokens, at most


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """How concepts are learned.

    Attributes:
        mpp: µm/px to work at; default the encoder's own.
        source_mpp: µm/px of inputs whose header lacks it.
        seed: of the sampling.
        tokens: size of the sample, at most; it is no larger than 1 GiB either.
        windows: so many windows of every slide are encoded, drawn at random; 0 encodes all.
        pool: what is clustered: each ``token``, or the mean of each ``tile``, as in arXiv 2409.05697.
        train: how concepts are learned from the sample.
        encoder: weights, layer and device of the encoder, and how tissue is found.
        checkpoint_s: seconds between two savings of the sample.
    """

    mpp: float | None = None
    source_mpp: float | None = None
    seed: int = 0
    tokens: int = 2**18
    windows: int = 32
    pool: str = "token"
    train: TrainOptions = field(default_factory=TrainOptions)
    encoder: SegmentOptions = field(default_factory=SegmentOptions)
    checkpoint_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """One input to learn from.

    Attributes:
        name: what tells it from all others, wherever it lies.
        group: hospital, project, …; tokens are balanced over groups, and over the slides of each.
        mpp: µm/px where its header lacks it, or None for that of ``LearnOptions``.
    """

    name: str
    group: str | None = None
    mpp: float | None = None


@dataclass(frozen=True, slots=True)
class LearnReporter:
    """Who is told of progress.

    Attributes:
        on_input: called with (name, index, number of inputs) before each input.
        on_window: called with (windows done, windows in all) while it runs.
        on_outcome: called with its name and, if it was left out, why.
    """

    on_input: Callable[[str, int, int], None] = lambda name, index, total: None
    on_window: Progress = lambda done, total: None
    on_outcome: Callable[[str, HistofactorError | None], None] = lambda name, error: None


@dataclass(frozen=True, slots=True)
class Supply:
    """Inputs, and how to get at them.

    Attributes:
        sources: all of them.
        find: yields, for those that are still to be done, where each lies or why it cannot be had; asked for the next
            one, it may take the one before away.
    """

    sources: Sequence[Source]
    find: Callable[[Sequence[Source]], Iterable[Path | HistofactorError]]


def supply_files(paths: Sequence[str | Path], table: Path | None = None, group: str | None = None) -> Supply:
    """Files on disk.

    Args:
        paths: where they lie.
        table: says more of them, see ``read_table``.
        group: its column of groups.

    Raises:
        OptionError, ResolutionError: as ``read_table``.
    """
    sources = name_sources(paths)
    if table is not None:
        sources = read_table(sources, table, group)
    by_name = {source.name: Path(path) for source, path in zip(sources, paths, strict=True)}
    return Supply(sources, lambda todo: (by_name[source.name] for source in todo))


def supply_manifest(files: Sequence[GdcFile], folder: Path, options: FetchOptions | None = None) -> Supply:
    """Files that are fetched, worked on and deleted one after another, balanced over their projects.

    Args:
        files: from ``read_manifest``.
        folder: where a few of them lie at a time.
        options: how they are fetched.
    """
    by_name = {file.name: file for file in files}
    sources = [Source(file.name, file.project or None) for file in files]
    return Supply(sources, lambda todo: fetched([by_name[source.name] for source in todo], folder, options))


def name_sources(paths: Sequence[str | Path]) -> list[Source]:
    """Sources by the shortest ends of their paths that tell them apart."""
    whole = [Path(path).resolve().parts for path in paths]
    depth = 1
    while len({parts[-depth:] for parts in whole}) < len(set(whole)):
        depth += 1
    return [Source("/".join(parts[-depth:])) for parts in whole]


def read_table(sources: Sequence[Source], table: Path, group: str | None = None) -> list[Source]:
    """Sources with the groups and the µm/px that a table gives them.

    Args:
        sources: the inputs.
        table: CSV with a header; its first column holds file names, with or without suffix. A column ``mpp`` may hold
            the µm/px of files whose header lacks it.
        group: the column that holds the groups, or None.

    Raises:
        OptionError: the table cannot be read, lacks the column, or does not name an input.
        ResolutionError: a µm/px is not plausible.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise OptionError(f"cannot read the table {table}", expected="a CSV file", got=str(error)) from error
    header = list(rows[0]) if rows else []
    wanted = group or "mpp"
    if wanted not in header[1:]:
        got = ", ".join(map(str, header)) or "no rows"
        raise OptionError(f"{table} has no column {wanted!r} after the first", expected="file names, then it", got=got)
    by_name = {row[header[0]]: row for row in rows}
    found = []
    for source in sources:
        name = Path(source.name)
        row = by_name.get(source.name) or by_name.get(name.name) or by_name.get(name.stem)
        if not row or (group and not row[group]):
            raise OptionError(f"{table} does not say the {wanted} of {source.name}", mend="add a row for it")
        found.append(replace(source, group=row[group] if group else None, mpp=_mpp(row, source.name)))
    return found


def _mpp(row: Mapping[str, str], name: str) -> float | None:
    text = row.get("mpp") or ""
    try:
        mpp = float(text) if text else None
    except ValueError as error:
        raise ResolutionError(f"the µm/px of {name} is no number", expected="for example 0.25", got=text) from error
    if mpp is not None:
        check_mpp(mpp, f"the mpp of {name}")
    return mpp


class Collection:
    """A sample of the tissue of many inputs, and what became of each.

    Args:
        supply: the inputs, each of another name.
        engine: from ``prepare``, for method ``single``.
        options: how to sample.
        work: file that holds the sample while it grows, or None.

    Raises:
        OptionError: a name is there twice, or an option is out of range.
    """

    def __init__(self, supply: Supply, engine: Engine, options: LearnOptions, work: Path | None = None) -> None:
        sources = supply.sources
        names = [source.name for source in sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise OptionError(f"{twice[0]} is there twice", mend="name every input once")
        if options.windows < 0:
            raise OptionError("the number of windows is out of range", expected="0 or more", got=f"{options.windows}")
        self.sources, self.options = sources, options
        self.spec = engine.encoder.spec
        self._engine, self._work, self._find = engine, work, supply.find
        dim = self.spec.dim
        self.sample = Sample(min(options.tokens, max(1, _SAMPLE_BYTES // (4 * dim))), dim, options.seed)
        self.slides: dict[str, dict[str, Any]] = {}  # by name: what is known of those that were used
        self.left_out: dict[str, str] = {}
        self._saved = time.monotonic()
        self._resume()

    def gather(self, reporter: LearnReporter) -> None:
        """Encode the inputs that are not in the sample yet, and tell the reporter."""
        todo = [source for source in self.sources if source.name not in self.slides]
        done = len(self.slides)
        self._save(0)  # a folder that cannot be written is told now, not after hours
        try:
            for index, (source, path) in enumerate(zip(todo, self._find(todo), strict=True), done):
                reporter.on_input(source.name, index, len(self.sources))
                try:
                    if isinstance(path, HistofactorError):
                        raise path
                    self._add(source, path, reporter.on_window)
                except HistofactorError as error:
                    self.left_out[source.name] = str(error)
                    reporter.on_outcome(source.name, error)
                else:
                    reporter.on_outcome(source.name, None)
                self._save(self.options.checkpoint_s)
        finally:
            self._save(0)

    def _add(self, source: Source, path: Path, on_window: Progress) -> None:
        """Sample one input; it counts only once all of it is there."""
        number = next(i for i, one in enumerate(self.sources) if one.name == source.name)
        members = sum(one.group == source.group for one in self.sources)
        with open_slide(path, source_mpp=source.mpp or self.options.source_mpp) as slide:
            plan = make_plan(slide, self._engine)
            if self.options.windows:
                seed = hashlib.sha256(f"{self.options.seed} windows\0{source.name}".encode()).digest()
                rng = np.random.default_rng(np.frombuffer(seed, np.uint32))
                plan = subsample_windows(plan, self._engine, self.options.windows, rng)
            units = cluster_rows_of(slide, self._engine, plan, self.options.pool, on_window)
            draw = self.sample.draw(source.name, units.n, 1 / members)
            indices, tokens, norms, seen = [], [], [], 0
            for found, features, sq_norms in units.stream:
                seen += len(found)
                wanted = draw.wanted[found] & features.any(axis=1)  # a token without features says nothing
                indices.append(found[wanted])
                tokens.append(features[wanted])
                norms.append(sq_norms[wanted])
        if indices:
            chosen = np.concatenate(indices)
            keys, places = draw.keys[chosen], units.places[chosen]
            self.sample.add(np.concatenate(tokens), np.concatenate(norms), keys, number, places)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.slides[source.name] = {"tokens": seen, "sha256": digest, "side": units.side}

    def _recipe(self) -> str:
        """What the sample depends on."""
        options, key = self.options, self.spec.key
        sampling = [options.mpp, options.source_mpp, options.seed, self.sample.capacity, options.windows, options.pool]
        inputs = [asdict(source) for source in self.sources]
        tissue = [options.encoder.tissue, str(options.encoder.tissue_mask)]
        run = [str(self._engine.encoder.autocast), self._engine.encoder.mended, options.encoder.views]
        text = json.dumps([histofactor.__version__, asdict(key), run, sampling, tissue, inputs])
        return hashlib.sha256(text.encode()).hexdigest()

    def _resume(self) -> None:
        """Go on from what an earlier run with the same recipe saved; anything else is begun anew."""
        if self._work is None or not self._work.exists():
            return
        try:
            note = json.loads(read_note(self._work))
            if note["recipe"] != self._recipe():
                return
            self.sample.load(self._work)
            self.slides = note["slides"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            mend = "delete it to begin anew"
            raise OptionError(f"cannot go on from {self._work}", got=str(error), mend=mend) from error

    def _save(self, every_s: float) -> None:
        if self._work is not None and time.monotonic() - self._saved >= every_s:
            note = {"recipe": self._recipe(), "slides": self.slides}
            self.sample.save(self._work, json.dumps(note))
            self._saved = time.monotonic()
