"""A balanced sample of a stream of tokens, in memory that does not grow with the stream.

Every token gets a key, and the sample is the tokens with the smallest keys (bottom-k sampling: Cohen & Kaplan, PODC
2007). The token of random rank r in its slide has the key (r + u) / w, with u uniform in [0, 1) and w the weight of
the slide: so every slide gives as many tokens as its weight says until it has no more, whatever its size. Keys depend
on the seed and on the slide alone, not on what was seen before, so samples merge exactly: however slides were shared
out among workers, and in whatever order, the union has the same sample. Sorted by key, every prefix is a balanced
sample too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.concepts.centring import centred, offset_of
from histofactor.concepts.learn.sample_file import read_as_damage, read_columns, write_columns
from histofactor.errors import OptionError
from histofactor.records import Centring, Float, SlideMean
from histofactor.slides.stain import MEASURES

Keys = NDArray[np.float64]
_CHUNK = 1024  # rows at a time
_COLUMNS = ("tokens", "sq_norms", "keys", "slides", "places", "stains")
_MEANS = ("means", "mean_of", "mm2")


@dataclass(frozen=True, slots=True)
class Draw:
    """The keys of one slide's tokens.

    Attributes:
        keys: (n,) key of every token, in reading order.
        wanted: (n,) bool, tokens that a sample would take now.
    """

    keys: Keys
    wanted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of tokens beside their features.

    Attributes:
        sq_norms: (n,) mean squared norm of what each is the mean of.
        places: (n, 2), where in the slide they are.
        stains: (n, 5) how each is stained, see ``slides.stain``, NaN where that is not known; None where of none is.
    """

    sq_norms: Float
    places: NDArray[np.float32]
    stains: Float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What a sample would take at one moment; it travels to whoever encodes a slide.

    The sample takes fewer as it fills: what is drawn by an older quota is more than it takes, never less.

    Attributes:
        seed: of the keys.
        capacity: tokens held, at most.
        below: keys that are taken are smaller.
    """

    seed: int
    capacity: int
    below: float

    def draw(self, name: str, n: int, weight: float = 1.0) -> Draw:
        """Give the tokens of a slide their keys.

        Args:
            name: what tells the slide from all others; with the seed it decides the keys.
            n: number of its tokens.
            weight: how many tokens it should give, in proportion to other slides.
        """
        digest = hashlib.sha256(f"{self.seed}\0{name}".encode(errors="surrogateescape")).digest()
        rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
        ranks = rng.permutation(n)
        keys = (ranks + rng.random(n)) / weight
        return Draw(keys, (ranks < self.capacity) & (keys < self.below))


class Sample:
    """Tokens with the smallest keys; all memory is taken at the start.

    Args:
        capacity: tokens held, at most.
        dim: channels of a token.
        seed: of the keys; samples merge only if it is the same.

    Raises:
        OptionError: the capacity is not positive.
    """

    def __init__(self, capacity: int, dim: int, seed: int = 0) -> None:
        if capacity < 1:
            raise OptionError("the sample is too small", expected="at least 1 token", got=f"{capacity}")
        self.capacity, self.seed, self.size = capacity, seed, 0
        self.tokens: Float = np.empty((capacity, dim), np.float32)
        map_blocks(lambda rows: self.tokens[rows].fill(0), capacity, _CHUNK)  # so that the memory is taken now
        self.sq_norms = np.zeros(capacity, np.float32)
        self.keys: Keys = np.full(capacity, np.inf)
        self.slides = np.zeros(capacity, np.int32)
        self.places = np.zeros((capacity, 2), np.float32)
        self.stains: Float = np.full((capacity, MEASURES), np.nan, np.float32)
        self.means: dict[int, SlideMean] = {}  # of all tokens of a slide that were encoded, by its number

    @property
    def quota(self) -> Quota:
        """What it would take now."""
        return Quota(self.seed, self.capacity, float(self.keys.max()))

    def add(self, tokens: Float, keys: Keys, slide: int, known: Known) -> None:
        """Take in tokens of one slide.

        Args:
            tokens: (n, d).
            keys: (n,), from ``Quota.draw``.
            slide: number of the slide.
            known: what else is known of them.
        """
        stains = np.full((len(keys), MEASURES), np.nan, np.float32) if known.stains is None else known.stains
        self._take(tokens, known.sq_norms, keys, np.full(len(keys), slide, np.int32), known.places, stains)

    def centre(self, share: float) -> Centring:
        """Take from every token a share of what its slide's mean differs from the mean of the slides' means.

        Returns:
            What was done, to be done to the tokens of other slides too.
        """
        means = np.stack([self.means[slide].value for slide in sorted(self.means)])
        centring = Centring(share, np.asarray(means.mean(0, dtype=np.float64), np.float32))
        offsets = np.zeros((max(self.means) + 1, self.tokens.shape[1]), np.float32)
        for slide, own in self.means.items():
            offsets[slide] = offset_of(centring, own)

        def move(rows: slice) -> None:
            moved = centred(self.tokens[rows], self.sq_norms[rows], offsets[self.slides[rows]])
            self.tokens[rows], self.sq_norms[rows] = moved

        map_blocks(move, self.size, _CHUNK)
        return centring

    def merge(self, other: Sample) -> None:
        """Take in another worker's sample of other slides, numbered alike: the sample of both shares.

        Raises:
            OptionError: capacity, channels or seed differ.
        """
        ours, theirs = ((s.capacity, s.tokens.shape[1], s.seed) for s in (self, other))
        if ours != theirs:
            raise OptionError(
                "the samples cannot be merged",
                expected="equal capacity, channels and seed",
                got=f"{ours} and {theirs}",
                mend="start all workers with the same options",
            )
        part = slice(0, other.size)
        self.means |= other.means
        self._take(*(getattr(other, name)[part] for name in _COLUMNS))

    def sort(self) -> None:
        """Order by key."""
        order = np.argsort(self.keys[: self.size], kind="stable")
        for values in (self.sq_norms, self.keys, self.slides, self.places, self.stains):
            values[: self.size] = values[order]
        _reorder(self.tokens, order)

    def save(self, path: Path, note: str) -> None:
        """Write what is held, with a note.

        Raises:
            OutputError: the file cannot be written.
        """
        held = {name: getattr(self, name)[: self.size] for name in _COLUMNS}
        slides = np.array(sorted(self.means), np.int32)
        means = np.array([self.means[int(slide)].value for slide in slides], np.float32)
        areas = np.array([self.means[int(slide)].mm2 for slide in slides])
        held |= {"means": means.reshape(len(slides), self.tokens.shape[1]), "mean_of": slides, "mm2": areas}
        write_columns(path, note, held)

    def load(self, path: Path) -> None:
        """Take in what a sample of the same seed, capacity and number of channels wrote.

        Raises:
            DamagedError: the file is not as it was written, or holds another kind of sample; nothing is taken in.
        """
        _, held = read_columns(path, (*_COLUMNS, *_MEANS))
        self._fill(path, held)

    def _fill(self, path: Path, held: dict[str, NDArray[Any]]) -> None:
        """Take in the columns of a file."""
        with read_as_damage(path):
            held.setdefault("stains", np.full((len(held["keys"]), MEASURES), np.nan, np.float32))  # of an older version
            known = zip(*(held[name] for name in _MEANS), strict=True)
            means = {int(slide): SlideMean(mean, float(mm2)) for mean, slide, mm2 in known}
            kinds = {name: (held[name].dtype, held[name].shape[1:]) for name in _COLUMNS}
            if kinds != {name: (getattr(self, name).dtype, getattr(self, name).shape[1:]) for name in _COLUMNS}:
                raise ValueError("its columns")
        self._take(*(held[name] for name in _COLUMNS))
        self.means |= means

    def _take(self, *columns: NDArray[Any]) -> None:
        """Fill what is free with the smallest keys, then let small new keys replace the largest old ones."""
        keys = columns[_COLUMNS.index("keys")]
        new = np.argsort(keys, kind="stable")
        free = np.arange(self.size, self.capacity)
        old = np.argsort(-self.keys[: self.size], kind="stable")
        rows = np.concatenate([free, old])[: len(new)]
        new = new[: len(rows)]
        better = keys[new] < self.keys[rows]
        rows, new = rows[better], new[better]

        def move(some: slice) -> None:
            for name, values in zip(_COLUMNS, columns, strict=True):
                getattr(self, name)[rows[some]] = values[new[some]]

        map_blocks(move, len(rows), _CHUNK)
        self.size += min(len(free), len(keys))


def read_sample(path: Path) -> tuple[Sample, str]:
    """All that is in a file that ``Sample.save`` wrote, ordered by key, and its note.

    Raises:
        DamagedError: the file is not as it was written.
    """
    note, held = read_columns(path, (*_COLUMNS, *_MEANS))
    with read_as_damage(path):
        size, dim = held["tokens"].shape
    sample = Sample(max(size, 1), dim)
    sample._fill(path, held)
    return sample, note


@numba.njit(cache=True, nogil=True)
def _reorder(rows: Float, order: NDArray[np.int64]) -> None:
    """Put rows[order[i]] at i, cycle by cycle, with one row of further memory."""
    done = np.zeros(len(order), np.bool_)
    for start in range(len(order)):
        if done[start]:
            continue
        first, at = rows[start].copy(), start
        while order[at] != start:
            rows[at] = rows[order[at]]
            done[at] = True
            at = order[at]
        rows[at] = first
        done[at] = True
