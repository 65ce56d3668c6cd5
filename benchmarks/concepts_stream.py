"""Does training of concepts stay within its memory however long the stream is, and do shares of it add up?

A synthetic stream of slides of 50,000 tokens (mixtures of 300 prototypes in 128 channels) is sampled and clustered for
K = 8 … 256, as ``concepts train`` does. Printed for every length: the largest resident memory of a process of its own,
relative to that of the shortest stream. Then two workers take every other slide of the middle stream each, and their
samples are merged: the inertia of both trainings on a fresh test stream is printed side by side.

    python benchmarks/concepts_stream.py            prints two tables and writes them to results/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from common import in_fresh_process, peak_mb, report

from histofactor.concepts.learn.kmeans import assign
from histofactor.concepts.learn.levels import TrainOptions, train_levels
from histofactor.concepts.learn.sample import Known, Sample

LENGTHS, SHARED = (100_000, 1_000_000, 10_000_000), 1_000_000
KS = (8, 16, 32, 64, 128, 256)
SLIDE, CHANNELS, PROTOTYPES, CAPACITY = 50_000, 128, 300, 2**18


def slide(number: int) -> Iterator[np.ndarray]:
    """The tokens of a slide in blocks: mixtures of a prototype and another, with noise, ≥ 0."""
    prototypes = np.random.default_rng(0).gamma(0.4, 1.0, (PROTOTYPES, CHANNELS)).astype(np.float32)
    rng = np.random.default_rng([1, number])
    for _ in range(0, SLIDE, 5000):
        own, other = prototypes[rng.integers(PROTOTYPES, size=(2, 5000))]
        yield own + 0.3 * other + 0.3 * rng.random((5000, CHANNELS), np.float32)


def gather(numbers: Iterable[int]) -> Sample:
    """The sample of some slides."""
    sample = Sample(CAPACITY, CHANNELS)
    for number in numbers:
        draw = sample.quota.draw(f"slide {number}", SLIDE)
        chosen, start = [], 0
        for tokens in slide(number):
            part = slice(start, start + len(tokens))
            chosen.append(tokens[draw.wanted[part]])
            start = part.stop
        keys = draw.keys[draw.wanted]
        zeros = np.zeros((len(keys), 3), np.float32)
        sample.add(np.concatenate(chosen), keys, number, Known(zeros[:, 0], zeros[:, 1:]))
    return sample


def train(sample: Sample, nested: bool) -> dict[int, np.ndarray]:
    """Concepts by K."""
    sample.sort()
    levels = train_levels(sample.tokens[: sample.size], KS, TrainOptions(nested=nested))
    return {k: level.vectors for k, level in levels.items()}


def memory(length: int) -> float:
    """MB at the peak of sampling and training on a stream of so many tokens."""
    train(gather(range(length // SLIDE)), nested=True)
    return peak_mb()


def shares() -> list[tuple[int, float, float, float]]:
    """K, inertia a token of two merged shares and of the whole, and their ratio."""
    numbers = range(SHARED // SLIDE)
    merged = gather(numbers[::2])
    merged.merge(gather(numbers[1::2]))
    test = np.concatenate(list(slide(10**6)))
    found = [train(sample, nested=False) for sample in (merged, gather(numbers))]
    ours, whole = ([one.inertia / len(test) for one in assign(test, *levels.values())] for levels in found)
    return [(k, a, b, a / b) for k, a, b in zip(KS, ours, whole, strict=True)]


def main() -> None:
    """Measure and print."""
    in_fresh_process(memory, 2 * SLIDE)  # compiles what later processes find compiled
    peaks = [in_fresh_process(memory, length) for length in LENGTHS]
    rows = [(length, peak, peak / peaks[0]) for length, peak in zip(LENGTHS, peaks, strict=True)]
    report("concepts_stream", ("tokens", "peak MB", "against the shortest"), rows, ("numpy", "numba"))
    header = ("K", "inertia a token, shares merged", "whole", "ratio")
    report("concepts_shares", header, in_fresh_process(shares), ("numpy", "numba"))


if __name__ == "__main__":
    main()
