"""What is counted image by image gives the scores of a loop over patients and px."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as oracle

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.datasets import IGNORED, load_dataset, read_truth
from histofactor.evaluation.scores.tally import Counted, add_image, predictions, result_of

K = 3


def segmentation(labels, mpp=1.0, bank="ab", scale=1):
    """A segmentation whose px of the label map are so many px of the image."""
    recipe = {
        "bank": {"sha256": bank},
        "encoder": {"name": "tiny", "revision": "1", "layer": "conv", "transform": "relu"},
    }
    size = (labels.shape[1] * scale, labels.shape[0] * scale)
    return SimpleNamespace(
        label_map=SimpleNamespace(labels=labels),
        slide=SimpleNamespace(size=size, mpp=mpp),
        l0_per_px=(float(scale), float(scale)),
        recipe=recipe,
    )


@pytest.fixture
def dataset(folder):
    return load_dataset(folder)


def labelled(dataset):
    """Labels of every image that follow the truth in six px of ten: class 0 is mostly label 2, class 1 label 3."""
    rng = np.random.default_rng(1)
    truths = [read_truth(dataset, item) for item in dataset.items]
    return [
        np.where(rng.random(truth.shape) < 0.6, truth + 2, rng.integers(0, K + 1, truth.shape)).astype(np.uint8)
        for truth in truths
    ]


def tallied(dataset, labels, **how):
    counted = Counted("project", K)
    for item, one in zip(dataset.items, labels, strict=True):
        add_image(counted, dataset, item, read_truth(dataset, item), segmentation(one, **how))
    return counted


def test_scores_are_those_of_a_loop_over_patients_and_pixels(dataset):
    labels = labelled(dataset)
    result = result_of(tallied(dataset, labels), dataset, None)
    assert (result.method, result.k, result.bank, result.encoder.name) == ("project", K, "ab", "tiny")
    truths, patients = [read_truth(dataset, item) for item in dataset.items], [item.patient for item in dataset.items]
    ours, theirs = [], []
    for i, patient in enumerate(patients):
        rest = [j for j, other in enumerate(patients) if other != patient]
        classes = []
        for label in range(K + 1):
            seen = np.concatenate([truths[j][labels[j] == label] for j in rest])
            classes.append(np.bincount(seen[seen >= 0], minlength=2).argmax())
        kept = truths[i] != IGNORED
        ours.append(np.array(classes)[labels[i]][kept])
        theirs.append(truths[i][kept])
    ours, theirs = np.concatenate(ours), np.concatenate(theirs)
    assert result.scores.accuracy == pytest.approx(oracle.accuracy_score(theirs, ours))
    assert result.scores.mean_iou == pytest.approx(oracle.jaccard_score(theirs, ours, average="macro"))


def test_predictions_are_of_the_images_that_are_asked_for(dataset):
    labels = labelled(dataset)
    counted = tallied(dataset, labels)
    found = list(predictions(counted, dataset, None, np.array([3, 1])))
    assert [i for i, _, _ in found] == [3, 1]
    for i, truth, predicted in found:
        np.testing.assert_array_equal(truth, read_truth(dataset, dataset.items[i]))
        np.testing.assert_array_equal(predicted[labels[i] >= 2], labels[i][labels[i] >= 2] - 2)
    scored = np.array([False, True, False, True])
    assert [i for i, _, _ in predictions(counted, dataset, scored)] == [1, 3]
    assert len(result_of(counted, dataset, scored).scores.images) == 2


def test_labels_of_coarser_maps_are_counted_on_the_px_of_the_image(tmp_path, folder):
    blocks = np.kron(np.array([[1, 4], [4, 1]]), np.ones((10, 10))).astype(np.uint8)
    for path in (folder / "labels").iterdir():
        Image.fromarray(blocks).save(path)
    dataset = load_dataset(folder)
    coarse = np.array([[1, 2], [2, 1]], np.uint8)
    counted = tallied(dataset, [coarse] * 4, scale=10)
    np.testing.assert_array_equal(counted.tables, [[[0, 0], [200, 0], [0, 200], [0, 0]]] * 4)
    assert result_of(counted, dataset, None).scores.mean_iou == 1


@pytest.mark.parametrize(("mpp", "near"), [(2.0, True), (None, True), (4.0, False)])
def test_boundaries_count_within_eight_micrometres(folder, mpp, near):
    """The boundary is 3 px off; 8 µm are 4 px at 2 µm/px and 2 px at 4 µm/px; 8 px where that is unknown."""
    truth, off = np.full((16, 20), 1, np.uint8), np.ones((16, 20), np.uint8)
    truth[:, 10:], off[:, 13:] = 4, 2
    for path in (folder / "labels").iterdir():
        Image.fromarray(truth).save(path)
    dataset = load_dataset(folder)
    result = result_of(tallied(dataset, [off] * 4, mpp=mpp), dataset, None)
    assert result.scores.boundary_f1 == float(near)


def test_labels_of_another_size_are_refused(dataset):
    item = dataset.items[0]
    truth = read_truth(dataset, item)
    with pytest.raises(ImageError, match=r"a1"):
        add_image(Counted("project", K), dataset, item, truth, segmentation(np.zeros((3, 4), np.uint8)))


def test_one_bank_for_all_images(dataset):
    labels = labelled(dataset)
    counted = Counted("single", K)
    truths = [read_truth(dataset, item) for item in dataset.items]
    add_image(counted, dataset, dataset.items[0], truths[0], segmentation(labels[0]))
    with pytest.raises(OptionError, match=r"'single' mean something else in every image.*one concept bank"):
        add_image(counted, dataset, dataset.items[1], truths[1], segmentation(labels[1], bank="cd"))


def test_truth_that_is_gone_is_told(dataset):
    counted = tallied(dataset, labelled(dataset))
    dataset.items[2].labels.unlink()
    with pytest.raises(ImageError, match="cannot read the labels"):
        list(predictions(counted, dataset, None))
