"""A labelled data set segmented in several ways, every image encoded once, and scored."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.evaluation import metrics
from histofactor.evaluation.boundaries import BoundaryCounts, boundary_counts, boundary_f1
from histofactor.evaluation.datasets import IGNORED, Dataset, load_dataset, read_truth
from histofactor.evaluation.page import Panel, write_page
from histofactor.evaluation.protocol import (
    CROSS_VALIDATION,
    Labels,
    Result,
    class_maps,
    count,
    differences,
    score_tables,
    write_evaluation,
)
from histofactor.evaluation.split import Split, describe, divide
from histofactor.export.overlay import thumbnail_size
from histofactor.pipeline.encoded import encode_slide
from histofactor.pipeline.engine import Engine, SegmentOptions, prepare
from histofactor.pipeline.segment import segment_slide
from histofactor.records import ConceptBank, EncoderKey, Segmentation
from histofactor.slides.reader import open_slide
from histofactor.slides.thumbnail import read_thumbnail

_BOUNDARY_UM = 8.0  # how far apart boundaries may lie: about a nucleus
_SHOWN, _PANEL_PX = 3, 320  # images shown of the best and of the worst, and their long side

if TYPE_CHECKING:
    from histofactor.encoders.build import Encoder


def evaluate(  # noqa: PLR0913 - the public face of the evaluation
    folder: str | Path,
    out: str | Path | None = None,
    *,
    encoder: str | Encoder = "embedded",
    concepts: str | Path | ConceptBank | None = None,
    ks: Sequence[int] = (8, 16, 32, 64),
    methods: Sequence[str] = ("project",),
    fast: bool = False,
    split: Split | None = None,
    on_image: Callable[[str], None] = lambda stem: None,
) -> list[Result]:
    """Segment a labelled data set with every method and K, and score it by cross-validation over patients or once.

    Every image is encoded once, whatever the number of methods and K.

    Args:
        folder: the data set, laid out as ``datasets`` says.
        out: folder for ``evaluation.json``, ``evaluation.csv`` and ``evaluation.html``; None writes nothing.
        encoder, concepts: as for ``segment``.
        ks: numbers of concepts.
        methods: methods of ``segment`` whose labels mean the same in every image; ``single`` has none.
        fast: encode every window once, not in four views.
        split: fit the classes of labels on one part and score the other; None holds out one patient at a time.
        on_image: called with the stem of every image that is done.

    Returns:
        One result per method and K, in their order.

    Raises:
        OptionError: the data set or the split is not as stated, there is one patient only and no split, or nothing
            to do.
        ImageError: an image or its labels cannot be used.
        BankError, EncoderError, ResolutionError, OutputError: as told by ``segment`` and the writers.
    """
    if not ks or not methods:
        raise OptionError("nothing to evaluate", expected="at least one K and one method", got=f"{ks}, {methods}")
    dataset, scored, protocol = load_dataset(folder), None, CROSS_VALIDATION
    if split is not None:
        dataset, scored = divide(dataset, split)
        protocol = describe(dataset, scored)
    metrics.held_out_and_rest([item.patient for item in dataset.items], scored)  # tells now if patients are too few
    engines = _engines(encoder, concepts, list(itertools.product(methods, ks)), 1 if fast else 4)
    counted = {way: Counted([], [], [], {}) for way in engines}
    for item in dataset.items:
        truth = read_truth(dataset, item)
        with open_slide(item.image, source_mpp=dataset.mpp) as slide:
            encoded = encode_slide(slide, next(iter(engines.values())))
            for way, engine in engines.items():
                segmentation = segment_slide(slide, engine, encoded=encoded)
                counted[way].recipes[segmentation.recipe["bank"]["sha256"]] = segmentation.recipe
                _check_recipes(counted[way].recipes, way[0])
                labels = level0_labels(segmentation)
                counted[way].tables.append(count(dataset, item, truth, labels, way[1] + 1))
                counted[way].labels.append(zlib.compress(labels.astype(np.uint16).tobytes(), 1))
                counted[way].tolerances_px.append(_BOUNDARY_UM / (segmentation.slide.mpp or 1.0))
        on_image(item.stem)
    results = [_result(dataset, way, one, scored) for way, one in counted.items()]
    if out is not None:
        write_evaluation(dataset, results, out, protocol)
        panels = best_and_worst(dataset, results[0].method, results, counted, scored)
        write_page(dataset, results, differences(results), panels, Path(out) / "evaluation.html", protocol)
    return results


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one method and K.

    Attributes:
        tables: (k + 1, classes) of every image so far.
        labels: of every image, compressed: what they mean is known only at the end.
        tolerances_px: how far apart boundaries may lie in every image; 8 px where its µm/px is unknown.
        recipes: how, by hash of the bank.
    """

    tables: list[metrics.Table]
    labels: list[bytes]
    tolerances_px: list[float]
    recipes: dict[str, Mapping[str, Any]]


def _engines(
    encoder: str | Encoder, concepts: str | Path | ConceptBank | None, ways: Sequence[tuple[str, int]], views: int
) -> dict[tuple[str, int], Engine]:
    """An engine for every method and K, which share one encoder; lumina and glass are scored like the rest."""
    options = SegmentOptions(tissue=False, views=views)
    engines: dict[tuple[str, int], Engine] = {}
    for method, k in ways:
        engine = prepare(encoder=encoder, concepts=concepts, k=k, method=method, options=options)
        encoder = engine.encoder
        engines[method, k] = engine
    return engines


def _check_recipes(recipes: Mapping[str, Any], method: str) -> None:
    if len(recipes) > 1:
        raise OptionError(
            f"labels of method {method!r} mean something else in every image",
            expected="one concept bank for all images",
            mend="choose a method that takes its concepts from a bank",
        )


def _result(dataset: Dataset, way: tuple[str, int], counted: Counted, scored: NDArray[np.bool_] | None) -> Result:
    ((digest, recipe),) = counted.recipes.items()
    tables = np.stack(counted.tables)
    boundary = _boundary_f1(dataset, tables, counted, scored)
    scores = replace(score_tables(dataset, tables, scored), boundary_f1=boundary)
    return Result(*way, EncoderKey(**recipe["encoder"]), digest, scores)


def _boundary_f1(dataset: Dataset, tables: metrics.Table, counted: Counted, scored: NDArray[np.bool_] | None) -> float:
    """Boundary F1 of the predicted classes of all held-out images."""
    maps = class_maps([item.patient for item in dataset.items], tables, scored)
    total = np.zeros(4, np.int64)
    for i in np.arange(len(maps)) if scored is None else np.flatnonzero(scored):
        truth = read_truth(dataset, dataset.items[i])
        predicted = maps[i][_unpacked(counted.labels[i], truth.shape)]
        total += boundary_counts(predicted, truth, counted.tolerances_px[i], IGNORED)
    return boundary_f1(BoundaryCounts(*total.tolist()))


def best_and_worst(
    dataset: Dataset,
    method: str,
    results: Sequence[Result],
    counted: Mapping[tuple[str, int], Counted],
    scored: NDArray[np.bool_] | None = None,
) -> list[Panel]:
    """The held-out images that a method segments best and worst at its best K, small.

    Args:
        dataset: what was segmented.
        method: whose images are shown.
        results: of all methods and K.
        counted: what they were counted from, by method and K.
        scored: the fixed split, if there is one.

    Returns:
        Up to three of each, the best first.

    Raises:
        ImageError: an image or its labels cannot be read any more.
    """
    best = max((result for result in results if result.method == method), key=lambda one: one.scores.mean_iou)
    found = counted[method, best.k]
    maps = class_maps([item.patient for item in dataset.items], np.stack(found.tables), scored)
    kept = np.arange(len(maps)) if scored is None else np.flatnonzero(scored)
    images = [pair for pair in zip(kept, best.scores.images, strict=True) if not math.isnan(pair[1].mean_iou)]
    order = sorted(images, key=lambda pair: -pair[1].mean_iou)
    panels = []
    for i, scores in [*order[:_SHOWN], *order[max(_SHOWN, len(order) - _SHOWN) :]]:
        item = dataset.items[i]
        truth = read_truth(dataset, item)
        predicted = maps[i][_unpacked(found.labels[i], truth.shape)]
        with open_slide(item.image, source_mpp=dataset.mpp) as slide:
            width, height = thumbnail_size(slide.info.size, _PANEL_PX)
            rgb, _ = read_thumbnail(slide, (width, height))
        small = np.ix_(*((np.arange(n) * full) // n for n, full in zip((height, width), truth.shape, strict=True)))
        panels.append(Panel(item.stem, item.patient, scores.mean_iou, rgb, truth[small], predicted[small]))
    return panels


def _unpacked(packed: bytes, shape: tuple[int, ...]) -> Labels:
    return np.frombuffer(zlib.decompress(packed), np.uint16).reshape(shape)


def level0_labels(segmentation: Segmentation) -> Labels:
    """Bring the labels of a whole image from the working resolution to its own pixels, by nearest neighbour.

    Args:
        segmentation: of a whole image.

    Returns:
        (height, width) labels in level-0 px.
    """
    labels: Labels = segmentation.label_map.labels[:]
    columns, rows = (
        np.minimum((np.arange(side) + 0.5) / scale, limit - 1).astype(np.intp)
        for side, scale, limit in zip(segmentation.slide.size, segmentation.l0_per_px, labels.shape[::-1], strict=True)
    )
    return labels[np.ix_(rows, columns)]
