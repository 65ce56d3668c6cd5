"""What a notebook shows of an evaluation."""

import math
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.pages.outputs import Evaluation
from histofactor.evaluation.scores.floors_and_ceilings import Bracket
from histofactor.evaluation.scores.protocol import Result, score_tables
from histofactor.records import EncoderKey

mpl.use("Agg")


@pytest.fixture
def evaluation(folder):
    """Two methods and two K, with scores that counts tell."""
    dataset, rng = load_dataset(folder), np.random.default_rng(0)
    results = []
    for method in ("project", "cluster<i>"):
        for k in (4, 8):
            tables = rng.integers(1, 100, (len(dataset.items), k + 1, len(dataset.classes)))
            key = EncoderKey("embedded", None, "l", "relu")
            results.append(Result(method, k, key, "ab" * 32, score_tables(dataset, tables)))
    some = {"mean_dice": 0.5, "accuracy": 0.5}
    brackets = (
        Bracket("colour", 4, 0.25, (0.2, 0.3), **some),
        Bracket("linear probe", None, 0.875, (math.nan, math.nan), **some),
    )
    return Evaluation(dataset, tuple(results), brackets)


def test_a_row_a_way_and_no_markup_from_outside(evaluation):
    evaluation = replace(evaluation, dataset=replace(evaluation.dataset, classes={1: "<script>", 4: "tumour"}))
    scores = [replace(one.scores, iou=dict(zip(("<script>", "tumour"), one.scores.iou.values(), strict=True)))
              for one in evaluation.results]  # fmt: skip
    results = tuple(replace(one, scores=score) for one, score in zip(evaluation.results, scores, strict=True))
    html = replace(evaluation, results=results)._repr_html_()
    assert html.count("<tr>") == 1 + 4 + 2
    assert "<script" not in html
    assert "IoU &lt;script&gt;" in html
    assert "cluster&lt;i&gt;" in html
    for one in results:
        low, high = one.scores.mean_iou_interval
        assert f"{one.scores.mean_iou:.3f} ({low:.3f}–{high:.3f})" in html
    assert "0.250 (0.200–0.300)" in html
    assert ">0.875<" in html
    assert "4 images" in html
    assert len(html) < 20_000


def test_a_line_a_method_over_k(evaluation):
    axes = evaluation.plot()
    lines = {bar.get_label(): bar.lines[0].get_xydata() for bar in axes.containers}
    assert {*lines} == {"project", "cluster<i>"}
    expected = [(one.k, one.scores.mean_iou) for one in evaluation.results if one.method == "project"]
    assert np.allclose(lines["project"], expected)
    assert [text.get_text() for text in axes.get_legend().get_texts()][:2] == ["colour", "linear probe"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "8"]
    axes.figure.canvas.draw()
    mpl.pyplot.close("all")
