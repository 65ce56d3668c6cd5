"""What else was tried on masks, with its figures, whether it helped or not.

The same protocol as ``masks.py``: concepts of all fields of ``glas-dev``, three seeds, nearest concept, four views. One
line per idea; each changes the features, the concepts or the map:

    roots               split-root features, as shipped
    raw                 the network's own features, signed
    unit                raw, every token of unit length
    channels            raw, every channel of unit variance
    whitened 16, 32     raw, that many principal components of unit variance
    smooth              raw, smoothed by one cell
    bilateral           raw, averaged with cells nearby whose features are near
    centred             raw, half of each image's own mean taken away
    roots centred       roots, a quarter of each image's own mean taken away
    two magnifications  roots, joined with those at twice the µm/px
    two encoders        roots, joined with those of the embedded encoder
    projected, sparse   roots, projection on unit-norm concepts; the same with an L1 weight of a tenth of a token
    voted               roots, every px takes the label that most of its surround has (Gaussian, sigma one cell)
    best of six         roots, of six runs of k-means the one of least inertia
    leaves              roots, unions of 256 clusters, the nearest cluster decides
    context             roots, 256 clusters merged by what lies around them (Ward on their neighbours' shares)
    superpixels         roots, the majority within superpixels (SLIC, 12 um)

    python benchmarks/tried.py ../shared ENCODER     writes results/tried_ENCODER.csv
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from common import report
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic

from histofactor.concepts.bank.hierarchy import nest
from histofactor.concepts.learn.kmeans import KMeansOptions, kmeans
from histofactor.encoders.build import load_encoder, with_transform
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.scores import metrics
from histofactor.factor.constrained import Wish
from histofactor.factor.nnls import project, unit_concepts
from masks import MPP, Grids, Scorer, encode_all, find_encoder, nearest, unit

KS, SEEDS, LEAVES, CELL_PX = (8, 16, 32, 64), (0, 1, 2), 256, 8
Grid = np.ndarray


def changed(grids: Grids, change: Callable[[Grid], Grid]) -> Grids:
    """Every map changed."""
    return Grids([change(grid).astype(np.float32) for grid in grids.features], grids.frames)


def centred(grids: Grids, share: float) -> Grids:
    """A share of what an image's mean differs from the mean of all taken away."""
    mean = grids.sample(0).mean(0)
    return changed(grids, lambda grid: grid - share * (grid.mean((0, 1)) - mean))


def whitened(grids: Grids, components: int) -> Grids:
    """Principal components of unit variance."""
    rows = grids.sample(0)
    _, spread, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    turn = axes[:components].T / spread[:components] * np.sqrt(len(rows))
    return changed(grids, lambda grid: (grid - rows.mean(0)) @ turn)


def bilateral(grids: Grids) -> Grids:
    """Means over 5 x 5 cells, weighted by nearness in place and in features."""
    rows = grids.sample(0)
    width = 0.5 * float(np.sqrt(((rows - rows.mean(0)) ** 2).sum(1).mean()))

    def change(grid: Grid) -> Grid:
        padded, total, weight = np.pad(grid, ((2, 2), (2, 2), (0, 0)), "edge"), 0.0, 0.0
        for y in range(5):
            for x in range(5):
                other = padded[y : y + grid.shape[0], x : x + grid.shape[1]]
                apart = ((other - grid) ** 2).sum(-1) / width**2 + ((y - 2) ** 2 + (x - 2) ** 2) / 2.25
                total += np.exp(-apart / 2)[..., None] * other
                weight += np.exp(-apart / 2)[..., None]
        return total / weight

    return changed(grids, change)


def joined(grids: Grids, others: Grids) -> Grids:
    """Features of unit length side by side, the others resampled to the cells of the first."""

    def beside(grid: Grid, other: Grid) -> Grid:
        size = grid.shape[1::-1]
        parts = [
            cv2.resize(other[..., i : i + 64], size).reshape(*size[::-1], -1) for i in range(0, other.shape[-1], 64)
        ]
        return np.concatenate([grid, *parts], -1)

    return Grids([beside(*pair) for pair in zip(grids.features, others.features, strict=True)], grids.frames)


def sparse(grid: Grid, H: np.ndarray, l1: float) -> np.ndarray:
    """Projection on unit-norm concepts with an L1 weight."""
    W = project(grid.reshape(-1, grid.shape[-1]), unit_concepts(H)[0], wish=Wish(l1=l1))
    return W.reshape(*grid.shape[:2], -1)


def voted(labels: np.ndarray, sigma_px: float) -> np.ndarray:
    """The label of most of the surround of every px."""
    shares = [
        cv2.GaussianBlur((labels == label).astype(np.float32), (0, 0), sigma_px) for label in range(labels.max() + 1)
    ]
    return np.argmax(shares, 0)


def features(roots: Grids, raw: Grids) -> dict[str, Grids]:
    """Features by idea."""
    spread = raw.sample(0).std(0)
    return {
        "roots": roots,
        "raw": raw,
        "unit": changed(raw, lambda grid: grid / np.linalg.norm(grid, axis=-1, keepdims=True)),
        "channels": changed(raw, lambda grid: grid / spread),
        "whitened 16": whitened(raw, 16),
        "whitened 32": whitened(raw, 32),
        "smooth": changed(raw, lambda grid: gaussian_filter(grid, (1, 1, 0), mode="nearest")),
        "bilateral": bilateral(raw),
        "centred": centred(raw, 0.5),
        "roots centred": centred(roots, 0.25),
    }


def best_of_six(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Of six runs the one of least inertia."""
    runs = [kmeans(rows, k, KMeansOptions(100 * seed + run)) for run in range(6)]
    return min(runs, key=lambda H: -(rows @ H.T - 0.5 * (H**2).sum(1)).max(1).sum(dtype=np.float64))


def unions(roots: Grids, seed: int) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Leaves and their owners at every K, merged by their features and by what lies around them."""
    rows = roots.sample(seed)
    leaves = kmeans(rows, LEAVES, KMeansOptions(seed))
    maps = [np.eye(LEAVES, dtype=np.float32)[nearest(grid, leaves).argmax(-1)] for grid in roots.features]
    around = sum(np.tensordot(one, gaussian_filter(one, (2, 2, 0), mode="constant"), ((0, 1), (0, 1))) for one in maps)
    sizes = np.maximum(np.sum([one.sum((0, 1)) for one in maps], 0).astype(np.int64), 1)
    shares = np.sqrt(around / np.maximum(around.sum(1, keepdims=True), 1e-9))
    for name, owners in (("leaves", nest(leaves, sizes, KS)), ("context", nest(shares, sizes, KS))):
        for k in KS:
            yield name, k, leaves, owners[k]


def majority(labels: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """The majority within every piece."""
    counts = np.zeros((pieces.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (pieces.ravel(), labels.ravel()), 1)
    return counts.argmax(1)[pieces]


def counted(scorer: Scorer, labels: Iterable[np.ndarray], k: int) -> np.ndarray:
    """Px by label and class of every image."""
    return np.stack([metrics.confusion(*pair, k + 1, 2, -1) for pair in zip(labels, scorer.truth, strict=True)])


def main() -> None:
    """Score every idea."""
    shared, name = Path(sys.argv[1]), sys.argv[2]
    encoder = find_encoder(shared, name)
    scorer = Scorer(load_dataset(shared / "data/glas-dev"))
    positive = name == "resnet50v2"  # no feature is negative
    rooted = with_transform(encoder, "root" if positive else "split-root")
    split = encode_all(scorer.dataset, with_transform(encoder, "relu" if positive else "split"), 4)
    half = split.features[0].shape[-1] // 2
    raw = split if positive else changed(split, lambda grid: grid[..., :half] - grid[..., half:])
    roots = encode_all(scorer.dataset, rooted, 4)
    pieces = [
        slic(np.asarray(Image.open(item.image).convert("RGB")), n_segments=truth.size * 0.62**2 // 144, sigma=1)
        for item, truth in zip(scorer.dataset.items, scorer.truth, strict=True)
    ]
    scores: dict[tuple[str, int], list[tuple[float, float]]] = {}

    def add(idea: str, k: int, tables: np.ndarray) -> None:
        scored = metrics.mean_iou(scorer.matrices(tables).sum(0)), metrics.nmi(tables.sum(0))
        scores.setdefault((idea, k), []).append(scored)

    coarse = encode_all(scorer.dataset, rooted, 4, 2 * max(MPP[name], 0.62))
    second = encode_all(scorer.dataset, load_encoder("embedded", transform="split-root"), 4)
    ideas = features(roots, raw)
    ideas |= {"two magnifications": joined(roots, coarse), "two encoders": joined(roots, second)}
    for idea, grids in ideas.items():
        for seed in SEEDS:
            rows = grids.sample(seed)
            for k in KS:
                H = kmeans(rows, k, KMeansOptions(seed))
                add(idea, k, scorer.tables(grids, (nearest(grid, H) for grid in grids.features), k))
                if idea != "roots":
                    continue
                add("projected", k, scorer.tables(grids, (unit(grid, H) for grid in grids.features), k))
                add("sparse", k, scorer.tables(grids, (sparse(grid, H, 0.1) for grid in grids.features), k))
                labels = [
                    scorer.labels(nearest(grid, H), *one)
                    for grid, *one in zip(grids.features, grids.frames, scorer.truth, strict=True)
                ]
                add("voted", k, counted(scorer, (voted(one, CELL_PX) for one in labels), k))
                add("superpixels", k, counted(scorer, (majority(*one) for one in zip(labels, pieces, strict=True)), k))
    for seed in SEEDS:
        for k in KS:
            H = best_of_six(roots.sample(seed), k, seed)
            add("best of six", k, scorer.tables(roots, (nearest(grid, H) for grid in roots.features), k))
        for idea, k, leaves, owners in unions(roots, seed):
            tables = scorer.tables(roots, (nearest(grid, leaves) for grid in roots.features), LEAVES)
            merged = np.zeros((len(tables), k + 1, tables.shape[2]), np.int64)
            np.add.at(merged.transpose(1, 0, 2), [0, *(owners + 1)], tables.transpose(1, 0, 2))
            add(idea, k, merged)
    rows = [(idea, k, *np.mean(found, 0).tolist()) for (idea, k), found in scores.items()]
    report(f"tried_{name}", ("idea", "K", "mIoU", "NMI"), rows, ("numba", "torch"))


if __name__ == "__main__":
    main()
