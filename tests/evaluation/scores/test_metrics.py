import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as oracle

from histofactor.errors import OptionError
from histofactor.evaluation.scores.metrics import (
    accuracy,
    apply_map,
    confusion,
    dice_per_class,
    grouped_folds,
    held_out_and_rest,
    iou_per_class,
    majority_map,
    mean_dice,
    mean_iou,
    nmi,
)


def random_pair(seed, n_labels=7, n_classes=4, shape=(30, 20)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_classes, size=shape)
    labels = np.where(rng.random(shape) < 0.6, truth, rng.integers(n_labels, size=shape))
    return labels.astype(np.uint8), truth.astype(np.int32)


def test_confusion_counts_as_scikit_learn_does():
    labels, truth = random_pair(0)
    expected = oracle.confusion_matrix(labels.ravel(), truth.ravel(), labels=range(7))[:, :4]
    table = confusion(labels, truth, 7, 4)
    np.testing.assert_array_equal(table, expected)
    assert table.dtype == np.int64


def test_ignored_pixels_are_not_counted_whatever_their_value():
    labels, truth = random_pair(1)
    truth[:5] = 255
    np.testing.assert_array_equal(confusion(labels, truth, 7, 4, ignore=255), confusion(labels[5:], truth[5:], 7, 4))
    inner = truth.clip(max=3)
    inner[:5] = 0
    table = confusion(labels, inner, 7, 4, ignore=0)
    assert table[:, 0].sum() == 0
    assert table.sum() == (inner != 0).sum()


def test_small_types_do_not_overflow():
    labels = np.full((20, 20), 255, np.uint8)
    table = confusion(labels, np.full((20, 20), 200, np.uint8), 256, 201)
    assert table[255, 200] == 400 == table.sum()


@pytest.mark.parametrize(
    ("labels", "truth", "told"),
    [([[7]], [[0]], "labels are out of range"), ([[0]], [[4]], "classes are out"), ([[-1]], [[0]], "labels are out")],
)
def test_values_out_of_range(labels, truth, told):
    with pytest.raises(OptionError, match=told):
        confusion(np.array(labels), np.array(truth), 7, 4)


def test_shapes_that_differ():
    with pytest.raises(OptionError, match=r"expected shape \(3, 2\).*got \(2, 3\)"):
        confusion(np.zeros((2, 3), int), np.zeros((3, 2), int), 1, 1)


def test_majority_map_breaks_ties_low_and_fills_empty_labels():
    table = np.array([[5, 5, 0], [0, 1, 9], [0, 0, 0], [1, 2, 2]])
    np.testing.assert_array_equal(majority_map(table), [0, 2, 2, 1])


def test_apply_map_is_counting_after_mapping():
    labels, truth = random_pair(2)
    table = confusion(labels, truth, 7, 4)
    classes = majority_map(table)
    np.testing.assert_array_equal(apply_map(table, classes), confusion(classes[labels], truth, 4, 4))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_scores_are_those_of_scikit_learn(seed):
    predicted, truth = random_pair(seed, n_labels=4)
    matrix = confusion(predicted, truth, 4, 4)
    p, t = predicted.ravel(), truth.ravel()
    np.testing.assert_allclose(iou_per_class(matrix), oracle.jaccard_score(t, p, average=None))
    np.testing.assert_allclose(dice_per_class(matrix), oracle.f1_score(t, p, average=None))
    assert mean_iou(matrix) == pytest.approx(oracle.jaccard_score(t, p, average="macro"))
    assert mean_dice(matrix) == pytest.approx(oracle.f1_score(t, p, average="macro"))
    assert accuracy(matrix) == pytest.approx(oracle.accuracy_score(t, p))


@given(pair=arrays(np.int8, (2, 40), elements=st.integers(0, 4)))
@settings(max_examples=100)
def test_clustering_scores_are_those_of_scikit_learn(pair):
    labels, truth = pair
    table = confusion(labels, truth, 5, 5)
    assert nmi(table) == pytest.approx(oracle.normalized_mutual_info_score(truth, labels), abs=1e-9)


def test_clustering_scores_do_not_depend_on_the_names_of_labels():
    labels, truth = random_pair(3)
    table = confusion(labels, truth, 7, 4)
    shuffled = table[[3, 0, 6, 1, 5, 2, 4]]
    assert nmi(shuffled) == pytest.approx(nmi(table))


def test_classes_in_neither_are_left_out_and_classes_in_one_count_as_0():
    matrix = np.array([[8, 0, 2], [0, 0, 0], [0, 0, 0]])  # class 1 is nowhere, class 2 never predicted
    np.testing.assert_allclose(iou_per_class(matrix), [0.8, np.nan, 0])
    assert mean_iou(matrix) == pytest.approx(0.4)
    assert mean_dice(matrix) == pytest.approx((16 / 18) / 2)


def test_scores_without_pixels_are_nan():
    empty = np.zeros((3, 3), np.int64)
    assert all(math.isnan(score(empty)) for score in (mean_iou, mean_dice, accuracy, nmi))


def test_folds_leave_one_group_out_in_the_order_of_the_items():
    assert grouped_folds(["b", "a", "b", "c", "a"]) == [[0, 2], [1, 4], [3]]


@given(groups=st.lists(st.integers(0, 6), min_size=2, max_size=40), data=st.data())
def test_folds_hold_every_item_out_once_and_keep_groups_whole(groups, data):
    n_groups = len(set(groups))
    if n_groups < 2:
        with pytest.raises(OptionError, match="at least two groups"):
            grouped_folds(groups)
        return
    n_folds = data.draw(st.integers(2, n_groups))
    folds = grouped_folds(groups, n_folds)
    assert len(folds) == n_folds
    assert all(folds)
    assert sorted(item for fold in folds for item in fold) == list(range(len(groups)))
    owners = [{groups[item] for item in fold} for fold in folds]
    assert sum(map(len, owners)) == n_groups
    assert folds == grouped_folds(groups, n_folds)


def test_folds_are_balanced():
    assert [len(fold) for fold in grouped_folds([*"aaaaaa", *"bbb", *"ccc"], 2)] == [6, 6]


@pytest.mark.parametrize("n_folds", [-1, 0, 1, 4])
def test_number_of_folds(n_folds):
    with pytest.raises(OptionError, match="2 … 3"):
        grouped_folds("abc", n_folds)


def test_what_is_held_out_and_the_rest():
    def plain(folds):
        return [(fold.tolist(), rest.tolist()) for fold, rest in folds]

    groups = "abcab"
    assert plain(held_out_and_rest(groups)) == [([0, 3], [1, 2, 4]), ([1, 4], [0, 2, 3]), ([2], [0, 1, 3, 4])]
    assert plain(held_out_and_rest(groups, n_folds=2)) == [([0, 2, 3], [1, 4]), ([1, 4], [0, 2, 3])]
    scored = np.array([False, True, True, False, False])
    assert plain(held_out_and_rest("aaaaa", scored, 2)) == [([1, 2], [0, 3, 4])]
