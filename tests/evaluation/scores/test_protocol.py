import math

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as oracle

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.datasets import load_dataset, read_truth
from histofactor.evaluation.scores.protocol import cross_validate

PATIENTS = {"a1": "A", "a2": "A", "b1": "B", "c1": "C"}
N_LABELS = 6


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
    with pytest.raises(ImageError, match=r"a1\.png does not lie on its image; expected 10 × 5 px; got 20 × 18 px"):
        cross_validate(dataset, lambda path: np.zeros((5, 10), np.uint8), 1)


def test_labels_out_of_range(dataset):
    with pytest.raises(OptionError, match="labels are out of range"):
        cross_validate(dataset, lambda path: np.full((18, 20), 3), 3)
