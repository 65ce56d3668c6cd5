"""The protocol: labels become classes by majority on training patients, and held-out patients are scored.

Every label takes the class that most of its pixels have among the training patients; label 0 (no tissue) counts as
one more label. One patient is held out at a time, or a fixed split once. A data-set score comes from the summed
confusion matrix of all held-out images. More concepts fit the classes better, so compare methods at equal K only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histofactor.base.contingency import ari
from histofactor.errors import ImageError
from histofactor.evaluation.data.datasets import IGNORED, Dataset, Item, read_truth
from histofactor.evaluation.scores import metrics, overlap
from histofactor.evaluation.scores.bootstrap import interval
from histofactor.evaluation.scores.cost import CostPoint, labelled_images
from histofactor.evaluation.scores.labels import Labels
from histofactor.evaluation.scores.origin_bias import Agreement, agreement
from histofactor.records import EncoderKey
from histofactor.records.shown import Shown

CROSS_VALIDATION = (
    "every label takes the class that most of its px have among the other patients; the held-out patient is then scored"
)

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


@dataclass(frozen=True, slots=True, repr=False)
class Scores(Shown):
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
        image_nmi: mean over images of each image's NMI.
        boundary_f1: of class boundaries within 8 µm; NaN where it was not measured.
        sources: agreement of labels with what ``images.csv`` tells of all images, by column.
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
    image_nmi: float = math.nan
    boundary_f1: float = math.nan
    sources: Mapping[str, Agreement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class Result(Shown):
    """Scores of one way to segment.

    Attributes:
        method, k: as given to ``segment``.
        encoder: the features.
        bank: ``bank_hash`` of the concepts.
        scores: how well it went.
        alone: whether labels mean something else in every image, so that none can have a class; then all scores but
            ``image_nmi`` are NaN.
        stability: share of px that keep their label, by disturbance; empty where it was not measured.
    """

    method: str
    k: int
    encoder: EncoderKey
    bank: str
    scores: Scores
    alone: bool = False
    stability: Mapping[str, float] = field(default_factory=dict)


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
    sources = agreement(dataset.items, tables.sum(axis=2))
    kept = np.arange(len(tables)) if scored is None else np.flatnonzero(scored)
    items, tables = [dataset.items[i] for i in kept], tables[kept]
    patients, total = [item.patient for item in items], tables.sum(axis=0)
    matrices = np.stack([metrics.apply_map(*pair) for pair in zip(tables, maps[kept], strict=True)])
    pooled, names = matrices.sum(axis=0), dataset.classes.values()
    images = tuple(
        ImageScores(
            item.stem,
            item.patient,
            metrics.mean_iou(matrix),
            metrics.accuracy(matrix),
            metrics.nmi(table),
            ari(table),
            tuple(map(tuple, matrix.tolist())),
        )
        for item, matrix, table in zip(items, matrices, tables, strict=True)
    )
    _, low, high = interval(matrices, patients, metrics.mean_iou)
    matching = overlap.matched(total, overlap.hungarian_map(total))
    return Scores(
        mean_iou=metrics.mean_iou(pooled),
        mean_iou_interval=(low, high),
        mean_dice=metrics.mean_dice(pooled),
        accuracy=metrics.accuracy(pooled),
        iou=dict(zip(names, metrics.iou_per_class(pooled).tolist(), strict=True)),
        dice=dict(zip(names, metrics.dice_per_class(pooled).tolist(), strict=True)),
        image_mean_iou=_mean([image.mean_iou for image in images]),
        nmi=metrics.nmi(total),
        ari=ari(total),
        v_measure=overlap.v_measure(total).v,
        achievable_accuracy=overlap.achievable_accuracy(total),
        undersegmentation=overlap.undersegmentation(total),
        matched_mean_iou=float(np.nanmean(metrics.iou_per_class(matching)[:-1])) if total.any() else math.nan,
        images=images,
        labelled_images=tuple(cost),
        image_nmi=_mean([image.nmi for image in images]),
        sources=sources,
    )


def score_alone(dataset: Dataset, tables: metrics.Table, scored: NDArray[np.bool_] | None = None) -> Scores:
    """Scores where labels mean something else in every image: their NMI with the classes of their own image.

    Arguments as for ``score_tables``; all other scores are NaN, and there are none of single classes.
    """
    kept = np.arange(len(tables)) if scored is None else np.flatnonzero(scored)
    blank = tuple((0,) * len(dataset.classes) for _ in dataset.classes)
    images = tuple(
        ImageScores(item.stem, item.patient, math.nan, math.nan, metrics.nmi(table), ari(table), blank)
        for item, table in ((dataset.items[i], tables[i]) for i in kept.tolist())
    )
    nan, of_classes = math.nan, dict.fromkeys(dataset.classes.values(), math.nan)
    return Scores(
        mean_iou=nan,
        mean_iou_interval=(nan, nan),
        mean_dice=nan,
        accuracy=nan,
        iou=of_classes,
        dice=of_classes,
        image_mean_iou=nan,
        nmi=nan,
        ari=nan,
        v_measure=nan,
        achievable_accuracy=nan,
        undersegmentation=nan,
        matched_mean_iou=nan,
        images=images,
        labelled_images=(),
        image_nmi=_mean([image.nmi for image in images]),
    )


def _mean(values: Sequence[float]) -> float:
    """Mean of those that exist."""
    existing = [value for value in values if not math.isnan(value)]
    return sum(existing) / len(existing) if existing else math.nan


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
