"""Does it help to take away a share of what a slide's own mean differs from the mean of all?

The protocol of ``masks.py``: concepts of all images without labels, five seeds (single steps: the first two), unions of
64 clusters, projection on unit-norm concepts, four views; labels become classes by majority on the other patients.

    none            the default without centring
    roots S         t - S (m_i - m): t a split-root token, m_i the mean of its image, m the mean of the images' means;
                    what is then negative stays so, and concepts are clipped at 0 once they are learned
    roots S, zero   roots S, tokens clipped at 0 before k-means and projection
    roots S, patient  roots S with the mean of all fields of the patient, as if they were one slide
    raw S           the same of the network's own features, then split-root; with the patient's mean too
    spread S        roots S, every channel's spread brought half-way to the mean of the images' spreads

With ``area``, a fixed bank: concepts, m and the classes of labels come from the other patients, and the fields of the
held-out one are cut into crops, each of which tells its own mean, or are taken together as one slide. Tokens are
scored, each against the class at its centre; a concept has the class of most of its tokens among those clustered.

    none            a bank without centring
    unmoved         the bank with centring, nothing taken away from the tokens it is applied to
    crop, A / B     the mean of a crop of area A mm², shrunk by A / (A + B) where B is not 0
    windows, N      all fields of a patient, their mean told by N windows of about 0.08 mm² each, drawn at random

    python benchmarks/centred.py ../shared DATASET ENCODER [none WAY ...]   writes results/centred_DATASET_ENCODER.csv
    python benchmarks/centred.py ../shared glas-dev ENCODER area            writes results/centred_area_ENCODER.csv
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from common import report

from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.encoders.build import Encoder, with_transform
from histofactor.evaluation.data.datasets import IGNORED
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.bootstrap import paired_difference
from histofactor.factor.nnls import solve_gram, unit_concepts
from histofactor.factor.problem import gram
from masks import KS, SEEDS, TOKENS, Grids, Scorer, encode_all, find_dataset, find_encoder, nested, united

WAYS = {  # kind, share taken away, seeds
    "none": ("roots", 0.0, 5),
    "roots 0.25": ("roots", 0.25, 5),
    "roots 0.5": ("roots", 0.5, 5),
    "roots 0.75": ("roots", 0.75, 5),
    "roots 1": ("roots", 1.0, 2),
    "roots 0.5, zero": ("zero", 0.5, 2),
    "roots 0.5, patient": ("patient", 0.5, 5),
    "raw 0.5": ("raw", 0.5, 5),
    "raw 0.5, patient": ("raw patient", 0.5, 5),
    "spread 0.5": ("spread", 0.5, 2),
}
SHARE, AREA_KS, AREA_SEEDS, THINNED = 0.5, (16, 64), (0, 1), 5  # every fifth token of the held-out patient is scored
CROPS = ((8, 8), (4, 4), (2, 4), (2, 2), (1, 2), (1, 1))  # of a field: rows and columns of them
FIELDS, SHRUNK, WINDOWS = (2, 4), (0.01, 0.04), (1, 2, 4, 8)


@dataclass(frozen=True)
class Tokens:
    """Features (N, d) of all images one after the other, and the first row of each and of none."""

    rows: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, features: list[np.ndarray]) -> Tokens:
        """Those of maps (h, w, d)."""
        rows = [grid.reshape(-1, grid.shape[-1]) for grid in features]
        return cls(np.concatenate(rows).astype(np.float32), np.cumsum([0, *map(len, rows)]))

    def means(self, groups: list[str] | None = None) -> np.ndarray:
        """The mean of every image, or that of all images of its group."""
        found = np.stack([self.rows[a:b].mean(0) for a, b in self.slices()])
        for group in set(groups or ()):
            own = np.flatnonzero(np.array(groups) == group)
            found[own] = np.average(found[own], 0, np.diff(self.ends)[own])
        return found

    def slices(self) -> Iterator[tuple[int, int]]:
        """First and last row of every image."""
        return zip(self.ends[:-1], self.ends[1:], strict=True)

    def moved(self, offsets: np.ndarray, scale: np.ndarray | None = None) -> Tokens:
        """Less an offset by image, what is about the mean scaled by image and channel if so wanted."""
        found = np.empty_like(self.rows)
        for i, (a, b) in enumerate(self.slices()):
            mean = 0 if scale is None else self.rows[a:b].mean(0)
            found[a:b] = (self.rows[a:b] - mean) * (1 if scale is None else scale[i]) + mean - offsets[i]
        return replace(self, rows=found)

    def spreads(self) -> np.ndarray:
        """Standard deviation of every channel of every image."""
        return np.stack([self.rows[a:b].std(0) for a, b in self.slices()]) + 1e-3


def split_root(rows: np.ndarray, positive: bool) -> np.ndarray:
    """The root of every channel's share of its token, positive and negative parts apart."""
    parts = np.maximum(rows, 0) if positive else np.concatenate([np.maximum(rows, 0), np.maximum(-rows, 0)], 1)
    return np.sqrt(parts / np.maximum(parts.sum(1, keepdims=True), 1e-12)).astype(np.float32)


def centred(roots: Tokens, raw: Tokens, way: str, patients: list[str], positive: bool) -> Tokens:
    """The tokens of one way."""
    kind, share, _ = WAYS[way]
    tokens = raw if kind.startswith("raw") else roots
    gaps = tokens.means(patients if kind.endswith("patient") else None) - tokens.means().mean(0)
    scale = (tokens.spreads().mean(0) / tokens.spreads()) ** 0.5 if kind == "spread" else None
    found = tokens.moved(share * gaps, scale)
    if kind.startswith("raw"):
        return replace(found, rows=split_root(found.rows, positive))
    return replace(found, rows=np.maximum(found.rows, 0)) if kind == "zero" else found


def learned(rows: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """Concepts ≥ 0 of every K, unions of the clusters of the largest."""
    return united(*nested(rows, KMeansOptions(seed)))


def weigh(rows: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Projection on unit-norm concepts of rows of any sign."""
    U = unit_concepts(H)[0]
    return solve_gram(rows @ U.T, gram(U))


def counted(scorer: Scorer, grids: Grids, tokens: Tokens, H: np.ndarray) -> np.ndarray:
    """Px by label and class of every image."""
    W = weigh(tokens.rows, H)
    maps = (W[a:b].reshape(*grid.shape[:2], -1) for (a, b), grid in zip(tokens.slices(), grids.features, strict=True))
    return scorer.tables(grids, maps, len(H))


def encoded(scorer: Scorer, encoder: Encoder) -> tuple[Grids, Tokens, Tokens]:
    """Maps of split-root features, their tokens, and those of the network's own features."""
    ways = ("root", "relu") if (positive := is_positive(encoder)) else ("split-root", "split")
    roots, split = (encode_all(scorer.dataset, with_transform(encoder, way), 4) for way in ways)
    half = split.features[0].shape[-1] // 2
    raw = [grid if positive else grid[..., :half] - grid[..., half:] for grid in split.features]
    return roots, Tokens.of(roots.features), Tokens.of(raw)


def is_positive(encoder: Encoder) -> bool:
    """Whether no feature is negative, so that splitting adds nothing."""
    return encoder.spec.name == "resnet50v2"


def ablated(scorer: Scorer, encoder: Encoder, ways: list[str]) -> dict[tuple[str, int], list[np.ndarray]]:
    """Tables of every way and K, one a seed."""
    grids, roots, raw = encoded(scorer, encoder)
    tables: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    for way in ways:
        tokens = centred(roots, raw, way, scorer.patients, is_positive(encoder))
        for seed in SEEDS[: WAYS[way][-1]]:
            places = np.random.default_rng(seed).permutation(len(tokens.rows))[:TOKENS]
            for k, H in learned(tokens.rows[places], seed).items():
                tables[way, k].append(counted(scorer, grids, tokens, H))
    return tables


def mean_over_ks(matrices: np.ndarray) -> float:
    """Mean IoU of matrices (K, classes, classes), averaged over K."""
    return float(np.mean([metrics.mean_iou(one) for one in matrices]))


def rows_of(scorer: Scorer, tables: dict[tuple[str, int], list[np.ndarray]]) -> list[tuple]:
    """Every way and K, and all K together: scores, and the paired difference from none with the same seeds."""
    matrices = {key: np.stack([scorer.matrices(one) for one in found]) for key, found in tables.items()}
    rows = []
    for way in dict.fromkeys(way for way, _ in tables):
        for ks in (*((k,) for k in KS), KS):
            ours = np.stack([matrices[way, k] for k in ks], 2)  # seeds, images, K, classes, classes
            theirs = np.stack([matrices["none", k][: len(ours)] for k in ks], 2)
            scores = [mean_over_ks(one.sum(0)) for one in ours]
            nmi = float(np.mean([metrics.nmi(one.sum(0)) for k in ks for one in tables[way, k]]))
            paired = paired_difference(ours.sum(0), theirs.sum(0), scorer.patients, mean_over_ks)
            label = ks[0] if len(ks) == 1 else "mean"
            rows.append((way, label, len(ours), float(np.mean(scores)), min(scores), max(scores), nmi, *paired))
    return rows


class Fold:
    """A fixed bank of the other patients, and the class of each of its concepts."""

    def __init__(self, tokens: Tokens, truth: np.ndarray, held_out: np.ndarray, seed: int, share: float) -> None:
        slices, own = list(tokens.slices()), tokens.means()
        rest = np.setdiff1d(np.arange(len(slices)), held_out)
        self.mean, self.share = own[rest].mean(0), np.float32(share)
        rows = np.concatenate([tokens.rows[slice(*slices[i])] - self.share * (own[i] - self.mean) for i in rest])
        classes = np.concatenate([truth[slice(*slices[i])] for i in rest])
        places = np.random.default_rng(seed).permutation(len(rows))[:TOKENS]
        rows, classes = rows[places], classes[places]
        self.concepts = {k: H for k, H in learned(rows, seed).items() if k in AREA_KS}
        tables = {k: self._table(weigh(rows, H).argmax(1), classes, k) for k, H in self.concepts.items()}
        self.maps = {k: metrics.majority_map(table) for k, table in tables.items()}

    def score(self, rows: np.ndarray, offsets: np.ndarray, truth: np.ndarray) -> dict[int, np.ndarray]:
        """Confusion by K of rows less the share of their offsets."""
        moved = rows - self.share * offsets
        return {k: self._table(self.maps[k][weigh(moved, H).argmax(1)], truth, 2) for k, H in self.concepts.items()}

    @staticmethod
    def _table(labels: np.ndarray, truth: np.ndarray, n: int) -> np.ndarray:
        return metrics.confusion(labels, truth, n, 2, IGNORED)


def pieces(shapes: list[tuple[int, int]], parts: tuple[int, int]) -> np.ndarray:
    """The number of the crop that every token of maps of these shapes lies in."""
    found, first = [], 0
    for height, width in shapes:
        y, x = (np.arange(size) * part // size for size, part in zip((height, width), parts, strict=True))
        found.append((first + y[:, None] * parts[1] + x).ravel())
        first += parts[0] * parts[1]
    return np.concatenate(found)


def means_of(rows: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """The mean of every crop."""
    order = np.argsort(crops, kind="stable")
    starts = np.searchsorted(crops[order], np.arange(crops.max() + 1))
    return np.add.reduceat(rows[order], starts, dtype=np.float64) / np.bincount(crops)[:, None]


def offsets_by_way(tokens: Tokens, maps: list[np.ndarray], bank: Fold, mm2: float) -> Iterator[tuple[str, np.ndarray]]:
    """What each way takes away from the tokens of some maps, (N, d), before the share of it is taken."""
    shapes = [grid.shape[:2] for grid in maps]
    fields = pieces(shapes, (1, 1))
    crops = {f"{mm2 / (y * x):.4f} mm2": (mm2 / (y * x), pieces(shapes, (y, x))) for y, x in CROPS}
    crops |= {f"{n} fields": (n * mm2, fields // n) for n in FIELDS} | {"all fields": (np.inf, 0 * fields)}
    for name, (area, crop) in crops.items():
        gaps = (means_of(tokens.rows, crop) - bank.mean).astype(np.float32)[crop]
        yield f"crop, {name}", gaps
        for half in SHRUNK if area <= mm2 else ():
            yield f"crop, {name} / {half}", gaps * np.float32(area / (area + half))
    windows = means_of(tokens.rows, pieces(shapes, (1, 2)))
    for n in WINDOWS:
        told = windows[np.random.default_rng(n).permutation(len(windows))[:n]].mean(0)
        yield f"windows, {n}", np.broadcast_to((told - bank.mean).astype(np.float32), tokens.rows.shape)


def by_area(scorer: Scorer, encoder: Encoder) -> list[tuple]:
    """Scores of every way and K, and the difference from a bank without centring."""
    grids = encode_all(scorer.dataset, with_transform(encoder, "root" if is_positive(encoder) else "split-root"), 4)
    tokens, found = Tokens.of(grids.features), defaultdict(list)
    mm2 = float(np.median([one.size for one in scorer.truth])) * scorer.dataset.mpp**2 / 1e6
    truth = list(map(at_tokens, grids.features, scorer.truth))
    for held_out in metrics.grouped_folds(scorer.patients):
        maps, classes = [grids.features[i] for i in held_out], np.concatenate([truth[i] for i in held_out])[::THINNED]
        own, tables = Tokens.of(maps), defaultdict(list)
        for seed in AREA_SEEDS:
            plain, bank = (Fold(tokens, np.concatenate(truth), held_out, seed, share) for share in (0.0, SHARE))
            ways = ((way, bank, offsets[::THINNED]) for way, offsets in offsets_by_way(own, maps, bank, mm2))
            for way, one, offsets in chain([("none", plain, 0), ("unmoved", bank, 0)], ways):
                for k, matrix in one.score(own.rows[::THINNED], offsets, classes).items():
                    tables[way, k].append(matrix)
        for key, matrices in tables.items():
            found[key].append(np.sum(matrices, 0))
    pooled, patients = {key: np.stack(one) for key, one in found.items()}, range(len(found["none", AREA_KS[0]]))
    return [
        (way, k, metrics.mean_iou(one.sum(0)), *paired_difference(one, pooled["none", k], patients, metrics.mean_iou))
        for (way, k), one in pooled.items()
    ]


def at_tokens(grid: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The class at the centre of every token of a map."""
    y, x = ((np.arange(n) + 0.5) * size / n for n, size in zip(grid.shape[:2], truth.shape, strict=True))
    return truth[np.ix_(y.astype(int), x.astype(int))].ravel()


def main() -> None:
    """Score one data set under one encoder."""
    shared, name, encoder = Path(sys.argv[1]), sys.argv[2], find_encoder(Path(sys.argv[1]), sys.argv[3])
    ways = sys.argv[4:] or list(WAYS)
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(find_dataset(shared, name, Path(folder)))
        if ways == ["area"]:
            header = ("way", "K", "mIoU", "difference", "low", "high")
            report(f"centred_area_{encoder.spec.name}", header, by_area(scorer, encoder), ("numba", "torch"))
            return
        rows = rows_of(scorer, ablated(scorer, encoder, ways))
    header = ("way", "K", "seeds", "mIoU", "lowest seed", "highest seed", "NMI", "difference", "low", "high")
    report(f"centred_{name}_{encoder.spec.name}", header, rows, ("numba", "torch"))


if __name__ == "__main__":
    main()
