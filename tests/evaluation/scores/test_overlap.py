"""Scores of a table against scikit-learn, on a thousand random label maps."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from histofactor.base.contingency import ari
from histofactor.evaluation.scores.metrics import apply_map, confusion, majority_map, mean_iou, nmi
from histofactor.evaluation.scores.overlap import (
    achievable_accuracy,
    hungarian_map,
    matched,
    undersegmentation,
    v_measure,
)


def test_a_thousand_label_maps_with_ignored_regions_and_labels_that_never_occur():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        shape, classes, labels = rng.integers(1, 14, 2), int(rng.integers(1, 5)), int(rng.integers(1, 9))
        truth = rng.integers(-1, classes, shape)
        found = rng.choice(rng.permutation(12)[:labels], shape)  # labels of 0 … 11, of which some never occur
        table = confusion(found, truth, 12, classes, ignore=-1)
        t, p = truth[truth >= 0], found[truth >= 0]
        if not len(t):
            assert np.isnan(v_measure(table).v)
            continue
        expected = oracle.homogeneity_completeness_v_measure(t, p)
        np.testing.assert_allclose(v_measure(table), expected, atol=1e-9)
        assert nmi(table) == pytest.approx(oracle.normalized_mutual_info_score(t, p), abs=1e-9)
        assert ari(table) == pytest.approx(oracle.adjusted_rand_score(t, p), abs=1e-9)
        named = majority_map(table)[p]
        assert achievable_accuracy(table) == pytest.approx(oracle.accuracy_score(t, named), abs=1e-9)
        present = sorted(set(t) | set(named))
        iou = oracle.jaccard_score(t, named, labels=present, average="macro", zero_division=0)
        assert mean_iou(apply_map(table, majority_map(table))) == pytest.approx(iou, abs=1e-9)


def test_undersegmentation_by_its_definition():
    rng = np.random.default_rng(1)
    table = rng.integers(0, 30, (5, 3))
    spilled = sum(min(row[c], row.sum() - row[c]) for row in table for c in range(3))
    assert undersegmentation(table) == pytest.approx(spilled / table.sum())
    assert undersegmentation(np.diag([3, 4])) == 0
    assert np.isnan(undersegmentation(np.zeros((2, 2), np.int64)))


def test_the_best_matching_of_all():
    rng = np.random.default_rng(2)
    from itertools import permutations

    for _ in range(50):
        table = rng.integers(0, 20, (4, 3))
        classes = hungarian_map(table)
        best = max(sum(table[row, column] for column, row in enumerate(rows)) for rows in permutations(range(4), 3))
        assert sum(table[row, column] for row, column in enumerate(classes) if column >= 0) == best
        assert sorted(classes) == [-1, 0, 1, 2]
        matrix = matched(table, classes)
        assert matrix.shape == (4, 4)
        assert matrix.sum() == table.sum()
        assert np.trace(matrix) == best
        np.testing.assert_array_equal(matrix[-1, :3], table[classes == -1].sum(0))
