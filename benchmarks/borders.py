"""Do maps gain where weights follow the image, and where the concepts of a token compete?

The protocol of ``centred.py``, the first three seeds, three quarters of an image's own mean taken away (none of it with
resnet50v2): concepts of all images without labels, unions of 64 clusters, four views; labels become classes by majority
on the other patients. Beside mean IoU and NMI: F1 of the boundaries between classes within 8 um, and the share of
neighbouring px that differ in label.

    none            projection on unit-norm concepts, the default
    sparse S        with an L1 weight of S times the token's largest response (``factor.constrained``)
    smooth          weights averaged by a Gaussian of half a token
    image C, N      weights averaged over 7 x 7 tokens, N times, by nearness in place (sigma 2 tokens) and in the mean
                    colour of the tokens' px (sigma C, of 1): a joint bilateral filter (Petschnigg et al. 2004)
    both            sparse 0.75, then image 0.05, 4
    potts B         shares of weights under a Potts prior of strength B on the eight neighbours of a token, by ten steps
                    of mean field (Kraehenbuehl & Koltun 2011, neighbours alone): islands give way to their surround
    potts B, image  the same, a neighbour counting by the nearness of its colour (sigma 0.05)

    python benchmarks/borders.py ../shared DATASET ENCODER     writes results/borders_DATASET_ENCODER.csv
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from centred import Tokens, centred, is_positive, learned
from common import report
from PIL import Image
from scipy.ndimage import gaussian_filter

from histofactor.encoders.build import with_transform
from histofactor.evaluation.data.datasets import IGNORED
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.bootstrap import paired_difference
from histofactor.evaluation.scores.boundaries import boundary_counts, boundary_f1
from histofactor.evaluation.scores.protocol import class_maps
from histofactor.factor.nnls import solve_gram, unit_concepts
from histofactor.factor.problem import gram
from histofactor.masks.borders import followed
from masks import CENTRED, TOKENS, Grids, Scorer, encode_all, find_dataset, find_encoder

KS, SEEDS, WITHIN_UM = (16, 64), (0, 1, 2), 8.0
SPARSE = {"none": 0.0, "sparse 0.5": 0.5, "sparse 0.75": 0.75}
POTTS = {"potts 0.25": (0.25, None), "potts 0.5": (0.5, None), "potts 0.5, image": (0.5, 0.05)}
NEIGHBOURS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
IMAGE = {"image 0.1, 1": (0.1, 1), "image 0.05, 2": (0.05, 2), "image 0.05, 4": (0.05, 4), "image 0.07, 4": (0.07, 4)}


def colours_of(path: Path, grid: np.ndarray) -> np.ndarray:
    """Mean colour, of 1, of the px of every token."""
    image = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    return cv2.resize(image, grid.shape[1::-1], interpolation=cv2.INTER_AREA)


def weights_by_way(rows: np.ndarray, H: np.ndarray, grid: np.ndarray, colours: np.ndarray) -> dict[str, np.ndarray]:
    """Weights (h, w, K) of one image by way."""
    U = unit_concepts(H)[0]
    B = rows @ U.T
    most, found = np.maximum(B.max(1, keepdims=True), 0), {}
    for way, share in SPARSE.items():
        found[way] = solve_gram(B - np.float32(share) * most, gram(U)).reshape(*grid.shape[:2], -1)
    found["smooth"] = gaussian_filter(found["none"], (1, 1, 0), mode="nearest")
    for way, (sigma, times) in (*IMAGE.items(), ("both", IMAGE["image 0.05, 4"])):
        W = found["sparse 0.75" if way == "both" else "none"]
        found[way] = followed(W, colours, np.ones(W.shape[:2], bool), rounds=times, colour=sigma)
    for way, (strength, sigma) in POTTS.items():
        found[way] = agreed(found["none"], colours, strength, sigma)
    return found


def agreed(W: np.ndarray, colours: np.ndarray, strength: float, sigma: float | None, steps: int = 10) -> np.ndarray:
    """Weights (h, w, K) as shares q under a Potts prior: q ~ p exp(strength sum of neighbours' q), ten times."""
    p = W / np.maximum(W.sum(2, keepdims=True), 1e-12)
    inside, q = np.pad(np.ones(W.shape[:2], np.float32), 1), p
    near = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    h, w = W.shape[:2]
    shares = []
    for y, x in NEIGHBOURS:
        there = np.s_[1 + y : 1 + y + h, 1 + x : 1 + x + w]
        apart = 0 if sigma is None else ((near[there] - colours) ** 2).sum(2) / (2 * sigma**2)
        shares.append((there, inside[there] * np.exp(-apart)))
    for _ in range(steps):
        padded = np.pad(q, ((1, 1), (1, 1), (0, 0)))
        pull = sum(share[..., None] * padded[there] for there, share in shares)
        q = p * np.exp(strength * (pull - pull.max(2, keepdims=True)))
        q = q / np.maximum(q.sum(2, keepdims=True), 1e-12)
    return q


def unlike_neighbours(labels: np.ndarray) -> float:
    """The share of neighbouring px that differ in label."""
    return float(np.mean([(labels[1:] != labels[:-1]).mean(), (labels[:, 1:] != labels[:, :-1]).mean()]))


class Tally:
    """What one seed and K give of one way."""

    def __init__(self) -> None:
        self.tables: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def scores(self, scorer: Scorer) -> tuple[np.ndarray, float, float, float]:
        """Confusion matrices of the held-out images, NMI, boundary F1, and share of unlike neighbours."""
        tables, within = np.stack(self.tables), WITHIN_UM / scorer.dataset.mpp
        maps = class_maps(scorer.patients, tables)
        edges = [
            boundary_f1(boundary_counts(np.asarray(classes)[labels], truth, within, IGNORED))
            for classes, labels, truth in zip(maps, self.labels, scorer.truth, strict=True)
        ]
        unlike = float(np.mean([unlike_neighbours(labels) for labels in self.labels]))
        return scorer.matrices(tables), metrics.nmi(tables.sum(0)), float(np.nanmean(edges)), unlike


def tallied(scorer: Scorer, grids: Grids, tokens: Tokens, H: np.ndarray) -> dict[str, Tally]:
    """Labels and tables of every way."""
    found: dict[str, Tally] = defaultdict(Tally)
    items = zip(tokens.slices(), grids.features, grids.frames, scorer.dataset.items, scorer.truth, strict=True)
    for (a, b), grid, frame, item, truth in items:
        for way, W in weights_by_way(tokens.rows[a:b], H, grid, colours_of(item.image, grid)).items():
            labels = scorer.labels(W, frame, truth)
            found[way].labels.append(labels)
            found[way].tables.append(metrics.confusion(labels, truth, len(H) + 1, len(scorer.dataset.classes), IGNORED))
    return found


def main() -> None:
    """Score one data set under one encoder."""
    shared, name, encoder = Path(sys.argv[1]), sys.argv[2], find_encoder(Path(sys.argv[1]), sys.argv[3])
    scores: dict[tuple[str, int], list[tuple[np.ndarray, float, float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(find_dataset(shared, name, Path(folder)))
        grids = encode_all(scorer.dataset, with_transform(encoder, "root" if is_positive(encoder) else "split-root"), 4)
        roots = Tokens.of(grids.features)
        way = "roots 0.75" if encoder.spec.name in CENTRED else "none"
        tokens = centred(roots, roots, way, scorer.patients, is_positive(encoder))
        for seed in SEEDS:
            places = np.random.default_rng(seed).permutation(len(tokens.rows))[:TOKENS]
            concepts = learned(tokens.rows[places], seed)
            for k in KS:
                for way, tally in tallied(scorer, grids, tokens, concepts[k]).items():
                    scores[way, k].append(tally.scores(scorer))
    rows = []
    for (way, k), found in sorted(scores.items(), key=lambda one: one[0][1]):
        ours, theirs = (sum(one[0] for one in each) for each in (found, scores["none", k]))
        iou = float(np.mean([metrics.mean_iou(one[0].sum(0)) for one in found]))
        paired = paired_difference(ours, theirs, scorer.patients, metrics.mean_iou)
        rows.append((k, way, iou, *np.mean([one[1:] for one in found], 0).tolist(), *paired))
    header = ("K", "way", "mIoU", "NMI", "boundary F1", "unlike neighbours", "difference", "low", "high")
    report(f"borders_{name}_{encoder.spec.name}", header, rows, ("numba", "torch"))


if __name__ == "__main__":
    main()
