"""Do labels tell where an image comes from: the patient, the scanner, the stain, the institute?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histofactor.base.contingency import ari
from histofactor.evaluation.data.datasets import Item
from histofactor.evaluation.scores import metrics


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far labels tell a column of ``images.csv``: 0 not at all, 1 wholly.

    Attributes:
        nmi, ari: of ``metrics`` and ``base.contingency``, over px.
    """

    nmi: float
    ari: float


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
            found[column] = Agreement(metrics.nmi(table), ari(table))
    return found
