"""The protocol: labels become classes by majority on training patients, and held-out patients are scored.

Every label takes the class that most of its pixels have among the training patients; label 0 (no tissue) counts as
one more label. One patient is held out at a time. A data-set score comes from the summed confusion matrix of all
held-out images. More concepts fit the classes better, so compare methods at equal K only.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor import __version__
from histofactor.errors import ImageError
from histofactor.evaluation import metrics
from histofactor.evaluation.datasets import IGNORED, Dataset, Item, read_truth
from histofactor.export.files import atomic
from histofactor.records import EncoderKey

Labels = NDArray[np.integer[Any]]
Predict = Callable[[Path], Labels]


@dataclass(frozen=True, slots=True)
class ImageScores:
    """Scores of one held-out image, by the names of ``metrics``; NaN where there is nothing to score."""

    stem: str
    patient: str
    mean_iou: float
    accuracy: float
    nmi: float
    ari: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a data set; ``nmi`` and ``ari`` compare labels to classes before any mapping.

    Attributes:
        mean_iou, mean_dice, accuracy: of the summed confusion matrix.
        iou, dice: the same by class name.
        image_mean_iou: mean over images of each image's mean IoU.
        nmi, ari: of the summed contingency table.
        images: every image on its own.
    """

    mean_iou: float
    mean_dice: float
    accuracy: float
    iou: Mapping[str, float]
    dice: Mapping[str, float]
    image_mean_iou: float
    nmi: float
    ari: float
    images: tuple[ImageScores, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Scores of one way to segment.

    Attributes:
        method, k: as given to ``segment``.
        encoder: the features.
        bank: ``bank_hash`` of the concepts.
        scores: how well it went.
    """

    method: str
    k: int
    encoder: EncoderKey
    bank: str
    scores: Scores


def cross_validate(dataset: Dataset, predict: Predict, n_labels: int) -> Scores:
    """Segment every image once and score the held-out patients.

    Args:
        dataset: at least two patients.
        predict: path of an image to labels (height, width), 0 … n_labels - 1, on the px of the image.
        n_labels: number of labels, "unassigned" included.

    Returns:
        The scores.

    Raises:
        OptionError: fewer than two patients, or a label out of range.
        ImageError: an image or its labels cannot be read, or they differ in size.
    """
    metrics.grouped_folds([item.patient for item in dataset.items])
    tables = [count(dataset, item, read_truth(dataset, item), predict(item.image), n_labels) for item in dataset.items]
    return score_tables(dataset, np.stack(tables))


def score_tables(dataset: Dataset, tables: metrics.Table) -> Scores:
    """Scores of the held-out patients from counts.

    Args:
        dataset: at least two patients.
        tables: (images, labels, classes) px of every image.

    Raises:
        OptionError: fewer than two patients.
    """
    folds = metrics.grouped_folds([item.patient for item in dataset.items])
    total = tables.sum(axis=0)
    matrices = np.zeros((len(tables), len(dataset.classes), len(dataset.classes)), np.int64)
    for held_out in folds:
        classes = metrics.majority_map(total - tables[held_out].sum(axis=0))
        for i in held_out:
            matrices[i] = metrics.apply_map(tables[i], classes)
    pooled, names = matrices.sum(axis=0), dataset.classes.values()
    images = tuple(
        ImageScores(
            item.stem,
            item.patient,
            metrics.mean_iou(matrix),
            metrics.accuracy(matrix),
            metrics.nmi(table),
            metrics.ari(table),
        )
        for item, matrix, table in zip(dataset.items, matrices, tables, strict=True)
    )
    scored = [image.mean_iou for image in images if not math.isnan(image.mean_iou)]
    return Scores(
        mean_iou=metrics.mean_iou(pooled),
        mean_dice=metrics.mean_dice(pooled),
        accuracy=metrics.accuracy(pooled),
        iou=dict(zip(names, metrics.iou_per_class(pooled).tolist(), strict=True)),
        dice=dict(zip(names, metrics.dice_per_class(pooled).tolist(), strict=True)),
        image_mean_iou=sum(scored) / len(scored) if scored else math.nan,
        nmi=metrics.nmi(total),
        ari=metrics.ari(total),
        images=images,
    )


def write_evaluation(dataset: Dataset, results: Sequence[Result], out: str | Path) -> None:
    """Write ``evaluation.json`` (everything) and ``evaluation.csv`` (one row per method and K).

    Args:
        dataset: what was segmented.
        results: at least one.
        out: the folder; made if missing.

    Raises:
        OutputError: the files cannot be written.
    """
    report = {
        "histofactor": __version__,
        "dataset": {
            "name": dataset.name,
            "mpp": dataset.mpp,
            "classes": {str(code): name for code, name in dataset.classes.items()},
            "images": len(dataset.items),
            "patients": len({item.patient for item in dataset.items}),
        },
        "protocol": "majority class of every label on the other patients; one patient held out at a time",
        "results": [asdict(result) for result in results],
    }
    with atomic(Path(out) / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(_null_nan(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    rows = [_row(dataset, result) for result in results]
    with (
        atomic(Path(out) / "evaluation.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def count(dataset: Dataset, item: Item, truth: Labels, labels: Labels, n_labels: int) -> metrics.Table:
    """Px of one image by label and class, (n_labels, classes).

    Raises:
        ImageError: labels and truth differ in size.
        OptionError: a label is out of range.
    """
    if labels.shape != truth.shape:
        sizes = [f"{values.shape[1]} × {values.shape[0]} px" for values in (labels, truth)]
        raise ImageError(f"{item.labels} does not lie on its image", expected=sizes[0], got=sizes[1])
    return metrics.confusion(labels, truth, n_labels, len(dataset.classes), IGNORED)


def _row(dataset: Dataset, result: Result) -> dict[str, Any]:
    scores = result.scores
    fixed = ("mean_iou", "mean_dice", "accuracy", "image_mean_iou", "nmi", "ari")
    row = {"dataset": dataset.name, "method": result.method, "k": result.k, "encoder": result.encoder.name}
    values = {name: getattr(scores, name) for name in fixed}
    values |= {f"iou {name}": value for name, value in scores.iou.items()}
    values |= {f"dice {name}": value for name, value in scores.dice.items()}
    return row | {name: "" if math.isnan(value) else f"{value:.6f}" for name, value in values.items()}


def _null_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _null_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_null_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
