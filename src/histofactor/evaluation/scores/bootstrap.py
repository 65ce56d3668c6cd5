"""Confidence intervals over patients, by the bootstrap (Efron & Tibshirani, 1993)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from histofactor.evaluation.scores.metrics import Table

_LEVEL = 0.95


class Interval(NamedTuple):
    """A score and the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float


def interval(
    matrices: Table, patients: Sequence[Hashable], score: Callable[[Table], float], *, draws: int = 2000, seed: int = 0
) -> Interval:
    """Percentile interval of a score of summed matrices: patients are drawn with replacement.

    Args:
        matrices: (images, …) counts of every image.
        patients: of every image.
        score: of a sum of such counts.
        draws: number of draws.
        seed: of the draws.
    """
    by_patient, weights = _drawn(matrices, patients, draws, seed)
    values = np.array([score(_summed(by_patient, draw)) for draw in weights])
    return _interval(score(matrices.sum(axis=0)), values)


def paired_difference(
    ours: Table,
    theirs: Table,
    patients: Sequence[Hashable],
    score: Callable[[Table], float],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the difference of a score between two ways to segment, the same patients drawn for both.

    Args:
        ours, theirs: (images, …) counts of every image, in one order.
        patients, score, draws, seed: as for ``interval``.
    """
    first, weights = _drawn(ours, patients, draws, seed)
    second, _ = _drawn(theirs, patients, draws, seed)
    values = np.array([score(_summed(first, draw)) - score(_summed(second, draw)) for draw in weights])
    return _interval(score(ours.sum(axis=0)) - score(theirs.sum(axis=0)), values)


def _drawn(matrices: Table, patients: Sequence[Hashable], draws: int, seed: int) -> tuple[Table, Table]:
    """Counts by patient, and how often each patient is in every draw (draws, patients)."""
    names = list(dict.fromkeys(patients))
    number = np.array([names.index(patient) for patient in patients])
    by_patient = np.zeros((len(names), *matrices.shape[1:]), np.int64)
    np.add.at(by_patient, number, matrices)
    chosen = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    weights = np.stack([np.bincount(draw, minlength=len(names)) for draw in chosen])
    return by_patient, weights


def _summed(by_patient: Table, weights: Table) -> Table:
    found: Table = np.tensordot(weights, by_patient, axes=1)
    return found


def _interval(value: float, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Interval:
    """Percentiles of the draws in which the score exists."""
    present = values[~np.isnan(values)]
    if not len(present):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(present, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Interval(value, float(low), float(high))
