"""Our variants of the paper beside the reference package itself (``segf``, import ``fseg``).

Every fourth field of ``glas-dev``, cut to whole tokens, ``nic_multitask4`` after ReLU, one pass over each field,
concepts clustered from all of them (one seed). The package gets the encoder, the normalised px and the concepts; ours
gets the same by ``segment`` with one view. Side by side at every K: mean IoU under the protocol of ``masks.py``, the
share of px with the same label, and the time of a field, encoded and solved (median of the ratios).

    a    projection on concepts as they are      predict_project_concepts / method raw
    b    factorization, components handed on     predict_clustering / as in masks.py
    c    nearest concept                         predict_clustering_without_factorization / method cluster
    d    factorization of one field, 8 parts     predict_on_single_image / method single; the adjusted Rand index of the
         two maps stands for the share of equal labels, since their names mean nothing

    make benchmark-reference        puts the package beside the environment, and runs this
    python benchmarks/reference.py ../shared        writes results/reference.csv
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import report
from fseg.fseg import ConceptClustering, FSeg
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.learn.kmeans import KMeansOptions, kmeans
from histofactor.encoders.build import Encoder, with_transform
from histofactor.evaluation.data.datasets import IGNORED, load_dataset
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.labels import level0_labels
from histofactor.factor.nmf import factorize
from histofactor.masks.decode import label_pixels
from histofactor.records import ConceptBank
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.reader import open_slide
from masks import Scorer, assigned, encode_all, find_encoder

KS, ALONE, COMPONENTS = (8, 16, 32, 64), 8, 20
MPP_PX, PATCH_PX = 0.62, 16  # of the fields, at which both work; of a token
Label = Callable[[np.ndarray], np.ndarray]


class Positive(torch.nn.Module):
    """An encoder and a ReLU, whose output the package takes."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.dense, self.relu = encoder.dense, torch.nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, d, h, w) >= 0."""
        return self.relu(self.dense(x))


def theirs_by_variant(encoder: Encoder, concepts: np.ndarray) -> dict[str, Label]:
    """The package's labels, from 1, by variant."""
    model, spec = Positive(encoder), encoder.spec
    fseg = FSeg(model, model.relu)
    mean, std = (np.asarray(values, np.float32) for values in (spec.mean, spec.std))

    def tensor(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((image / np.float32(255) - mean) / std).transpose(2, 0, 1)[None])

    nearest = ConceptClustering(concepts)
    return {
        "a": lambda image: fseg.predict_project_concepts(tensor(image), concepts.copy()) + 1,
        "b": lambda image: fseg.predict_clustering(tensor(image), nearest, COMPONENTS) + 1,
        "c": lambda image: fseg.predict_clustering_without_factorization(tensor(image), nearest) + 1,
        "d": lambda image: fseg.predict_on_single_image(tensor(image), ALONE)[0] + 1,
    }


def ours_by_variant(encoder: Encoder, bank: ConceptBank) -> dict[str, Label]:
    """Our labels by variant."""
    options = SegmentOptions(tissue=False, views=1)
    alone = prepare(encoder=encoder, method="single", mpp=MPP_PX, options=options)

    def by(method: str, **more: Any) -> Label:
        return lambda image: level0_labels(
            segment(image, encoder=encoder, method=method, mpp=MPP_PX, source_mpp=MPP_PX, options=options, **more)
        )

    def handed_on(image: np.ndarray) -> np.ndarray:
        with open_slide(image, source_mpp=MPP_PX) as slide:
            grid = np.concatenate([part.B for part in cache_features(slide, alone.setup).parts])
        W, H = factorize(grid.reshape(-1, grid.shape[-1]), COMPONENTS)
        (weights,) = assigned([(W.reshape(*grid.shape[:2], -1), H)], bank.vectors)
        return label_pixels(weights.astype(np.float32), image.shape[:2])[0]

    return {
        "a": by("raw", concepts=bank),
        "b": handed_on,
        "c": by("cluster", concepts=bank),
        "d": by("single", k=ALONE),
    }


def agreement(variant: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Share of px with the same label, or the mean adjusted Rand index where labels mean nothing."""
    pairs = zip(ours, theirs, strict=True)
    if variant == "d":
        return float(np.mean([adjusted_rand_score(one.ravel(), other.ravel()) for one, other in pairs]))
    return float(np.mean([(one == other).mean() for one, other in pairs]))


def timed(label: Label, images: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Labels of all images, and seconds each."""
    found, seconds = [], []
    for image in images:
        start = time.perf_counter()
        found.append(label(image))
        seconds.append(time.perf_counter() - start)
    return found, np.array(seconds)


def main() -> None:
    """Run both on every field, variant and K."""
    warnings.filterwarnings("ignore", module="sklearn")
    shared = Path(sys.argv[1])
    dataset = load_dataset(shared / "data/glas-dev")
    scorer = Scorer(replace(dataset, items=dataset.items[::4]))
    encoder = with_transform(find_encoder(shared, "nic_multitask4"), "relu")
    sample = encode_all(scorer.dataset, encoder, 1).sample(0)
    fields = [np.asarray(Image.open(item.image).convert("RGB")) for item in scorer.dataset.items]
    sides = [[side // PATCH_PX * PATCH_PX for side in field.shape[:2]] for field in fields]
    images = [np.ascontiguousarray(field[:h, :w]) for field, (h, w) in zip(fields, sides, strict=True)]
    truth = [one[:h, :w] for one, (h, w) in zip(scorer.truth, sides, strict=True)]
    rows = []
    for k in KS:
        H = kmeans(sample, k, KMeansOptions(0))
        ours = ours_by_variant(encoder, new_bank(H, encoder.spec.key))
        theirs = theirs_by_variant(encoder, H)
        for variant in ours if k == KS[0] else ("a", "b"):
            timed(ours[variant], images[:1])  # compiles
            mine, seconds = timed(ours[variant], images)
            try:
                other, longer = timed(theirs[variant], images)
            except ValueError as error:
                rows.append((variant, k, "", f"does not run: {error}", "", ""))
                continue
            scores = [
                metrics.mean_iou(
                    scorer.matrices(
                        np.stack(
                            [metrics.confusion(*pair, k + 1, 2, IGNORED) for pair in zip(labels, truth, strict=True)]
                        )
                    ).sum(0)
                )
                if variant != "d"
                else ""
                for labels in (mine, other)
            ]
            rows.append((variant, k, *scores, agreement(variant, mine, other), float(np.median(longer / seconds))))
    header = ("variant", "K", "our mIoU", "the package's", "agreement", "the package's time / ours")
    report("reference", header, rows, ("segf", "scikit-learn", "torch"))


if __name__ == "__main__":
    main()
