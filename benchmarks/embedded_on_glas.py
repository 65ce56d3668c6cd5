"""How well the embedded encoder separates glands from stroma, beside the public teacher it was distilled from.

Cross-validation over the patients of ``glas-dev``, one held out at a time: concepts become classes by majority on the
training patients, and the held-out patient is scored. No concept ever sees a label. Three banks are compared:

    collection   k-means over the tokens of all fields, as a user does with ``concepts train`` on the slides at hand
    fold         k-means over the tokens of the training patients only
    shipped      the bank of the package, learned on oral and skin tissue

``unit`` projects on unit-norm concepts, as histofactor does; ``raw`` takes the argmax of the weights of the concepts as
they are, as the reference does; ``cluster`` takes the nearest concept.

    python benchmarks/embedded_on_glas.py ../shared            prints a table and writes results/embedded_on_glas.csv
"""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import load_file

from histofactor.concepts.bank.file import load_bank
from histofactor.concepts.learn.kmeans import KMeansOptions, kmeans
from histofactor.encoders.build import Encoder, load_encoder
from histofactor.encoders.registry import get
from histofactor.encoders.weights import embedded_path
from histofactor.evaluation.data.datasets import IGNORED, Dataset, load_dataset, read_truth
from histofactor.evaluation.scores import metrics
from histofactor.factor.nnls import project, unit_concepts
from histofactor.masks.decode import label_pixels
from histofactor.records import EncoderSpec
from histofactor.segmentation.given_bank import DEFAULT_BANK
from histofactor.segmentation.page import tissue_features
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.reader import open_slide

KS, SEEDS = (16, 64), (0, 1, 2)
TOKENS = 60_000  # clustered per fold


def public_encoder(shared: Path, row: EncoderSpec, architecture: str, weights: str, output: str) -> Encoder:
    """A public encoder: a network of the module beside the weights, taken at one of its outputs, under a row."""
    spec = importlib.util.spec_from_file_location("architectures", shared / "weights/architectures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = getattr(module, architecture)()
    network.load_state_dict(load_file(shared / f"weights/{weights}.safetensors"), strict=True)
    network.eval().requires_grad_(False)
    return Encoder(row, lambda pixels: network(pixels)[output], torch.device("cpu"))


def resnet(shared: Path, row: EncoderSpec) -> Encoder:
    """The public ImageNet ResNet-50 v2 to stage 3, under a row of 1024 channels and 16 px a token."""
    return public_encoder(shared, row, "ResNet50V2Trunk", "resnet50v2_imagenet_gluon_stage3", "s16")


def teacher(shared: Path) -> Encoder:
    """The public encoder ``nic_multitask4`` on the same windows: 16 px a token at 1 µm/px."""
    row = replace(
        get("embedded"),
        name="nic_multitask4",
        patch_px=16,
        dim=128,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    return public_encoder(shared, row, "NICEncoder", "nic_multitask4_pathology", "code")


class FeatureCache:
    """Features and truth of a data set under one encoder."""

    def __init__(self, dataset: Dataset, encoder: Encoder) -> None:
        segmenter = prepare(encoder=encoder, method="single", options=SegmentOptions(tissue=False, views=1))
        self.dataset, self.features, self.frames, self.truth = dataset, [], [], []
        for item in track(dataset.items, f"encoding with {encoder.spec.name}", console=Console(stderr=True)):
            with open_slide(item.image, source_mpp=dataset.mpp) as slide:
                self.features.append(tissue_features(slide, segmenter.setup))
                self.frames.append(make_frame(slide.info, encoder.spec.mpp, encoder.spec.patch_px))
            self.truth.append(read_truth(dataset, item))

    def folds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(training, held-out) indices, one patient held out at a time."""
        everything = np.arange(len(self.features))
        for held_out in metrics.grouped_folds([item.patient for item in self.dataset.items]):
            yield np.setdiff1d(everything, held_out), np.asarray(held_out)

    def tables(self, weigh: Callable[[np.ndarray], np.ndarray], k: int) -> np.ndarray:
        """Px by label and class of every image, (images, k + 1, classes)."""
        return np.stack([self._count(i, weigh(self.features[i]), k) for i in range(len(self.features))])

    def _count(self, i: int, W: np.ndarray, k: int) -> np.ndarray:
        frame, truth = self.frames[i], self.truth[i]
        (columns, rows), stride = frame.g_size, frame.stride_px
        labels, _ = label_pixels(W.reshape(rows, columns, k), (rows * stride, columns * stride))
        y, x = (
            np.minimum((np.arange(size) + 0.5) / scale, limit - 1).astype(int)
            for size, scale, limit in zip(truth.shape, frame.l0_per_px[::-1], frame.t_size[::-1], strict=True)
        )
        return metrics.confusion(labels[np.ix_(y, x)], truth, k + 1, len(self.dataset.classes), IGNORED)


def ways(H: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The ways to weigh concepts H: name to function from features to weights."""
    U, _ = unit_concepts(H)

    def nearest(X: np.ndarray) -> np.ndarray:
        scores = X @ H.T - 0.5 * (H**2).sum(1)
        return scores - scores.min(1, keepdims=True)

    return {"project unit": lambda X: project(X, U), "project raw": lambda X: project(X, H), "cluster": nearest}


def learn(data: FeatureCache, images: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Concepts (k, d): centroids of a sample of the tokens of some images."""
    tokens = np.concatenate([data.features[i] for i in images])
    rng = np.random.default_rng(seed)
    sample = tokens[rng.choice(len(tokens), min(TOKENS, len(tokens)), replace=False)]
    return kmeans(sample, k, KMeansOptions(seed))


def score_fold_banks(data: FeatureCache, k: int, seed: int) -> dict[str, float]:
    """Mean IoU by way, the concepts learned on the training patients of every fold."""
    pooled: dict[str, np.ndarray] = {}
    for training, held_out in data.folds():
        for way, weigh in ways(learn(data, training, k, seed)).items():
            tables = data.tables(weigh, k)
            classes = metrics.majority_map(tables[training].sum(0))
            pooled[way] = pooled.get(way, 0) + metrics.apply_map(tables[held_out].sum(0), classes)
    return {way: metrics.mean_iou(matrix) for way, matrix in pooled.items()}


def score_one_bank(data: FeatureCache, H: np.ndarray) -> dict[str, float]:
    """Mean IoU by way, the same concepts in every fold."""
    result = {}
    for way, weigh in ways(H).items():
        tables = data.tables(weigh, len(H))
        matrix = sum(
            metrics.apply_map(tables[held_out].sum(0), metrics.majority_map(tables[training].sum(0)))
            for training, held_out in data.folds()
        )
        result[way] = metrics.mean_iou(matrix)
    return result


def rows_of(encoder: str, bank: str, k: int, scores: list[dict[str, float]]) -> list[tuple]:
    """Rows of the table: mean and range over seeds, by way."""
    values = {way: [score[way] for score in scores] for way in scores[0]}
    return [(encoder, bank, k, way, float(np.mean(v)), min(v), max(v)) for way, v in values.items()]


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    dataset = load_dataset(shared / "data/glas-dev")
    rows = []
    for encoder in (load_encoder("embedded", transform="split-root"), teacher(shared)):
        data, name = FeatureCache(dataset, encoder), encoder.spec.name
        everything = np.arange(len(data.features))
        for k in KS:
            scores = [score_one_bank(data, learn(data, everything, k, seed)) for seed in SEEDS]
            rows += rows_of(name, "collection", k, scores)
            if name == "embedded":
                rows += rows_of(
                    name, "shipped", k, [score_one_bank(data, load_bank(embedded_path(DEFAULT_BANK), k).vectors)]
                )
        rows += rows_of(name, "fold", KS[-1], [score_fold_banks(data, KS[-1], SEEDS[0])])
    header = ("encoder", "bank", "K", "way", "mIoU", "lowest seed", "highest seed")
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row))
    Console(width=120).print(table)
    out = Path(__file__).parent / "results/embedded_on_glas.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[f"{v:.4f}" if isinstance(v, float) else v for v in row] for row in rows])


if __name__ == "__main__":
    main()
