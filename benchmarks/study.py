"""What concepts of the very fields are worth: the default command beside the concepts that ship.

Every field of ``glas-dev`` is segmented as ``histofactor segment FIELDS -o OUT -k K`` does: tissue is found, concepts
are learned from all fields without labels, five seeds; the same with ``--borders image``; and with the concepts that
ship.
Labels become classes by majority on the other patients, the held-out patient is scored, differences are paired over
patients. Every field is encoded once.

    python benchmarks/study.py ../shared     writes results/study.csv
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import report

from histofactor.concepts.bank.file import load_bank
from histofactor.concepts.learn.choose_k import Choice
from histofactor.concepts.learn.from_sample import Features, Origin, bearable_ks, learn_from_sample
from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.concepts.learn.sample import Sample
from histofactor.encoders.weights import embedded_path
from histofactor.evaluation.data.datasets import IGNORED, Dataset, load_dataset
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.bootstrap import paired_difference
from histofactor.evaluation.scores.labels import level0_labels
from histofactor.records import ConceptBank
from histofactor.runs.sample_builder import LearnOptions
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.given_bank import DEFAULT_BANK
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.sampling import Whose, mean_of, put_tokens, take_tokens
from histofactor.segmentation.setup import SegmentOptions, Setup, learning_setup, prepare
from histofactor.segmentation.window_memory import HeldInput, WindowMemory
from histofactor.slides.reader import open_slide
from masks import Scorer

KS, SEEDS = (16, 64), (0, 1, 2, 3, 4)
SHIPS, FOLLOW = "concepts that ship", SegmentOptions(borders="image")


@dataclass(frozen=True)
class Field:
    """An open field, and what it was encoded to."""

    name: str
    planned: Planned
    held: HeldInput


def encoded(dataset: Dataset, setup: Setup, stack: ExitStack) -> Iterator[Field]:
    """Every field, encoded once."""
    for item in dataset.items:
        slide = stack.enter_context(open_slide(item.image, source_mpp=dataset.mpp))
        plan, memory = make_plan(slide, setup), WindowMemory()
        planned = Planned(slide, setup, plan, memory)
        yield Field(item.stem, planned, HeldInput(plan, memory, mean_of(planned)))


def learned(fields: Sequence[Field], seed: int, centring: float) -> tuple[dict[int, ConceptBank], Choice | None]:
    """Concepts as a study learns them, by K, and the comparison of the K."""
    spec = fields[0].planned.setup.encoder.spec
    sample = Sample(LearnOptions().tokens, spec.dim, seed)
    sides = []
    for number, one in enumerate(fields):
        taken = take_tokens(one.planned, sample.quota, Whose(one.name))
        put_tokens(sample, number, taken)
        sides.append(taken.side)
    sample.sort()
    origin = Origin(sample.slides[: sample.size].astype(np.int64), [None] * len(fields), sides)
    banks, choice = learn_from_sample(
        sample,
        origin,
        bearable_ks(sample.size),
        Features(encoder=spec.key, mpp=spec.mpp, centring=centring),
        TrainOptions(kmeans=KMeansOptions(seed)),
    )
    return {len(bank.names): bank for bank in banks}, choice


def counted(scorer: Scorer, fields: Sequence[Field], bank: ConceptBank, borders: str = "exact") -> np.ndarray:
    """Px by label and class of every field, (fields, K + 1, classes)."""
    options = SegmentOptions(borders=borders)
    segmenter = prepare(encoder=fields[0].planned.setup.encoder, concepts=bank, options=options)
    tables = []
    for one, truth in zip(fields, scorer.truth, strict=True):
        labels = level0_labels(segment_slide(one.planned.slide, segmenter, held=one.held))
        tables.append(metrics.confusion(labels, truth, len(bank.names) + 1, len(scorer.dataset.classes), IGNORED))
    return np.stack(tables)


def main() -> None:
    """Score both."""
    scorer, setup = Scorer(load_dataset(Path(sys.argv[1]) / "data/glas-dev")), learning_setup(options=FOLLOW)
    tables: dict[tuple[str, int], list[np.ndarray]] = {}
    with ExitStack() as stack:
        fields = list(encoded(scorer.dataset, setup, stack))
        for k in KS:
            tables[SHIPS, k] = [counted(scorer, fields, load_bank(embedded_path(DEFAULT_BANK), k))]
        for seed in SEEDS:
            banks, choice = learned(fields, seed, setup.encoder.spec.centring)
            print(f"seed {seed}: recommended K = {choice and choice.recommended}", file=sys.stderr)
            for k in KS:
                tables.setdefault(("own", k), []).append(counted(scorer, fields, banks[k]))
                drawn = counted(scorer, fields, banks[k], FOLLOW.borders)
                tables.setdefault(("own, borders image", k), []).append(drawn)
    report("study", ("K", "way", "mIoU", "lowest seed", "highest seed", "NMI", "difference", "low", "high"),
           list(rows_of(scorer, tables)), ("numba", "torch"))  # fmt: skip


def rows_of(scorer: Scorer, tables: dict[tuple[str, int], list[np.ndarray]]) -> Iterator[tuple]:
    """Scores of every way and K, and the difference from the concepts that ship."""
    for (way, k), found in sorted(tables.items(), key=lambda item: item[0][1]):
        seeds = [metrics.mean_iou(scorer.matrices(one).sum(0)) for one in found]
        nmi = float(np.mean([metrics.nmi(one.sum(0)) for one in found]))
        ours = sum(scorer.matrices(one) for one in found)
        theirs = len(found) * scorer.matrices(tables[SHIPS, k][0])
        paired = paired_difference(ours, theirs, scorer.patients, metrics.mean_iou)
        yield k, way, float(np.mean(seeds)), min(seeds), max(seeds), nmi, *paired


if __name__ == "__main__":
    main()
