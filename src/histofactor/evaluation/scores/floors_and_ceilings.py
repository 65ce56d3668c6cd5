"""What the scores lie between: a floor without features, and ceilings with labels, on the same cells and patients.

    colour         floor: k-means of the colours of cells at the same K, labels become classes by the same majority
    linear probe   ceiling: logistic regression on the features of cells of the training patients, with their labels
    grid oracle    ceiling: every cell takes the class of most of its px

Cells are those of the token grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.evaluation.data.datasets import Dataset
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.bootstrap import interval
from histofactor.evaluation.scores.cells import Cells
from histofactor.evaluation.scores.protocol import class_maps

_COLOURED = 200_000  # cells whose colours are clustered, at most
_PROBED, _PROBED_OF_IMAGE = 50_000, 2_000  # cells whose features are kept, at most
_FOLDS = 10  # of patients for the probe, at most


@dataclass(frozen=True, slots=True)
class Bracket:
    """Scores of a floor or a ceiling, by the names of ``protocol.Scores``.

    Attributes:
        name: ``colour``, ``linear probe`` or ``grid oracle``.
        k: number of clusters; None where there are none.
    """

    name: str
    k: int | None
    mean_iou: float
    mean_iou_interval: tuple[float, float]
    mean_dice: float
    accuracy: float


def drawn_per_image(images: int) -> int:
    """How many cells of every image the probe looks at, at most."""
    return max(1, min(_PROBED // images, _PROBED_OF_IMAGE))


def brackets(
    dataset: Dataset, cells: Sequence[Cells], ks: Sequence[int], scored: NDArray[np.bool_] | None = None, seed: int = 0
) -> tuple[Bracket, ...]:
    """Score floor and ceilings as ``protocol.score_tables`` scores methods.

    The probe counts the px of the drawn cells; of more than ten patients it holds out ten groups, one at a time.

    Args:
        dataset: at least two patients, or a fixed split.
        cells: of every image.
        ks: numbers of clusters of colours.
        scored: the fixed split, as for ``score_tables``.
        seed: of the clustering.

    Returns:
        ``colour`` at every K, the probe and the oracle.

    Raises:
        OptionError: fewer than two patients, and no fixed split.
    """
    patients = [item.patient for item in dataset.items]
    kept = np.arange(len(cells)) if scored is None else np.flatnonzero(scored)
    held_out = [patients[i] for i in kept]

    def bracket(name: str, k: int | None, matrices: metrics.Table) -> Bracket:
        value, low, high = interval(matrices[kept], held_out, metrics.mean_iou)
        total = matrices[kept].sum(axis=0)
        return Bracket(name, k, value, (low, high), metrics.mean_dice(total), metrics.accuracy(total))

    found = []
    for k in dict.fromkeys(ks):
        tables = colour_tables(cells, k, seed)
        maps = class_maps(patients, tables, scored)
        matrices = np.stack([metrics.apply_map(*pair) for pair in zip(tables, maps, strict=True)])
        found.append(bracket("colour", k, matrices))
    folds = metrics.held_out_and_rest(patients, scored, min(_FOLDS, len({*patients})))
    found.append(bracket("linear probe", None, probe_matrices(cells, folds)))
    oracle = np.stack([metrics.apply_map(image.counts, image.counts.argmax(axis=1)) for image in cells])
    return (*found, bracket("grid oracle", None, oracle))


def colour_tables(cells: Sequence[Cells], k: int, seed: int = 0) -> metrics.Table:
    """Px by cluster of colours and class, (images, k, classes); no more clusters are filled than there are colours."""
    from sklearn.cluster import MiniBatchKMeans

    rows = np.concatenate([image.densities for image in cells])
    if len(rows) > _COLOURED:
        rows = np.random.default_rng(seed).choice(rows, _COLOURED, replace=False)
    n_clusters = min(k, len(np.unique(rows, axis=0)))
    means = MiniBatchKMeans(n_clusters, random_state=seed, n_init=3).fit(rows)
    tables = np.zeros((len(cells), k, cells[0].counts.shape[1]), np.int64)
    for table, image in zip(tables, cells, strict=True):
        np.add.at(table, means.predict(image.densities), image.counts)
    return tables


def probe_matrices(cells: Sequence[Cells], folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> metrics.Table:
    """Confusion matrices (images, classes, classes) of the drawn cells of held-out images.

    Args:
        cells: of every image.
        folds: held-out and training images, as from ``metrics.held_out_and_rest``.
    """
    matrices = np.zeros((len(cells), *cells[0].counts.shape[1:] * 2), np.int64)
    for held_out, rest in folds:
        features = np.concatenate([cells[i].features for i in rest])
        predict = _fit(features, np.concatenate([cells[i].counts[cells[i].drawn] for i in rest]))
        for i in held_out:
            if len(cells[i].drawn):
                np.add.at(matrices[i], predict(cells[i].features), cells[i].counts[cells[i].drawn])
    return matrices


def _fit(features: NDArray[np.float16], counts: metrics.Table) -> Callable[[NDArray[np.float16]], NDArray[np.intp]]:
    """Learn the class of most px of a cell from its features, each cell with the weight of these px."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    classes, weights = counts.argmax(axis=1), counts.max(axis=1)
    present = np.unique(classes)
    if len(present) < 2:
        only = present[0] if len(present) else 0
        return lambda rows: np.full(len(rows), only)
    scaler = StandardScaler()
    scaled = scaler.fit_transform(features.astype(np.float32))
    model = LogisticRegression(tol=1e-3, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose: scores are settled long before
        model.fit(scaled, classes, weights / weights.mean())
    return lambda rows: model.predict(scaler.transform(rows.astype(np.float32)))
