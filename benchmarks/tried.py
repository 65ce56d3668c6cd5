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
    best of six         roots, of six runs of k-means the one of least inertia
    leaves              roots, unions of 256 clusters, the nearest cluster decides
    context             roots, 256 clusters merged by what lies around them (Ward on their neighbours' shares)
    superpixels         roots, the majority within superpixels (SLIC, 12 um)

    python benchmarks/tried.py ../shared ENCODER     writes results/tried_ENCODER.csv
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import report
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic

from histofactor.concepts.hierarchy import nest
from histofactor.concepts.kmeans import KMeansOptions, kmeans
from histofactor.encoders.build import with_transform
from histofactor.evaluation import metrics
from histofactor.evaluation.datasets import load_dataset
from masks import Grids, Scorer, encode_all, find_encoder, nearest

KS, SEEDS, LEAVES = (8, 16, 32, 64), (0, 1, 2), 256
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


def main() -> None:
    """Score every idea."""
    shared, name = Path(sys.argv[1]), sys.argv[2]
    encoder = find_encoder(shared, name)
    scorer = Scorer(load_dataset(shared / "data/glas-dev"))
    split = encode_all(scorer.dataset, with_transform(encoder, "split"), 4)
    half = split.features[0].shape[-1] // 2
    raw = changed(split, lambda grid: grid[..., :half] - grid[..., half:])
    roots = encode_all(scorer.dataset, with_transform(encoder, "split-root"), 4)
    pieces = [
        slic(np.asarray(Image.open(item.image).convert("RGB")), n_segments=truth.size * 0.62**2 // 144, sigma=1)
        for item, truth in zip(scorer.dataset.items, scorer.truth, strict=True)
    ]
    scores: dict[tuple[str, int], list[tuple[float, float]]] = {}

    def add(idea: str, k: int, tables: np.ndarray) -> None:
        scored = metrics.mean_iou(scorer.matrices(tables).sum(0)), metrics.nmi(tables.sum(0))
        scores.setdefault((idea, k), []).append(scored)

    for idea, grids in features(roots, raw).items():
        for seed in SEEDS:
            rows = grids.sample(seed)
            for k in KS:
                H = kmeans(rows, k, KMeansOptions(seed))
                add(idea, k, scorer.tables(grids, (nearest(grid, H) for grid in grids.features), k))
                if idea == "roots":
                    voted = [
                        _voted(scorer.labels(nearest(grid, H), *one), piece)
                        for grid, piece, *one in zip(grids.features, pieces, grids.frames, scorer.truth, strict=True)
                    ]
                    add("superpixels", k, np.stack([
                        metrics.confusion(labels, truth, k + 1, 2, -1)
                        for labels, truth in zip(voted, scorer.truth, strict=True)
                    ]))  # fmt: skip
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


def _voted(labels: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """The majority within every piece."""
    counts = np.zeros((pieces.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (pieces.ravel(), labels.ravel()), 1)
    return counts.argmax(1)[pieces]


if __name__ == "__main__":
    main()
