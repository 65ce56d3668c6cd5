"""What is counted of one method and K, image by image, and the scores that follow."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.evaluation.data.datasets import IGNORED, Dataset, Item, read_truth
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.boundaries import BoundaryCounts, boundary_counts, boundary_f1
from histofactor.evaluation.scores.labels import Labels, level0_labels
from histofactor.evaluation.scores.protocol import Result, class_maps, count, score_alone, score_tables
from histofactor.records import EncoderKey, Segmentation

_BOUNDARY_UM = 8.0  # how far apart boundaries may lie: about a nucleus


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one method and K so far.

    Attributes:
        method, k: as given to ``segment``.
        tables: (k + 1, classes) of every image.
        labels: of every image, compressed: what they mean is known only at the end.
        tolerances_px: how far apart boundaries may lie in every image; 8 px where its µm/px is unknown.
        recipes: how, by hash of the bank.
        alone: whether labels mean something else in every image, because each finds concepts of its own.
    """

    method: str
    k: int
    tables: list[metrics.Table] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)
    tolerances_px: list[float] = field(default_factory=list)
    recipes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    alone: bool = False


def add_image(counted: Counted, dataset: Dataset, item: Item, truth: Labels, segmentation: Segmentation) -> Labels:
    """Count one more image.

    Args:
        counted: of the images before it.
        dataset, item, truth: the image and the class of each of its px.
        segmentation: of the whole image.

    Returns:
        Its labels, on its px.

    Raises:
        ImageError: labels and truth differ in size.
        OptionError: its labels mean something else than those of the images before it.
    """
    counted.recipes[segmentation.recipe["bank"]["sha256"]] = segmentation.recipe
    _check_meaning(counted)
    labels = level0_labels(segmentation)
    counted.tables.append(count(dataset, item, truth, labels, counted.k + 1))
    counted.labels.append(zlib.compress(labels.astype(np.uint16).tobytes(), 1))
    counted.tolerances_px.append(_BOUNDARY_UM / (segmentation.slide.mpp or 1.0))
    return labels


def add_counted(counted: Counted, more: Counted) -> None:
    """Count what was counted of other images, which come after those before.

    Raises:
        OptionError: their labels mean something else.
    """
    counted.recipes.update(more.recipes)
    _check_meaning(counted)
    counted.tables.extend(more.tables)
    counted.labels.extend(more.labels)
    counted.tolerances_px.extend(more.tolerances_px)


def _check_meaning(counted: Counted) -> None:
    if len(counted.recipes) > 1 and not counted.alone:
        raise OptionError(
            f"labels of method {counted.method!r} mean something else in every image",
            expected="one concept bank for all images",
            mend="choose a method that takes its concepts from a bank",
        )


def result_of(counted: Counted, dataset: Dataset, scored: NDArray[np.bool_] | None) -> Result:
    """Scores of all images; ``scored`` is the fixed split, if there is one."""
    digest, recipe = next(iter(counted.recipes.items()))
    if counted.alone:
        scores = score_alone(dataset, np.stack(counted.tables), scored)
        return Result(counted.method, counted.k, EncoderKey(**recipe["encoder"]), "", scores, alone=True)
    total = np.zeros(4, np.int64)
    for i, truth, predicted in predictions(counted, dataset, scored):
        total += boundary_counts(predicted, truth, counted.tolerances_px[i], IGNORED)
    scores = score_tables(dataset, np.stack(counted.tables), scored)
    scores = replace(scores, boundary_f1=boundary_f1(BoundaryCounts(*total.tolist())))
    return Result(counted.method, counted.k, EncoderKey(**recipe["encoder"]), digest, scores)


def predictions(
    counted: Counted, dataset: Dataset, scored: NDArray[np.bool_] | None, which: NDArray[np.intp] | None = None
) -> Iterator[tuple[int, Labels, Labels]]:
    """Index, true and predicted classes (height, width) of held-out images: all of them, or those in ``which``.

    Raises:
        ImageError: the labels of an image cannot be read any more.
    """
    maps = class_maps([item.patient for item in dataset.items], np.stack(counted.tables), scored)
    if which is None:
        which = np.arange(len(maps)) if scored is None else np.flatnonzero(scored)
    for i in which.tolist():
        truth = read_truth(dataset, dataset.items[i])
        labels = np.frombuffer(zlib.decompress(counted.labels[i]), np.uint16).reshape(truth.shape)
        yield i, truth, maps[i][labels]
