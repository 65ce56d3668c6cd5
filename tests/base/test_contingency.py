"""Agreement of two namings: as scikit-learn has it, whatever the names and however many the things."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as oracle

from histofactor.base.contingency import ari, table_of


@given(pair=arrays(np.int8, (2, 40), elements=st.integers(0, 4)))
@settings(max_examples=100)
def test_it_is_that_of_scikit_learn(pair):
    labels, truth = pair
    table = np.zeros((5, 5), np.int64)
    np.add.at(table, (labels, truth), 1)
    assert ari(table) == pytest.approx(oracle.adjusted_rand_score(truth, labels), abs=1e-9)


def test_it_does_not_depend_on_names():
    table = np.random.default_rng(3).integers(1, 50, (7, 4))
    assert ari(table[[3, 0, 6, 1, 5, 2, 4]]) == pytest.approx(ari(table))


def test_many_things_do_not_overflow():
    table = np.array([[6, 1], [1, 4]]) * 10**10
    assert 0.3 < ari(table) < ari(np.diag([6, 4]) * 10**10) == pytest.approx(1.0)


def test_without_counts_it_is_nan():
    assert math.isnan(ari(np.zeros((3, 3), np.int64)))


def test_a_table_counts_how_often_names_meet():
    rows, columns = np.array([0, 2, 2, 0, 2], np.uint8), np.array([1, 0, 0, 1, 3])
    np.testing.assert_array_equal(table_of(rows, columns, (4, 5)), [[0, 2, 0, 0, 0], [0] * 5, [2, 0, 0, 1, 0], [0] * 5])
    assert table_of(rows[:0], columns[:0], (2, 3)).tolist() == [[0] * 3] * 2
