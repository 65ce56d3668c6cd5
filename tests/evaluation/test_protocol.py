import csv
import json
import math
import sys
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as oracle

from histofactor.concepts.bank import bank_hash, new_bank
from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.datasets import load_dataset, read_truth
from histofactor.evaluation.protocol import Result, cross_validate, evaluate, level0_labels, write_evaluation
from histofactor.pipeline.engine import SegmentOptions
from histofactor.records import EncoderKey

PATIENTS = {"a1": "A", "a2": "A", "b1": "B", "c1": "C"}
N_LABELS = 6
LOADED = SimpleNamespace()  # an encoder that is handed through


@pytest.fixture
def folder(tmp_path):
    """Four images of three patients, two classes of code 1 and 4, some pixels ignored."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i, stem in enumerate(PATIENTS):
        size = (20 + i, 15)
        Image.new("RGB", size).save(tmp_path / "images" / f"{stem}.png")
        Image.fromarray(rng.choice([0, 1, 4], size[::-1], p=[0.1, 0.5, 0.4]).astype(np.uint8)).save(
            tmp_path / "labels" / f"{stem}.png"
        )
    rows = "".join(f"{stem},{patient}\n" for stem, patient in PATIENTS.items())
    (tmp_path / "images.csv").write_text("name,patient\n" + rows)
    facts = {"name": "toy", "mpp": 1.0, "classes": {"1": "stroma", "4": "tumour"}, "ignore": 0}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    return tmp_path


@pytest.fixture
def dataset(folder):
    return load_dataset(folder)


def noisy(dataset, share=0.5):
    """A predictor whose labels follow the truth on a share of the pixels, and the labels it gave."""
    given = {}

    def predict(path):
        item = next(item for item in dataset.items if item.image == path)
        rng = np.random.default_rng(len(given))
        truth = read_truth(dataset, item)
        random = rng.integers(N_LABELS, size=truth.shape)
        assert path not in given  # every image is segmented once
        given[path] = np.where(rng.random(truth.shape) < share, truth + 2, random).astype(np.uint8)
        return given[path]

    return predict, given


def test_scores_are_those_of_a_loop_over_patients_and_pixels(dataset):
    predict, given = noisy(dataset)
    scores = cross_validate(dataset, predict, N_LABELS)
    labels = {item.stem: given[item.image] for item in dataset.items}
    truths = {item.stem: read_truth(dataset, item) for item in dataset.items}
    predicted, true, per_image = [], [], []
    for held_out, patient in PATIENTS.items():
        training = [stem for stem, other in PATIENTS.items() if other != patient]
        classes = []
        for label in range(N_LABELS):
            seen = np.concatenate([truths[stem][labels[stem] == label] for stem in training])
            classes.append(np.bincount(seen[seen >= 0], minlength=2).argmax())
        counted = truths[held_out] >= 0
        predicted.append(np.array(classes)[labels[held_out][counted]])
        true.append(truths[held_out][counted])
        per_image.append(oracle.jaccard_score(true[-1], predicted[-1], average="macro"))
    p, t = np.concatenate(predicted), np.concatenate(true)
    clusters = np.concatenate([labels[stem][truths[stem] >= 0] for stem in PATIENTS])
    assert scores.mean_iou == pytest.approx(oracle.jaccard_score(t, p, average="macro"))
    assert scores.mean_dice == pytest.approx(oracle.f1_score(t, p, average="macro"))
    assert scores.accuracy == pytest.approx(oracle.accuracy_score(t, p))
    assert list(scores.iou.values()) == pytest.approx(oracle.jaccard_score(t, p, average=None).tolist())
    assert list(scores.dice) == ["stroma", "tumour"]
    assert [image.mean_iou for image in scores.images] == pytest.approx(per_image)
    assert scores.image_mean_iou == pytest.approx(np.mean(per_image))
    assert scores.nmi == pytest.approx(oracle.normalized_mutual_info_score(t, clusters))
    assert scores.ari == pytest.approx(oracle.adjusted_rand_score(t, clusters))
    assert [image.patient for image in scores.images] == list(PATIENTS.values())


def test_a_perfect_segmentation_scores_1_whatever_its_labels(dataset):
    predict, _ = noisy(dataset, share=1.0)
    scores = cross_validate(dataset, predict, N_LABELS)
    for score in (scores.mean_iou, scores.mean_dice, scores.accuracy, scores.image_mean_iou, scores.nmi, scores.ari):
        assert score == pytest.approx(1)


def test_the_map_never_sees_the_held_out_patient(dataset):
    """Labels that mean the opposite in every patient can only be learned by looking at the held-out one."""
    swapped = {"A": 0, "B": 1, "C": 1}

    def predict(path):
        item = next(item for item in dataset.items if item.image == path)
        return np.abs(read_truth(dataset, item).clip(min=0) - swapped[item.patient])

    scores = cross_validate(dataset, predict, 2)
    by_patient = {image.patient: image.accuracy for image in scores.images}
    assert by_patient["A"] == 0


def test_an_image_without_counted_pixels_has_no_score(dataset):
    item = dataset.items[2]
    Image.fromarray(np.zeros((15, 22), np.uint8)).save(item.labels)
    predict, _ = noisy(dataset)
    scores = cross_validate(dataset, predict, N_LABELS)
    assert math.isnan(scores.images[2].mean_iou)
    rest = [image.mean_iou for i, image in enumerate(scores.images) if i != 2]
    assert scores.image_mean_iou == pytest.approx(np.mean(rest))


def test_labels_of_another_size_than_the_image(dataset):
    with pytest.raises(ImageError, match=r"a1\.png does not lie on its image; expected 10 × 5 px; got 20 × 15 px"):
        cross_validate(dataset, lambda path: np.zeros((5, 10), np.uint8), 1)


def test_labels_out_of_range(dataset):
    with pytest.raises(OptionError, match="labels are out of range"):
        cross_validate(dataset, lambda path: np.full((15, 20), 3), 3)


def test_one_patient_is_too_few_and_is_told_before_any_work(folder):
    (folder / "images.csv").write_text("name,patient\n" + "".join(f"{stem},A\n" for stem in PATIENTS))
    with pytest.raises(OptionError, match="at least two"):
        cross_validate(load_dataset(folder), lambda path: pytest.fail("worked"), 2)


def segmentation(labels, size, l0_per_px):
    return SimpleNamespace(
        label_map=SimpleNamespace(labels=labels), slide=SimpleNamespace(size=size), l0_per_px=l0_per_px
    )


def test_labels_go_to_the_pixel_whose_centre_they_hold():
    labels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    np.testing.assert_array_equal(level0_labels(segmentation(labels, (3, 2), (1.0, 1.0))), labels)
    doubled = level0_labels(segmentation(labels, (6, 4), (2.0, 2.0)))
    np.testing.assert_array_equal(doubled, np.kron(labels, np.ones((2, 2))))
    assert doubled.dtype == np.uint16
    # 7 px at 7/3 px a label: centres 0.5 … 6.5 fall into 0 0 1 1 1 2 2
    uneven = level0_labels(segmentation(labels, (7, 2), (7 / 3, 1.0)))
    np.testing.assert_array_equal(uneven[0], [0, 0, 1, 1, 1, 2, 2])
    finer = level0_labels(segmentation(np.arange(8).reshape(1, 8), (4, 1), (0.5, 1.0)))
    np.testing.assert_array_equal(finer, [[1, 3, 5, 7]])


def test_the_last_pixels_get_the_last_label_where_the_map_was_cut():
    labels = np.arange(3).reshape(1, 3)
    np.testing.assert_array_equal(level0_labels(segmentation(labels, (7, 1), (2.0, 1.0))), [[0, 0, 1, 1, 2, 2, 2]])


def test_results_are_written_as_json_and_csv(dataset, tmp_path):
    results = []
    for k, share in ((5, 0.3), (7, 0.9)):
        predict, _ = noisy(dataset, share)
        key = EncoderKey("embedded", None, "l", "relu")
        results.append(Result("project", k, key, "ab" * 32, cross_validate(dataset, predict, N_LABELS)))
    write_evaluation(dataset, results, tmp_path / "new" / "out")
    report = json.loads((tmp_path / "new" / "out" / "evaluation.json").read_text())
    assert report["dataset"] == {
        "name": "toy",
        "mpp": 1.0,
        "classes": {"1": "stroma", "4": "tumour"},
        "images": 4,
        "patients": 3,
    }
    assert [entry["k"] for entry in report["results"]] == [5, 7]
    assert report["results"][1]["scores"]["mean_iou"] == results[1].scores.mean_iou
    assert report["results"][1]["scores"]["images"][3]["stem"] == "c1"
    assert report["results"][0]["encoder"]["name"] == "embedded"
    with (tmp_path / "new" / "out" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["k"] for row in rows] == ["5", "7"]
    assert float(rows[0]["iou tumour"]) == pytest.approx(results[0].scores.iou["tumour"], abs=1e-6)
    assert float(rows[1]["mean_iou"]) > float(rows[0]["mean_iou"])


@pytest.fixture
def segment(monkeypatch, dataset):
    """Stands for the pipeline: labels at half resolution, and what it was asked for."""
    calls = []

    def fake(image, **options):
        calls.append((image, options))
        item = next(item for item in dataset.items if item.image == image)
        truth = np.maximum(read_truth(dataset, item), 0) + options["k"] - 1
        height, width = truth.shape
        labels = truth[::2, ::2].astype(np.uint8)
        vectors = np.eye(options["k"], dtype=np.float32)
        if options["method"] == "single":
            vectors *= len(calls)  # concepts of its own for every image
        bank = new_bank(vectors, EncoderKey("other", None, "l", "relu"))
        return SimpleNamespace(
            slide=SimpleNamespace(size=(width, height)),
            label_map=SimpleNamespace(labels=labels),
            l0_per_px=(2.0, 2.0),
            recipe={"bank": {"sha256": bank_hash(bank)}, "encoder": asdict(bank.encoder)},
        )

    monkeypatch.setitem(sys.modules, "histofactor.pipeline.segment", SimpleNamespace(segment=fake))
    return calls


def test_evaluate_runs_every_method_and_k_on_every_image_once(folder, dataset, segment, tmp_path):
    out = tmp_path / "out"
    results = evaluate(folder, out, encoder=LOADED, concepts="b.safetensors", ks=(2, 3), methods=("project", "nmf"))
    assert [(result.method, result.k) for result in results] == [
        ("project", 2),
        ("project", 3),
        ("nmf", 2),
        ("nmf", 3),
    ]
    assert len(segment) == 16
    image, options = segment[-1]
    assert image == dataset.items[-1].image
    assert options == {
        "encoder": LOADED,
        "concepts": "b.safetensors",
        "k": 3,
        "source_mpp": 1.0,
        "method": "nmf",
        "options": SegmentOptions(tissue=False),
    }
    assert results[0].encoder.name == "other"
    assert results[0].bank == results[2].bank != results[1].bank
    assert 0.5 < results[0].scores.accuracy < 1  # half resolution loses some pixels
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "evaluation.csv"}


def test_methods_with_concepts_of_every_image_cannot_be_evaluated(folder, segment):
    with pytest.raises(OptionError, match="'single' mean something else in every image"):
        evaluate(folder, encoder=LOADED, ks=(2,), methods=("single",))


@pytest.mark.parametrize("options", [{"ks": ()}, {"methods": ()}])
def test_nothing_to_evaluate(folder, segment, options):
    with pytest.raises(OptionError, match="nothing to evaluate"):
        evaluate(folder, **options)


def test_scores_that_do_not_exist_are_null_and_empty(dataset, tmp_path):
    for item in dataset.items:
        Image.fromarray(np.zeros_like(read_truth(dataset, item), np.uint8)).save(item.labels)
    predict, _ = noisy(dataset)
    scores = cross_validate(dataset, predict, N_LABELS)
    write_evaluation(dataset, [Result("project", 5, EncoderKey("e", None, "l", "relu"), "", scores)], tmp_path)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["results"][0]["scores"]["mean_iou"] is None
    with (tmp_path / "evaluation.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["mean_iou"] == ""
