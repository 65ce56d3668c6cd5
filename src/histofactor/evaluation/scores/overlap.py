"""More scores of a contingency table: how pure labels are, and what any naming of them could achieve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from histofactor.evaluation.scores.metrics import Table, apply_map


class VMeasure(NamedTuple):
    """Homogeneity, completeness and their harmonic mean (Rosenberg & Hirschberg, EMNLP 2007)."""

    homogeneity: float
    completeness: float
    v: float


def v_measure(table: Table) -> VMeasure:
    """Whether labels hold one class each, and classes one label each.

    Args:
        table: (n_labels, n_classes) pixel counts.

    Returns:
        Each in [0, 1]; NaN without pixels.
    """
    if not table.any():
        return VMeasure(*[float("nan")] * 3)
    parts = (table.sum(axis=1), table.sum(axis=0), table)
    of_rows, of_columns, of_both = (_entropy(counts / table.sum()) for counts in parts)
    shared = max(of_rows + of_columns - of_both, 0.0)
    homogeneity = shared / of_columns if of_columns else 1.0
    completeness = shared / of_rows if of_rows else 1.0
    total = homogeneity + completeness
    return VMeasure(homogeneity, completeness, 2 * homogeneity * completeness / total if total else 0.0)


def achievable_accuracy(table: Table) -> float:
    """Accuracy if every label took the class of most of its own pixels: what no naming can exceed (ASA).

    Args:
        table: (n_labels, n_classes) pixel counts.

    Returns:
        The share, in [0, 1]; NaN without pixels.
    """
    return float(table.max(axis=1).sum() / table.sum()) if table.any() else float("nan")


def undersegmentation(table: Table) -> float:
    """Share of the pixels that labels spill over classes (Neubert & Protzel, Forum Bildverarbeitung 2012).

    A label that lies on several classes counts, for each of them, the smaller of the part inside and the part outside.

    Args:
        table: (n_labels, n_classes) pixel counts.

    Returns:
        0 where every label lies within one class; NaN without pixels.
    """
    if not table.any():
        return float("nan")
    outside = table.sum(axis=1, keepdims=True) - table
    return float(np.minimum(table, outside).sum() / table.sum())


def hungarian_map(table: Table) -> NDArray[np.int64]:
    """One label for each class, so that most pixels are right (Kuhn, 1955).

    Args:
        table: (n_labels, n_classes) pixel counts.

    Returns:
        (n_labels,) classes; -1 for labels that are left over.
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    classes = np.full(len(table), -1, np.int64)
    classes[rows] = columns
    return classes


def matched(table: Table, classes: NDArray[np.int64]) -> Table:
    """The confusion matrix of a map that leaves labels over: their pixels count as wrong, for no class.

    Args:
        table: (n_labels, n_classes) pixel counts.
        classes: (n_labels,) class of every label, or -1.

    Returns:
        (n_classes + 1, n_classes + 1) pixel counts, row = predicted class, the last for none; the last column is empty.
    """
    wide = np.concatenate([table, np.zeros((len(table), 1), np.int64)], axis=1)
    return apply_map(wide, np.where(classes < 0, table.shape[1], classes))


def _entropy(shares: NDArray[np.float64]) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())
