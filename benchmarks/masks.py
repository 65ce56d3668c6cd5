"""Are the default masks better than those of every variant of the paper, at the same encoder and the same K?

Concepts are clustered from the tokens of a data set, without labels, five seeds each; labels become classes by majority
on the other patients, and the held-out patient is scored (``histofactor.evaluation.scores.protocol``). Both sides get
the same encoder, the same µm/px, the same k-means, K and seeds (single steps: the first two seeds). The four variants
of the paper (arXiv 2409.05697):

    paper a     exact projection on the concepts as they are, argmax of W; ReLU, one view
    paper b     factorization of every image (20 components), each component handed to the nearest concept by cosine
    paper c     the nearest concept of every token
    paper a t   as a, the concepts clustered from means of 256 px tiles, as the paper's were
    (d, the factorization of one image alone, names nothing across images, so nothing can be learned of its labels.)

Ours, and what each of its steps does:

    default     projection on unit-norm concepts that are unions of the clusters of the largest K; split-root features;
                four turned and half-patch-moved views averaged
    centred     the same with three quarters of what an image's mean differs from the mean of all taken from its tokens
                (``concepts.centring``), as rows of encoders may say; resnet50v2 has none
    ours        the same, every K clustered on its own
    ours c      the same, nearest concept
    default c   nearest concept among those of the largest K, the union that it belongs to
    - views     one view           - root      ReLU features
    + smooth    responses smoothed with sigma = half a patch; for the default, weights

    python benchmarks/masks.py ../shared DATASET ENCODER     DATASET glas-dev | ocdc | phantom,
                                                     ENCODER nic_multitask4 | resnet50v2 | embedded
    writes results/masks_DATASET_ENCODER.csv
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from common import report
from embedded_on_glas import resnet, teacher
from PIL import Image
from scipy.ndimage import gaussian_filter

from histofactor.concepts.bank.hierarchy import nest
from histofactor.concepts.centring import offset_of
from histofactor.concepts.learn.kmeans import KMeansOptions, kmeans
from histofactor.encoders.build import Encoder, load_encoder, with_transform
from histofactor.encoders.registry import get
from histofactor.evaluation.data.datasets import IGNORED, Dataset, load_dataset, read_truth
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.bootstrap import paired_difference
from histofactor.evaluation.scores.protocol import class_maps
from histofactor.factor.nmf import factorize
from histofactor.factor.nnls import project
from histofactor.factor.problem import unit_concepts
from histofactor.masks.decode import label_pixels
from histofactor.records import Centring, SlideMean
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide

KS, SEEDS, TOKENS, TILE_PX = (8, 16, 32, 64), (0, 1, 2, 3, 4), 60_000, 256
ABLATED = 2  # seeds on which single steps are tried
MPP = {"nic_multitask4": 0.5, "resnet50v2": 1.0, "embedded": 1.0}  # an image that is coarser is worked at its own px
CENTRED = {"nic_multitask4": 0.75, "embedded": 0.75}
Weigh = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Grids:
    """Features (h, w, d) of every image under one way to encode, and the frames they lie in."""

    features: list[np.ndarray]
    frames: list[Frame]

    def sample(self, seed: int) -> np.ndarray:
        """Rows in random order."""
        rows = np.concatenate([grid.reshape(-1, grid.shape[-1]) for grid in self.features])
        return np.ascontiguousarray(rows[np.random.default_rng(seed).permutation(len(rows))[:TOKENS]])

    def tiles(self) -> np.ndarray:
        """Means of tiles, as the paper clustered; those at the edges are smaller."""
        found = []
        for grid, frame in zip(self.features, self.frames, strict=True):
            side = TILE_PX // frame.stride_px
            found += [
                grid[y : y + side, x : x + side].mean((0, 1))
                for y in range(0, grid.shape[0], side)
                for x in range(0, grid.shape[1], side)
            ]
        return np.stack(found)

    def centred(self, share: float, mm2: list[float]) -> Grids:
        """Maps less a share of what their means differ from the mean of all; ``mm2`` tells the area of each."""
        means = [SlideMean(grid.mean((0, 1)), area) for grid, area in zip(self.features, mm2, strict=True)]
        centring = Centring(share, np.mean([mean.value for mean in means], 0, dtype=np.float64).astype(np.float32))
        features = [grid - offset_of(centring, mean) for grid, mean in zip(self.features, means, strict=True)]
        return Grids(features, self.frames)

    def smoothed(self) -> Grids:
        """Every map smoothed by one cell."""
        return Grids([gaussian_filter(grid, (1, 1, 0), mode="nearest") for grid in self.features], self.frames)


def encode_all(dataset: Dataset, encoder: Encoder, views: int, mpp: float | None = None) -> Grids:
    """Every image encoded once, at the µm/px of the encoder if none is given."""
    options = SegmentOptions(tissue=False, views=views)
    segmenter = prepare(encoder=encoder, method="single", mpp=mpp or MPP[encoder.spec.name], options=options)
    features, frames = [], []
    for item in dataset.items:
        with open_slide(item.image, source_mpp=dataset.mpp) as slide:
            cache = cache_features(slide, segmenter.setup)
        features.append(np.concatenate([part.B for part in cache.parts]))
        frames.append(cache.plan.frame)
    return Grids(features, frames)


def on_rows(weigh: Weigh) -> Weigh:
    """The same for features (h, w, d)."""
    return lambda grid, H: weigh(grid.reshape(-1, grid.shape[-1]), H).reshape(*grid.shape[:2], -1)


@on_rows
def raw(X: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Projection on concepts of their own norms."""
    return project(X, H)


@on_rows
def unit(X: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Projection on unit-norm concepts."""
    return project(X, unit_concepts(H)[0])


@on_rows
def nearest(X: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Scores ≥ 0, the highest of which is the nearest concept's."""
    scores = X @ H.T - 0.5 * (H**2).sum(1)
    return scores - scores.min(1, keepdims=True)


def owned(scores: np.ndarray, owners: np.ndarray, k: int) -> np.ndarray:
    """Scores (…, leaves) as those of the unions that own the leaves, (…, k): the highest."""
    return np.stack([scores[..., owners == union].max(-1) for union in range(k)], -1)


class Scorer:
    """Counts labels by class, and scores them."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.truth = [read_truth(dataset, item) for item in dataset.items]
        self.patients = [item.patient for item in dataset.items]

    def tables(self, grids: Grids, weights: Iterator[np.ndarray], k: int) -> np.ndarray:
        """Px by label and class of every image, (images, k + 1, classes)."""
        return np.stack(
            [self._count(*one, k) for one in zip(weights, grids.frames, self.truth, strict=True)],
        )

    def _count(self, W: np.ndarray, frame: Frame, truth: np.ndarray, k: int) -> np.ndarray:
        labels = self.labels(W, frame, truth)
        return metrics.confusion(labels, truth, k + 1, len(self.dataset.classes), IGNORED)

    def labels(self, W: np.ndarray, frame: Frame, truth: np.ndarray) -> np.ndarray:
        """Labels on the px of an image."""
        return self.decoded(W, frame, truth)[0]

    def decoded(self, W: np.ndarray, frame: Frame, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and margin on the px of an image."""
        labels, margin = label_pixels(W.astype(np.float32), tuple(side * frame.stride_px for side in W.shape[:2]))
        y, x = (
            np.minimum((np.arange(size) + 0.5) / scale, limit - 1).astype(int)
            for size, scale, limit in zip(truth.shape, frame.l0_per_px[::-1], frame.t_size[::-1], strict=True)
        )
        return labels[np.ix_(y, x)], margin[np.ix_(y, x)]

    def matrices(self, tables: np.ndarray) -> np.ndarray:
        """Confusion matrices of the held-out images, (images, classes, classes)."""
        maps = class_maps(self.patients, tables)
        return np.stack([metrics.apply_map(*one) for one in zip(tables, maps, strict=True)])


def components_of(grids: Grids) -> list[tuple[np.ndarray, np.ndarray]]:
    """The factorization of every image on its own: W (h, w, 20) and H."""
    found = []
    for grid in grids.features:
        W, H = factorize(grid.reshape(-1, grid.shape[-1]), 20)
        found.append((W.reshape(*grid.shape[:2], -1), H))
    return found


def assigned(own: list[tuple[np.ndarray, np.ndarray]], concepts: np.ndarray) -> Iterator[np.ndarray]:
    """Weights of components added up for the concept that each is nearest to."""
    U = unit_concepts(concepts)[0]
    for W, H in own:
        nearest_to = (H @ U.T).argmax(1)
        yield np.stack([W[..., nearest_to == concept].sum(-1) for concept in range(len(U))], -1)


def nested(rows: np.ndarray, options: KMeansOptions) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """The clusters of the largest K, their sizes, and the union at every K that owns each."""
    leaves = kmeans(rows, max(KS), options)
    sizes = np.bincount((rows @ leaves.T - 0.5 * (leaves**2).sum(1)).argmax(1), minlength=len(leaves)).clip(1)
    return leaves, sizes, nest(leaves, sizes, KS)


def united(leaves: np.ndarray, sizes: np.ndarray, unions: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Means of the unions of every K; what is negative becomes 0."""
    leaves = np.maximum(leaves, 0)
    return {
        k: np.stack([np.average(leaves[own == i], 0, sizes[own == i]) for i in range(k)]).astype(np.float32)
        for k, own in unions.items()
    }


def tables_by_way(scorer: Scorer, encoder: Encoder, seeds: tuple[int, ...]) -> dict[tuple[str, int], list[np.ndarray]]:
    """Tables of every way and K, one a seed."""
    # the same distances and products as split-root where no feature is negative, in half the channels
    relu, root = (
        with_transform(encoder, name)
        for name in ("relu", "root" if encoder.spec.name == "resnet50v2" else "split-root")
    )
    data = scorer.dataset
    paper, views, one, turned = (encode_all(data, *way) for way in ((relu, 1), (root, 4), (root, 1), (relu, 4)))
    smooth, own = views.smoothed(), components_of(paper)
    mm2 = [truth.size * ((data.mpp or 1.0) / 1000) ** 2 for truth in scorer.truth]
    share = CENTRED.get(encoder.spec.name)
    apart = None if share is None else views.centred(share, mm2)
    tables: dict[tuple[str, int], list[np.ndarray]] = {}
    for seed in seeds:
        options = KMeansOptions(seed)
        paper_rows, view_rows, one_rows, turned_rows = (grids.sample(seed) for grids in (paper, views, one, turned))
        tiles = paper.tiles()[np.random.default_rng(seed).permutation(len(paper.tiles()))]
        leaves, sizes, unions = nested(view_rows, options)
        by_k = united(leaves, sizes, unions)
        of_centred = {} if apart is None else united(*nested(apart.sample(seed), options))
        for k in KS:
            H, V, S, T = (kmeans(rows, k, options) for rows in (paper_rows, view_rows, one_rows, turned_rows))

            def add(way: str, grids: Grids, weights: Iterator[np.ndarray], k: int = k) -> None:
                tables.setdefault((way, k), []).append(scorer.tables(grids, weights, k))

            add("paper a", paper, (raw(grid, H) for grid in paper.features))
            add("paper b", paper, assigned(own, H))
            add("paper c", paper, (nearest(grid, H) for grid in paper.features))
            if len(tiles) >= k:
                means = kmeans(tiles, k, options)
                add("paper a t", paper, (raw(grid, means) for grid in paper.features))
            add("ours", views, (unit(grid, V) for grid in views.features))
            add("ours c", views, (nearest(grid, V) for grid in views.features))
            owners, U = unions[k], by_k[k]
            add("default", views, (unit(grid, U) for grid in views.features))
            if apart is not None:
                add("centred", views, (unit(grid, of_centred[k]) for grid in apart.features))
            add("default c", views, (owned(nearest(grid, leaves), owners, k) for grid in views.features))
            if seed >= ABLATED:
                continue
            weights = (unit(grid, U) for grid in views.features)
            add("default + smooth", views, (gaussian_filter(W, (1, 1, 0), mode="nearest") for W in weights))
            add("ours c - views", one, (nearest(grid, S) for grid in one.features))
            add("ours c - root", turned, (nearest(grid, T) for grid in turned.features))
            add("ours c + smooth", smooth, (nearest(grid, V) for grid in smooth.features))
    return tables


def rows_of(scorer: Scorer, tables: dict[tuple[str, int], list[np.ndarray]]) -> list[tuple]:
    """Every way and K: scores, and the difference from the best of the paper's at this K."""
    matrices = {key: sum(scorer.matrices(one) for one in found) for key, found in tables.items()}
    scores = {
        key: float(np.mean([metrics.mean_iou(scorer.matrices(one).sum(0)) for one in found]))
        for key, found in tables.items()
    }
    rows = []
    for (way, k), found in tables.items():
        best = max((key for key in tables if key[1] == k and key[0].startswith("paper")), key=scores.__getitem__)
        theirs = sum(scorer.matrices(one) for one in tables[best][: len(found)])
        paired = paired_difference(matrices[way, k], theirs, scorer.patients, metrics.mean_iou)
        seeds = [metrics.mean_iou(scorer.matrices(one).sum(0)) for one in found]
        nmi = float(np.mean([metrics.nmi(one.sum(0)) for one in found]))
        rows.append((k, way, scores[way, k], min(seeds), max(seeds), nmi, best[0], *paired))
    return sorted(rows, key=lambda row: row[0])


def find_dataset(shared: Path, name: str, folder: Path) -> Dataset:
    """A data set in the layout that ``evaluate`` reads; ocdc and the phantom are laid out in ``folder``."""
    if name == "glas-dev":
        return load_dataset(shared / "data/glas-dev")
    (folder / "images").mkdir(), (folder / "labels").mkdir()
    if name == "ocdc":
        classes = {"0": "other", "1": "tumour"}
        for path in sorted((shared / "data/ocdc/images").iterdir()):
            shutil.copy(path, folder / "images")
            mask = np.asarray(Image.open(next((shared / "data/ocdc/masks").glob(f"{path.stem}*"))).convert("L"))
            Image.fromarray((mask > 127).astype(np.uint8)).save(folder / f"labels/{path.stem}.png")
    elif name == "phantom":
        for seed in range(8):
            tissue = phantom((1024, 1024), seed=seed)
            Image.fromarray(tissue.image).save(folder / f"images/{seed}.png")
            Image.fromarray(tissue.truth.astype(np.uint8)).save(folder / f"labels/{seed}.png")
        classes = {str(code): label for code, label in enumerate(tissue.classes)}
    else:
        raise SystemExit(f"unknown data set {name}")
    facts = {"name": name, "mpp": 0.5, "classes": classes, "ignore": None}
    (folder / "dataset.json").write_text(json.dumps(facts))
    return load_dataset(folder)


def find_encoder(shared: Path, name: str) -> Encoder:
    """An encoder of the folder, or the embedded one."""
    if name == "embedded":
        return load_encoder(name)
    if name == "nic_multitask4":
        return teacher(shared)
    row = replace(
        get("embedded"), name=name, patch_px=16, dim=1024, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    return resnet(shared, row)


def main() -> None:
    """Score one data set under one encoder."""
    shared, name, encoder = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    seeds = SEEDS if len(sys.argv) < 5 else SEEDS[: int(sys.argv[4])]
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(find_dataset(shared, name, Path(folder)))
        rows = rows_of(scorer, tables_by_way(scorer, find_encoder(shared, encoder), seeds))
    header = (
        "K",
        "way",
        "mIoU",
        "lowest seed",
        "highest seed",
        "NMI",
        "best of the paper",
        "difference",
        "low",
        "high",
    )
    report(f"masks_{name}_{encoder}", header, rows, ("numba", "torch"))


if __name__ == "__main__":
    main()
