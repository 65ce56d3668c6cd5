"""Do labels tell where an image comes from: the patient, the scanner, the stain, the institute?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histofactor.base.contingency import ari
from histofactor.concepts.learn.following import excess_of
from histofactor.evaluation.data.datasets import Item
from histofactor.evaluation.scores import metrics

_LEAST, _TAIL = 0.001, 0.1  # share of all px that a label has at least; share of the labels that are told of


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far labels tell a column of ``images.csv``: 0 not at all, 1 wholly.

    Attributes:
        nmi, ari: of ``metrics`` and ``base.contingency``, over px.
        tail: how far the tenth of the labels that are bound most to one value of the column are of that value alone,
            see ``bound_to_one``.
    """

    nmi: float
    ari: float
    tail: float


def agreement(items: Sequence[Item], counts: metrics.Table) -> dict[str, Agreement]:
    """Agreement of labels with the patient and with every other fact that several images share.

    Columns with one value, and those with another value for every image, are left out, and so are images whose value
    is not told.

    Args:
        items: the images.
        counts: (images, labels) px of every label, those that are not counted left out.

    Returns:
        Agreement by column, ``patient`` first.
    """
    columns = list(dict.fromkeys(["patient", *(column for item in items for column in item.facts)]))
    found = {}
    for column in columns:
        values = [item.patient if column == "patient" else item.facts.get(column, "") for item in items]
        stated = np.array([bool(value) for value in values])
        names, number = np.unique(np.array(values)[stated], return_inverse=True)
        if 2 <= len(names) < stated.sum():
            table = np.zeros((len(names), counts.shape[1]), np.int64)
            np.add.at(table, number, counts[stated])
            found[column] = Agreement(metrics.nmi(table), ari(table), bound_to_one(table))
    return found


def bound_to_one(table: metrics.Table) -> float:
    """How far labels are of one source alone: 0 where all are spread evenly over sources, 1 where each has its own.

    Every source counts alike, however many px it has. Of a label it is the excess of ``concepts.bank.following``; the
    mean of the tenth of the labels (one at least) where it is largest is told, for a mean of all hides the few that
    show a hospital and no tissue. Labels with less than a thousandth of the px do not count.

    Args:
        table: (sources, labels) px, at least two sources.
    """
    if not table.any():
        return float("nan")
    px = table.sum(axis=0)
    counted = table[:, px >= min(_LEAST * px.sum(), px.max())]
    bound = np.sort(excess_of(counted / np.maximum(table.sum(axis=1, keepdims=True), 1)))
    return float(bound[-max(1, round(_TAIL * len(bound))) :].mean())
