"""Scores of an unsupervised segmentation, all from one contingency table.

A table counts pixels: row = label (cluster) of the segmentation, column = class of the truth. Tables of many
images add up, so every score here exists for one image and for a whole data set.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.contingency import table_of
from histofactor.errors import OptionError

Table = NDArray[np.int64]
Scores = NDArray[np.float64]


def confusion(
    labels: NDArray[np.integer[Any]],
    truth: NDArray[np.integer[Any]],
    n_labels: int,
    n_classes: int,
    ignore: int | None = None,
) -> Table:
    """Count pixels by label and class.

    Args:
        labels: (height, width) integers, 0 … n_labels - 1.
        truth: (height, width) integers, 0 … n_classes - 1 or ``ignore``.
        n_labels: number of labels, the one for "unassigned" included.
        n_classes: number of classes.
        ignore: value of truth that is not counted.

    Returns:
        (n_labels, n_classes) pixel counts.

    Raises:
        OptionError: shapes differ, or a value is out of range.
    """
    if labels.shape != truth.shape:
        raise OptionError(
            "labels and truth do not lie on each other", expected=f"shape {truth.shape}", got=f"{labels.shape}"
        )
    counted = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    rows, columns = labels[counted].astype(np.int64), truth[counted].astype(np.int64)
    for name, values, n in (("labels", rows, n_labels), ("classes", columns, n_classes)):
        if values.size and not (values.min() >= 0 and values.max() < n):
            span = f"{values.min()} … {values.max()}"
            raise OptionError(f"{name} are out of range", expected=f"0 … {n - 1}", got=span)
    return table_of(rows, columns, (n_labels, n_classes))


def majority_map(table: Table) -> NDArray[np.int64]:
    """Give every label the class that most of its pixels have.

    Args:
        table: (n_labels, n_classes) pixel counts.

    Returns:
        (n_labels,) classes. Ties go to the lower class; labels without pixels get the most frequent class.
    """
    classes: NDArray[np.int64] = table.argmax(axis=1)
    classes[table.sum(axis=1) == 0] = table.sum(axis=0).argmax()
    return classes


def apply_map(table: Table, classes: NDArray[np.int64]) -> Table:
    """Merge the labels of one class: the confusion matrix of prediction and truth.

    Args:
        table: (n_labels, n_classes) pixel counts.
        classes: (n_labels,) class of every label.

    Returns:
        (n_classes, n_classes) pixel counts, row = predicted class, column = true class.
    """
    merged = np.zeros((table.shape[1],) * 2, np.int64)
    np.add.at(merged, classes, table)
    return merged


def iou_per_class(matrix: Table) -> Scores:
    """Intersection over union (Jaccard) of every class.

    Args:
        matrix: (n_classes, n_classes) pixel counts, row = predicted, column = true.

    Returns:
        (n_classes,) in [0, 1]; NaN where a class is in neither prediction nor truth.
    """
    overlap = np.diag(matrix)
    return _ratio(overlap, matrix.sum(axis=0) + matrix.sum(axis=1) - overlap)


def dice_per_class(matrix: Table) -> Scores:
    """Dice (F1) of every class; arguments and result as ``iou_per_class``."""
    return _ratio(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def mean_iou(matrix: Table) -> float:
    """Mean IoU over the classes that are in prediction or truth; NaN if there are none.

    Args:
        matrix: (n_classes, n_classes) pixel counts, row = predicted, column = true.

    Returns:
        The mean, in [0, 1].
    """
    return _mean(iou_per_class(matrix))


def mean_dice(matrix: Table) -> float:
    """Mean Dice over the classes that are in prediction or truth; arguments and result as ``mean_iou``."""
    return _mean(dice_per_class(matrix))


def accuracy(matrix: Table) -> float:
    """Share of pixels whose class is right; NaN without pixels.

    Args:
        matrix: (n_classes, n_classes) pixel counts, row = predicted, column = true.

    Returns:
        The share, in [0, 1].
    """
    return float(np.trace(matrix) / matrix.sum()) if matrix.any() else float("nan")


def nmi(table: Table) -> float:
    """Normalised mutual information of labels and classes (arithmetic mean; Vinh et al., JMLR 2010).

    Args:
        table: (n_labels, n_classes) pixel counts.

    Returns:
        The score, in [0, 1]; 1 where both have one value only, NaN without pixels.
    """
    if not table.any():
        return float("nan")
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    entropies = _entropy(rows) + _entropy(columns)
    if entropies == 0:
        return 1.0
    return float(np.clip(2 * (entropies - _entropy(joint)) / entropies, 0, 1))


def grouped_folds(groups: Sequence[Hashable], n_folds: int | None = None) -> list[list[int]]:
    """Split items into folds that keep groups (patients) whole.

    Args:
        groups: group of every item.
        n_folds: number of folds, at most the number of groups; None leaves one group out at a time.

    Returns:
        The items held out in every fold, ascending. Every item is held out once. Deterministic: the largest
        groups are dealt first, each to the fold with the fewest items.

    Raises:
        OptionError: fewer than two groups, or ``n_folds`` is out of range.
    """
    members: dict[Hashable, list[int]] = {}
    for item, group in enumerate(groups):
        members.setdefault(group, []).append(item)
    if len(members) < 2:
        raise OptionError("cross-validation needs at least two groups (patients)", got=f"{len(members)}")
    if n_folds is None:
        return list(members.values())
    if not 2 <= n_folds <= len(members):
        raise OptionError("the number of folds is out of range", expected=f"2 … {len(members)}", got=f"{n_folds}")
    folds: list[list[int]] = [[] for _ in range(n_folds)]
    for items in sorted(members.values(), key=len, reverse=True):
        min(folds, key=len).extend(items)
    return [sorted(fold) for fold in folds]


def held_out_and_rest(
    groups: Sequence[Hashable], scored: NDArray[np.bool_] | None = None, n_folds: int | None = None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Items that are held out together, and those that may be fitted on meanwhile.

    Args:
        groups: group of every item.
        scored: (items,) a fixed split instead: True where an item is held out, False where it is fitted on.
        n_folds: number of folds without a fixed split; None holds out one group at a time.

    Returns:
        Ascending indices of both, for every fold.

    Raises:
        OptionError: without a fixed split, fewer than two groups or ``n_folds`` out of range.
    """
    if scored is not None:
        return [(np.flatnonzero(scored), np.flatnonzero(~scored))]
    folds = [np.asarray(fold) for fold in grouped_folds(groups, n_folds)]
    return [(fold, np.setdiff1d(np.arange(len(groups)), fold)) for fold in folds]


def _ratio(part: Table, whole: Table) -> Scores:
    """Divide; NaN where ``whole`` is 0."""
    out = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _mean(values: Scores) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _entropy(shares: NDArray[np.float64]) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())
