"""The page of an evaluation: self-contained, to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from histofactor.base.colors import palette
from histofactor.base.files import atomic
from histofactor.base.text import finalize
from histofactor.evaluation.data.datasets import NO_PATIENTS
from histofactor.evaluation.pages.outputs import Evaluation, differences
from histofactor.evaluation.pages.panels import Panel
from histofactor.evaluation.scores.floors_and_ceilings import Bracket
from histofactor.evaluation.scores.protocol import Result
from histofactor.evaluation.scores.stability import DISTURBANCES
from histofactor.export.axis import ticks
from histofactor.export.picture import data_uri, jpeg

Point = tuple[float, float, float, float]  # x, value, low, high
Line = Sequence[Point]

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 470.0, 26.0, 190.0  # of a plot, in its own units
_LINES = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#1b1d22",
    "#8a8f99",
)  # Okabe and Ito, and two greys


def write_page(evaluation: Evaluation, panels: Sequence[Panel], path: str | Path) -> None:
    """Write one page that holds its images and styles, loads nothing and runs no script.

    Args:
        evaluation: at least one result.
        panels: images to show, the best first.
        path: the page to write.

    Raises:
        OutputError: the file cannot be written.
    """
    dataset, results = evaluation.dataset, evaluation.results
    mapped = [result for result in results if not result.alone]  # their labels have classes
    environment = jinja2.Environment(autoescape=True, finalize=finalize, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "score": _score,
        "signed": lambda value: _score(value, "+.3f"),
        "jpeg": lambda rgb: data_uri(jpeg(rgb)),
        "shade": _shade,
    }
    source = resources.files("histofactor.evaluation").joinpath("page.html.jinja").read_text(encoding="utf-8")
    colors = palette(len(dataset.classes))
    page = environment.from_string(source).stream(
        dataset=dataset,
        protocol=evaluation.protocol,
        caution=NO_PATIENTS,
        classes=list(dataset.classes.values()),
        colors=["#{:02x}{:02x}{:02x}".format(*color) for color in colors],
        patients=len({item.patient for item in dataset.items}),
        results=results,
        mapped=mapped,
        brackets=evaluation.brackets,
        matrices=[_matrix(result) for result in mapped],
        differences=differences(results),
        disturbances=DISTURBANCES,
        sources=list(mapped[0].scores.sources) if mapped else [],
        plots=[
            _iou_plot(mapped, evaluation.brackets),
            plot("NMI of labels and classes", mapped, lambda scores: (scores.nmi, scores.nmi, scores.nmi)),
            _cost_plot(mapped),
        ]
        if mapped
        else [],
        panels=[(panel, [panel.rgb, *(_over(panel.rgb, classes, colors) for classes in (panel.truth, panel.predicted))])
                for panel in panels],
    )  # fmt: skip
    with atomic(path) as temporary, temporary.open("wb") as stream:
        page.dump(stream, encoding="utf-8")


def plot(title: str, results: Sequence[Result], score: Any, more: Mapping[str, Line] | None = None) -> dict[str, Any]:
    """A line and a band for every method over log K, and more lines."""
    by_method: dict[str, list[Point]] = {}
    for result in results:
        by_method.setdefault(result.method, []).append((result.k, *score(result.scores)))
    return _drawn(title, "K", {**by_method, **(more or {})})


def _iou_plot(results: Sequence[Result], brackets: Sequence[Bracket]) -> dict[str, Any]:
    """Mean IoU over K between floor and probe, which is the same at every K; the oracle is left out, far above."""
    ks = {result.k for result in results}
    lines: dict[str, list[Point]] = {}
    for bracket in brackets:
        if bracket.name == "grid oracle":
            continue
        points = [(k, bracket.mean_iou, *bracket.mean_iou_interval) for k in (ks if bracket.k is None else {bracket.k})]
        lines.setdefault(bracket.name, []).extend(points)
    return plot("mean IoU", results, lambda scores: (scores.mean_iou, *scores.mean_iou_interval), lines)


def _cost_plot(results: Sequence[Result]) -> dict[str, Any]:
    """The same over the number of labelled images, at every method's largest K."""
    largest = {result.method: result for result in sorted(results, key=lambda result: result.k)}
    lines = {
        f"{method}, K = {result.k}": [(p.images, p.mean_iou, p.low, p.high) for p in result.scores.labelled_images]
        for method, result in largest.items()
    }
    return _drawn("mean IoU by number of labelled images", "labelled images", lines)


def _drawn(title: str, unit: str, lines: Mapping[str, Line]) -> dict[str, Any]:
    """Points (x, value, low, high) of every line as places in a plot."""
    points = [point for line in lines.values() for point in line if all(map(math.isfinite, point))]
    if not points:
        return {"title": title, "unit": unit, "lines": [], "ticks": [], "steps": []}
    logs = [math.log2(point[0]) for point in points]
    marks = ticks(min(point[2] for point in points), max(point[3] for point in points))
    low, reach = marks[0][0], marks[-1][0] - marks[0][0]
    span = max(max(logs) - min(logs), 1e-9)

    def across(x: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (math.log2(x) - min(logs)) / span, 1)

    def down(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - low) / reach, 1)

    drawn = []
    for color, (name, line) in zip(_LINES * len(lines), lines.items(), strict=False):
        kept = sorted(point for point in line if all(map(math.isfinite, point)))
        band = [(across(x), down(top)) for x, _, _, top in kept]
        band += [(across(x), down(bottom)) for x, _, bottom, _ in reversed(kept)]
        drawn.append(
            {"name": name, "color": color, "points": [(across(x), down(v)) for x, v, _, _ in kept], "band": band}
        )
    steps = [(across(x), f"{x:g}") for x in sorted({point[0] for point in points})]
    return {
        "title": title,
        "unit": unit,
        "lines": drawn,
        "ticks": [(down(value), label) for value, label in marks],
        "steps": steps,
    }


def _matrix(result: Result) -> list[list[tuple[int, float]]]:
    """Counts, and their share of the true class, of all held-out images: predicted class by row."""
    total = np.sum([image.matrix for image in result.scores.images], axis=0)
    share = total / np.maximum(total.sum(axis=0, keepdims=True), 1)
    return [list(zip(row.tolist(), part.tolist(), strict=True)) for row, part in zip(total, share, strict=True)]


def _over(rgb: NDArray[np.uint8], classes: NDArray[np.integer[Any]], colors: Sequence[Any]) -> NDArray[np.uint8]:
    """Classes in colour over the image; ignored px stay as they are."""
    painted = np.array([*colors, (0, 0, 0)], np.float32)[classes]
    mixed = np.where((classes >= 0)[..., None], 0.45 * rgb + 0.55 * painted, rgb)
    found: NDArray[np.uint8] = mixed.astype(np.uint8)
    return found


def _score(value: float, form: str = ".3f") -> str:
    return "–" if math.isnan(value) else format(value, form)


def _shade(share: float) -> str:
    return f"rgba(0, 114, 178, {0.75 * share:.2f})"
