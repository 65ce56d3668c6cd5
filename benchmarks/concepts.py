"""Training of concepts beside scikit-learn and faiss: time and inertia, and what nesting costs.

Tokens of the fields in ``oscc`` and ``ocdc`` by the embedded encoder at 0.5 µm/px, all of them, in random order. Six
numbers of clusters are trained by

    nested        ``train_levels`` as ``concepts train`` does it: the largest K, and unions of its clusters
    independent   the same with every K a clustering of its own (``--independent``)
    sklearn       MiniBatchKMeans with default settings, one fit for every K
    faiss         Kmeans with default iterations, on all tokens (it would take 256 a cluster), one for every K

in turn, three times over with another seed each. Seconds are medians; inertia is that of all tokens to the centroids
found, by one function for all, relative to scikit-learn's of the same seed, median again. Where concepts are unions, it
is that of their tokens.

    python benchmarks/concepts.py ../shared            prints a table and writes results/concepts.csv
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from common import report
from sklearn.cluster import MiniBatchKMeans

from histofactor.concepts.learn.kmeans import KMeansOptions, assign
from histofactor.concepts.learn.levels import TrainOptions, train_levels
from histofactor.segmentation.page import tissue_features
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.reader import open_slide

KS = (8, 16, 32, 64, 128, 256)
SEEDS, MPP = (0, 1, 2), 0.5
Inertias = dict[int, float]


def tokens(shared: Path) -> np.ndarray:
    """All tokens of the training fields, in random order."""
    segmenter = prepare(encoder="embedded", method="single", mpp=MPP, options=SegmentOptions(views=1))
    inputs = [(path, 0.25) for path in sorted((shared / "data/oscc").glob("*.jpg"))]
    inputs += [(path, 0.5) for path in sorted((shared / "data/ocdc/images").glob("*.jpg"))]
    found = []
    for path, mpp in inputs:
        with open_slide(path, source_mpp=mpp) as slide:
            found.append(tissue_features(slide, segmenter.setup))
    X = np.concatenate(found)
    return X[np.random.default_rng(0).permutation(len(X))]


def inertias(X: np.ndarray, centroids: dict[int, np.ndarray]) -> Inertias:
    """Inertia of all tokens to the centroids of every K."""
    found = assign(X, *(one.astype(np.float32) for one in centroids.values()))
    return {k: one.inertia for k, one in zip(centroids, found, strict=True)}


def ours(nested: bool) -> Callable[[np.ndarray, int], Callable[[], Inertias]]:
    """Train, and then say the inertia of every K."""

    def train(X: np.ndarray, seed: int) -> Callable[[], Inertias]:
        levels = train_levels(X, KS, TrainOptions(nested=nested, kmeans=KMeansOptions(seed)))
        if nested:
            return lambda: {k: float(((X - level.vectors[level.labels]) ** 2).sum()) for k, level in levels.items()}
        return lambda: inertias(X, {k: level.vectors for k, level in levels.items()})

    return train


def sklearn(X: np.ndarray, seed: int) -> Callable[[], Inertias]:
    """Six fits with default settings."""
    centroids = {k: MiniBatchKMeans(k, random_state=seed).fit(X).cluster_centers_ for k in KS}
    return lambda: inertias(X, centroids)


def faiss_all(X: np.ndarray, seed: int) -> Callable[[], Inertias]:
    """Six trainings on all tokens."""
    centroids = {}
    for k in KS:
        model = faiss.Kmeans(X.shape[1], k, seed=seed + 1, max_points_per_centroid=len(X))
        model.train(X)
        centroids[k] = model.centroids
    return lambda: inertias(X, centroids)


def main() -> None:
    """Time all in turn and print both sides."""
    X = tokens(Path(sys.argv[1]))
    ways = {"nested": ours(True), "independent": ours(False), "sklearn": sklearn, "faiss": faiss_all}
    train_levels(X[:5000], (4, 8))  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[Inertias]] = {name: [] for name in ways}
    for seed in SEEDS:
        for name, train in ways.items():
            started = time.perf_counter()
            measure = train(X, seed)
            seconds[name].append(time.perf_counter() - started)
            found[name].append(measure())
    rows = []
    for name in ways:
        ratio = float(np.median(np.divide(seconds[name], seconds["sklearn"])))
        relative = [
            float(np.median([own[k] / theirs[k] for own, theirs in zip(found[name], found["sklearn"], strict=True)]))
            for k in KS
        ]
        rows.append((name, len(X), float(np.median(seconds[name])), ratio, *relative))
    header = ("training", "tokens", "s", "s / sklearn", *(f"inertia K={k}" for k in KS))
    report("concepts", header, rows, ("scikit-learn", "faiss-cpu", "numba"))


if __name__ == "__main__":
    main()
