"""The protocol: labels become classes by majority on training patients, and held-out patients are scored.

Every label takes the class that most of its pixels have among the training patients; label 0 (no tissue) counts as
one more label. One patient is held out at a time, or a fixed split once. A data-set score comes from the summed
confusion matrix of all held-out images. More concepts fit the classes better, so compare methods at equal K only.
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
from histofactor.evaluation import metrics, overlap
from histofactor.evaluation.bootstrap import interval, paired_difference
from histofactor.evaluation.cost import CostPoint, labelled_images
from histofactor.evaluation.datasets import IGNORED, Dataset, Item, read_truth
from histofactor.export.files import atomic
from histofactor.records import EncoderKey

CROSS_VALIDATION = (
    "every label takes the class that most of its px have among the other patients; the held-out patient is then scored"
)
Labels = NDArray[np.integer[Any]]
Predict = Callable[[Path], Labels]


@dataclass(frozen=True, slots=True)
class ImageScores:
    """Scores of one held-out image, by the names of ``metrics``; NaN where there is nothing to score.

    ``matrix`` counts its px by predicted class (row) and true class.
    """

    stem: str
    patient: str
    mean_iou: float
    accuracy: float
    nmi: float
    ari: float
    matrix: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a data set; those from ``nmi`` to ``undersegmentation`` compare labels to classes before any mapping.

    Attributes:
        mean_iou, mean_dice, accuracy: of the summed confusion matrix.
        mean_iou_interval: low and high end of its 95 % interval over patients.
        iou, dice: the same by class name.
        image_mean_iou: mean over images of each image's mean IoU.
        nmi, ari, v_measure, achievable_accuracy, undersegmentation: of the summed contingency table.
        matched_mean_iou: one label for each class, chosen on all images, the px of other labels counted wrong.
        images: every image on its own.
        labelled_images: mean IoU where only 1, 2, 4, … images tell what the labels mean.
        boundary_f1: of class boundaries within 8 µm; NaN where it was not measured.
    """

    mean_iou: float
    mean_iou_interval: tuple[float, float]
    mean_dice: float
    accuracy: float
    iou: Mapping[str, float]
    dice: Mapping[str, float]
    image_mean_iou: float
    nmi: float
    ari: float
    v_measure: float
    achievable_accuracy: float
    undersegmentation: float
    matched_mean_iou: float
    images: tuple[ImageScores, ...]
    labelled_images: tuple[CostPoint, ...]
    boundary_f1: float = math.nan


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


def score_tables(dataset: Dataset, tables: metrics.Table, scored: NDArray[np.bool_] | None = None) -> Scores:
    """Scores of the held-out patients from counts.

    Args:
        dataset: at least two patients, or a fixed split.
        tables: (images, labels, classes) px of every image.
        scored: the fixed split, as ``split.divide`` gives it; None holds out one patient at a time.

    Raises:
        OptionError: fewer than two patients, and no fixed split.
    """
    everyone = [item.patient for item in dataset.items]
    maps, cost = class_maps(everyone, tables, scored), labelled_images(tables, everyone, scored)
    kept = np.arange(len(tables)) if scored is None else np.flatnonzero(scored)
    items, tables = [dataset.items[i] for i in kept], tables[kept]
    patients, total = [item.patient for item in items], tables.sum(axis=0)
    matrices = np.stack([metrics.apply_map(*one) for one in zip(tables, maps[kept], strict=True)])
    pooled, names = matrices.sum(axis=0), dataset.classes.values()
    images = tuple(
        ImageScores(
            item.stem,
            item.patient,
            metrics.mean_iou(matrix),
            metrics.accuracy(matrix),
            metrics.nmi(table),
            metrics.ari(table),
            tuple(map(tuple, matrix.tolist())),
        )
        for item, matrix, table in zip(items, matrices, tables, strict=True)
    )
    existing = [image.mean_iou for image in images if not math.isnan(image.mean_iou)]
    _, low, high = interval(matrices, patients, metrics.mean_iou)
    matching = overlap.matched(total, overlap.hungarian_map(total))
    return Scores(
        mean_iou=metrics.mean_iou(pooled),
        mean_iou_interval=(low, high),
        mean_dice=metrics.mean_dice(pooled),
        accuracy=metrics.accuracy(pooled),
        iou=dict(zip(names, metrics.iou_per_class(pooled).tolist(), strict=True)),
        dice=dict(zip(names, metrics.dice_per_class(pooled).tolist(), strict=True)),
        image_mean_iou=sum(existing) / len(existing) if existing else math.nan,
        nmi=metrics.nmi(total),
        ari=metrics.ari(total),
        v_measure=overlap.v_measure(total).v,
        achievable_accuracy=overlap.achievable_accuracy(total),
        undersegmentation=overlap.undersegmentation(total),
        matched_mean_iou=float(np.nanmean(metrics.iou_per_class(matching)[:-1])) if total.any() else math.nan,
        images=images,
        labelled_images=tuple(cost),
    )


def class_maps(
    patients: Sequence[str], tables: metrics.Table, scored: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """The class of every label for every held-out image, (images, labels): that of most px of the other patients.

    With a fixed split (``scored``, as for ``score_tables``) it is that of most px of the images that are not scored,
    which have class 0 throughout themselves.

    Raises:
        OptionError: fewer than two patients, and no fixed split.
    """
    maps = np.zeros(tables.shape[:2], np.int64)
    for held_out, rest in metrics.held_out_and_rest(patients, scored):
        maps[held_out] = metrics.majority_map(tables[rest].sum(axis=0))
    return maps


def write_evaluation(
    dataset: Dataset, results: Sequence[Result], out: str | Path, protocol: str = CROSS_VALIDATION
) -> None:
    """Write ``evaluation.json`` (everything) and ``evaluation.csv`` (one row per method and K).

    Args:
        dataset: what was segmented.
        results: at least one.
        out: the folder; made if missing.
        protocol: how they were scored, in words.

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
        "protocol": protocol,
        "results": [asdict(result) for result in results],
        "differences": differences(results),
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


def differences(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Mean IoU of every method less that of the first at the same K, the same patients drawn for both."""
    patients = [image.patient for image in results[0].scores.images]
    found = []
    for k in dict.fromkeys(result.k for result in results):
        first, *others = (result for result in results if result.k == k)
        for other in others:
            ours, theirs = (np.array([image.matrix for image in one.scores.images]) for one in (other, first))
            value, low, high = paired_difference(ours, theirs, patients, metrics.mean_iou)
            found.append({"k": k, "method": other.method, "against": first.method, "mean_iou": [value, low, high]})
    return found


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
    fixed = (
        *("mean_iou", "mean_dice", "accuracy", "image_mean_iou", "nmi", "ari", "v_measure"),
        *("achievable_accuracy", "undersegmentation", "matched_mean_iou", "boundary_f1"),
    )
    row = {"dataset": dataset.name, "method": result.method, "k": result.k, "encoder": result.encoder.name}
    values = {name: getattr(scores, name) for name in fixed}
    values |= dict(zip(("mean_iou_low", "mean_iou_high"), scores.mean_iou_interval, strict=True))
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
