"""What do nested levels and other ways to learn concepts cost or gain in segmentation?

Concepts are learned on oral and skin tissue (the training images of the shipped bank, all their tokens) and scored on
glands: ``glas-dev``, cross-validated over patients as ``histofactor evaluate`` does, by both methods of the paper that
take fixed concepts. Every way has three seeds; the mean is printed. Inertia is that of the sample, relative to separate
k-means of the same seed.

    nested        the default: unions of the clusters of the largest K
    independent   every K a clustering of its own, as in the paper
    spherical     separate clusterings of directions
    nmf           components of an online factorization

    python benchmarks/concepts_on_glas.py ../shared      prints a table and writes results/concepts_on_glas.csv
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import report
from embedded_on_glas import FeatureCache

from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import Level, TrainOptions, train_levels
from histofactor.encoders.build import load_encoder
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.scores import metrics
from histofactor.factor.nnls import project, unit_concepts
from histofactor.segmentation.page import tissue_features
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.reader import open_slide

KS, SEEDS = (8, 16, 32, 64, 128, 256), (0, 1, 2)
WAYS = {
    "nested": TrainOptions(),
    "independent": TrainOptions(nested=False),
    "spherical": TrainOptions(nested=False, kmeans=KMeansOptions(spherical=True)),
    "nmf": TrainOptions("nmf"),
}


def training_tokens(shared: Path) -> np.ndarray:
    """All tissue tokens of the training images, in random order."""
    segmenter = prepare(encoder="embedded", method="single", options=SegmentOptions(views=1))
    inputs = [(path, 0.25) for path in sorted((shared / "data/oscc").glob("*.jpg"))]
    inputs += [(path, 0.5) for path in sorted((shared / "data/ocdc/images").glob("*.jpg"))]
    inputs.append((shared / "data/slides/cmu-1-small-region.svs", None))
    found = []
    for path, mpp in inputs:
        with open_slide(path, source_mpp=mpp) as slide:
            found.append(tissue_features(slide, segmenter.setup))
    X = np.concatenate(found)
    return X[np.random.default_rng(0).permutation(len(X))]


def weighers(level: Level, finest: Level) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """How ``project`` and ``cluster`` weigh the concepts of a level."""
    U = unit_concepts(level.vectors)[0]
    H = level.vectors if level.owners is None else finest.vectors

    def nearest(X: np.ndarray) -> np.ndarray:
        scores = X @ H.T - 0.5 * (H**2).sum(1)
        scores -= scores.min(1, keepdims=True)
        if level.owners is None:
            return scores
        return np.stack([scores[:, level.owners == concept].max(1) for concept in range(len(level.vectors))], 1)

    return {"project": lambda X: project(X, U), "cluster": nearest}


def mean_iou(data: FeatureCache, weigh: Callable[[np.ndarray], np.ndarray], k: int) -> float:
    """Mean IoU of the held-out patients."""
    tables = data.tables(weigh, k)
    return metrics.mean_iou(
        sum(
            metrics.apply_map(tables[held_out].sum(0), metrics.majority_map(tables[training].sum(0)))
            for training, held_out in data.folds()
        )
    )


def main() -> None:
    """Learn, score and print."""
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    X = training_tokens(shared)
    data = FeatureCache(load_dataset(shared / "data/glas-dev"), load_encoder("embedded"))
    scores: dict[tuple[str, str, int], list[float]] = {}
    inertias: dict[tuple[str, int], list[float]] = {}
    for seed in SEEDS:
        for name, options in WAYS.items():
            kmeans = KMeansOptions(seed, spherical=options.kmeans.spherical)
            levels = train_levels(X, KS, TrainOptions(options.algorithm, options.nested, kmeans))
            for k, level in levels.items():
                inertias.setdefault((name, k), []).append(level.inertia)
                for method, weigh in weighers(level, levels[max(KS)]).items():
                    scores.setdefault((name, method, k), []).append(mean_iou(data, weigh, k))
    rows = []
    for (name, method, k), values in scores.items():
        ratio = float(np.median(np.divide(inertias[name, k], inertias["independent", k])))
        own = ratio if name in {"nested", "independent"} else float("nan")
        rows.append((name, method, k, float(np.mean(values)), min(values), max(values), own))
    rows.sort(key=lambda row: (row[1], row[2]), reverse=False)
    header = ("concepts", "method", "K", "mIoU", "lowest seed", "highest seed", "inertia / independent")
    report("concepts_on_glas", header, rows, ("numba", "scikit-learn"))


if __name__ == "__main__":
    main()
