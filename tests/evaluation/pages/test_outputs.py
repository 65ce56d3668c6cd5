"""The files of an evaluation hold what was scored."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from histofactor.evaluation.data.datasets import IGNORED, load_dataset, read_truth
from histofactor.evaluation.pages.outputs import Evaluation, write_evaluation
from histofactor.evaluation.pages.page import write_page
from histofactor.evaluation.scores.metrics import confusion
from histofactor.evaluation.scores.protocol import Result, score_tables
from histofactor.records import EncoderKey

N_LABELS = 6


@pytest.fixture
def dataset(folder):
    return load_dataset(folder)


def noisy_scores(dataset, share=0.5):
    """Scores of labels that follow the truth on a share of the pixels."""
    rng, tables = np.random.default_rng(0), []
    for item in dataset.items:
        truth = read_truth(dataset, item)
        labels = np.where(rng.random(truth.shape) < share, truth + 2, rng.integers(N_LABELS, size=truth.shape))
        tables.append(confusion(labels, truth, N_LABELS, 2, IGNORED))
    return score_tables(dataset, np.stack(tables))


def test_results_are_written_as_json_and_csv(dataset, tmp_path):
    results = []
    for k, share in ((5, 0.3), (7, 0.9)):
        key = EncoderKey("embedded", None, "l", "relu")
        results.append(Result("project", k, key, "ab" * 32, noisy_scores(dataset, share)))
    write_evaluation(Evaluation(dataset, tuple(results)), tmp_path / "new" / "out")
    report = json.loads((tmp_path / "new" / "out" / "evaluation.json").read_text())
    assert report["dataset"] == {
        "name": "toy",
        "mpp": 1.0,
        "classes": {"1": "stroma", "4": "tumour"},
        "images": 4,
        "patients": 3,
        "patients_given": True,
    }
    assert [entry["k"] for entry in report["results"]] == [5, 7]
    assert report["results"][1]["scores"]["mean_iou"] == results[1].scores.mean_iou
    assert report["results"][1]["scores"]["images"][3]["stem"] == "c1"
    assert report["results"][0]["encoder"]["name"] == "embedded"
    assert report["results"][0]["scores"]["sources"]["patient"]["ari"] == results[0].scores.sources["patient"].ari
    with (tmp_path / "new" / "out" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["k"] for row in rows] == ["5", "7"]
    assert float(rows[0]["iou tumour"]) == pytest.approx(results[0].scores.iou["tumour"], abs=1e-6)
    assert float(rows[1]["mean_iou"]) > float(rows[0]["mean_iou"])


def test_scores_that_do_not_exist_are_null_and_empty(dataset, tmp_path):
    for item in dataset.items:
        Image.fromarray(np.zeros_like(read_truth(dataset, item), np.uint8)).save(item.labels)
    scores = noisy_scores(dataset)
    result = Result("project", 5, EncoderKey("e", None, "l", "relu"), "", scores)
    write_evaluation(Evaluation(dataset, (result,)), tmp_path)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["results"][0]["scores"]["mean_iou"] is None
    with (tmp_path / "evaluation.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["mean_iou"] == ""


def test_methods_at_the_same_k_are_compared_pairwise(dataset, tmp_path):
    key, results = EncoderKey("e", None, "l", "relu"), []
    for method, share in (("project", 0.4), ("cluster", 0.9)):
        results.append(Result(method, 5, key, "", noisy_scores(dataset, share)))
    write_evaluation(Evaluation(dataset, tuple(results)), tmp_path)
    (difference,) = json.loads((tmp_path / "evaluation.json").read_text())["differences"]
    assert (difference["k"], difference["method"], difference["against"]) == (5, "cluster", "project")
    value, low, high = difference["mean_iou"]
    assert value == pytest.approx(results[1].scores.mean_iou - results[0].scores.mean_iou)
    assert low <= value <= high
    low, high = results[0].scores.mean_iou_interval
    assert low <= results[0].scores.mean_iou <= high


def test_names_of_any_kind_survive(folder, tmp_path):
    facts = {"name": "=1+1", "mpp": 1.0, "classes": {"1": "caf\udce9", "4": "b\x1b"}, "ignore": 0}
    (folder / "dataset.json").write_text(json.dumps(facts))
    dataset = load_dataset(folder)
    result = Result("project", 5, EncoderKey("@encoder", None, "l", "relu"), "ab" * 32, noisy_scores(dataset))
    evaluation = Evaluation(dataset, (result,))
    write_evaluation(evaluation, tmp_path / "out")
    write_page(evaluation, [], tmp_path / "out" / "evaluation.html")
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["dataset"]["classes"] == facts["classes"]
    with (tmp_path / "out" / "evaluation.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["dataset"], row["encoder"]) == ("'=1+1", "'@encoder")
    assert r"iou caf\udce9" in row
    html = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert r"b\x1b" in html
    assert "\x1b" not in html
