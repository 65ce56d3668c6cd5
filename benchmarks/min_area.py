"""Do labels gain or lose when small pieces are merged into what surrounds them (``--min-area``)?

Concepts (K = 16) are learned from the images of a data set, without labels; every image is segmented with them once,
and its label map is merged at several limits. Labels become classes by majority on the other patients, and the
held-out patient is scored (``histofactor.evaluation.scores.protocol``).

    python benchmarks/min_area.py ../shared        writes results/min_area.csv
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import report
from scipy import ndimage

from histofactor.evaluation.data.datasets import IGNORED, load_dataset, read_truth
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.protocol import class_maps
from histofactor.masks.small import merge_small
from histofactor.records import Segmentation
from histofactor.runs.features import write_many_features
from histofactor.runs.learn_concepts import LearnOptions, learn_concepts
from histofactor.runs.request import ManyOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.feature_file import encoder_of
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions

K, LIMITS_UM2, SMALL_PX = 16, (0, 500, 2000, 5000), 64
OPTIONS = SegmentOptions(tissue=False)


def areas(labels: np.ndarray) -> np.ndarray:
    """Px of every piece."""
    found = [np.bincount(ndimage.label(labels == value)[0].ravel())[1:] for value in np.unique(labels)]
    return np.concatenate(found)


def segmented(images: list[Path], mpp: float, folder: Path) -> list[Segmentation]:
    """Every image, encoded once, segmented with concepts of all."""
    many = ManyOptions(opening=Opening(source_mpp=mpp), segment=OPTIONS)
    outcomes = write_many_features(images, folder, encoder="embedded", options=many, dtype="float32")
    paths = [folder / one.folder for one in outcomes]
    encoder = encoder_of(paths[0])
    (bank,) = learn_concepts(paths, [K], encoder=encoder, options=LearnOptions(encoder=OPTIONS)).banks
    return [segment(path, encoder=encoder, concepts=bank, options=OPTIONS) for path in paths]


def main(shared: Path) -> None:
    dataset = load_dataset(shared / "data/glas-dev")
    with tempfile.TemporaryDirectory() as folder:
        made = segmented([item.image for item in dataset.items], dataset.mpp, Path(folder))
    truth = [read_truth(dataset, item) for item in dataset.items]
    patients, rows = [item.patient for item in dataset.items], []
    for limit in LIMITS_UM2:
        tables, sizes, seconds = [], [], 0.0
        for one, wanted in zip(made, truth, strict=True):
            before = time.perf_counter()
            labels = merge_small(one.label_map.labels, limit / one.label_map.mpp**2)
            seconds += time.perf_counter() - before
            sizes.append(areas(labels))
            y, x = (
                ((np.arange(size) + 0.5) * full / size).astype(int)
                for size, full in zip(wanted.shape, labels.shape, strict=True)
            )
            tables.append(metrics.confusion(labels[np.ix_(y, x)], wanted, K + 1, len(dataset.classes), IGNORED))
        counted = np.stack(tables)
        maps = class_maps(patients, counted)
        matrix = sum(metrics.apply_map(*one) for one in zip(counted, maps, strict=True))
        pieces = np.concatenate(sizes)
        pixels = sum(one.label_map.labels.size for one in made)
        below, speed = float((pieces < SMALL_PX).mean()), pixels / seconds / 1e6
        rows.append((limit, metrics.mean_iou(matrix), metrics.accuracy(matrix), len(pieces), below, speed))
    header = ("min_area_um2", "mean_iou", "accuracy", "pieces", f"share_below_{SMALL_PX}_px", "megapixels_a_second")
    report("min_area", header, rows, ("numpy", "scikit-image"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
