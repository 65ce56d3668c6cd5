"""What an evaluation found, and its files: JSON for everything, CSV for a row per method and K."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histofactor import __version__
from histofactor.base.files import atomic
from histofactor.base.text import csv_safe, csv_text, utf8
from histofactor.evaluation.data.datasets import Dataset
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.bootstrap import paired_difference
from histofactor.evaluation.scores.floors_and_ceilings import Bracket
from histofactor.evaluation.scores.protocol import CROSS_VALIDATION, Result
from histofactor.records.shown import Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Shown):
    """Scores of a data set.

    Attributes:
        dataset: what was segmented.
        results: one per method and K.
        brackets: what they lie between.
        protocol: how they were scored, in words.
    """

    dataset: Dataset
    results: tuple[Result, ...]
    brackets: tuple[Bracket, ...] = ()
    protocol: str = CROSS_VALIDATION

    def _repr_html_(self) -> str:
        """What a notebook shows: the scores of every method and K."""
        from histofactor.evaluation.pages.notebook import evaluation_html

        return evaluation_html(self)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the scores over K with matplotlib.

        Raises:
            OptionError: matplotlib is not there.
        """
        from histofactor.evaluation.pages.notebook import plot_evaluation

        return plot_evaluation(self, axes)


def write_evaluation(evaluation: Evaluation, out: str | Path) -> None:
    """Write ``evaluation.json`` (everything) and ``evaluation.csv`` (one row per method and K).

    Args:
        evaluation: at least one result.
        out: the folder; made if missing.

    Raises:
        OutputError: the files cannot be written.
    """
    dataset, results = evaluation.dataset, evaluation.results
    report = {
        "histofactor": __version__,
        "dataset": {
            "name": dataset.name,
            "mpp": dataset.mpp,
            "classes": {str(code): name for code, name in dataset.classes.items()},
            "images": len(dataset.items),
            "patients": len({item.patient for item in dataset.items}),
            "patients_given": dataset.patients_given,
        },
        "protocol": evaluation.protocol,
        "results": [asdict(result) for result in results],
        "differences": differences(results),
        "brackets": [asdict(bracket) for bracket in evaluation.brackets],
    }
    with atomic(Path(out) / "evaluation.json") as temporary:
        temporary.write_bytes(utf8(json.dumps(_null_nan(report), indent=1, allow_nan=False) + "\n"))
    rows = [_row(dataset, result) for result in results]
    with atomic(Path(out) / "evaluation.csv") as temporary:
        temporary.write_bytes(utf8(csv_text([map(csv_safe, rows[0]), *(row.values() for row in rows)])))


def differences(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Mean IoU of every method less that of the first at the same K, the same patients drawn for both."""
    patients = [image.patient for image in results[0].scores.images]
    found, comparable = [], [result for result in results if not result.alone]
    for k in dict.fromkeys(result.k for result in comparable):
        first, *others = (result for result in comparable if result.k == k)
        for other in others:
            ours, theirs = (np.array([image.matrix for image in result.scores.images]) for result in (other, first))
            value, low, high = paired_difference(ours, theirs, patients, metrics.mean_iou)
            found.append({"k": k, "method": other.method, "against": first.method, "mean_iou": [value, low, high]})
    return found


def _row(dataset: Dataset, result: Result) -> dict[str, Any]:
    scores = result.scores
    fixed = (
        *("mean_iou", "mean_dice", "accuracy", "image_mean_iou", "nmi", "image_nmi", "ari", "v_measure"),
        *("achievable_accuracy", "undersegmentation", "matched_mean_iou", "boundary_f1"),
    )
    row = {"dataset": csv_safe(dataset.name), "method": csv_safe(result.method), "k": result.k}
    row |= {"encoder": csv_safe(result.encoder.name)}
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
