"""Intervals over patients: whole patients are drawn, pairs stay pairs, coverage is what it says."""

import numpy as np
import pytest

from histofactor.evaluation.scores.bootstrap import interval, paired_difference
from histofactor.evaluation.scores.metrics import accuracy


def matrices(rates, n=100, seed=0):
    """Confusion matrices of images whose px are right at these rates."""
    right = np.random.default_rng(seed).binomial(n, rates)
    return np.stack([[[r, n - r], [0, 0]] for r in right])


def test_the_value_is_that_of_the_sum_and_lies_in_its_interval():
    found = matrices(np.linspace(0.5, 0.9, 12))
    got = interval(found, list("aabbccddeeff"), accuracy)
    assert got.value == accuracy(found.sum(0))
    assert got.low < got.value < got.high
    assert got == interval(found, list("aabbccddeeff"), accuracy)


def test_patients_are_drawn_whole():
    found = matrices([0.9] * 10 + [0.5] * 10)
    apart, together = (interval(found, groups, accuracy) for groups in (range(20), [0] * 10 + [1] * 10))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    one = interval(found, ["x"] * 20, accuracy)
    assert one.low == one.high == pytest.approx(one.value)


def test_pairs_stay_pairs():
    rates = np.random.default_rng(1).uniform(0.4, 0.9, 20)
    base = matrices(rates)
    better = base.copy()
    better[:, 0, 0] += 3
    better[:, 0, 1] -= 3
    got = paired_difference(better, base, range(20), accuracy)
    assert got.value == pytest.approx(0.03)
    assert got.low == pytest.approx(0.03)  # though the scores themselves vary by far more
    assert paired_difference(base, base, range(20), accuracy) == (0, 0, 0)


def test_coverage():
    inside = 0
    for seed in range(200):
        rates = np.random.default_rng(seed).uniform(0.5, 0.9, 25)
        got = interval(matrices(rates, seed=seed), range(25), accuracy, draws=400)
        inside += got.low <= 0.7 <= got.high
    assert 0.85 <= inside / 200 <= 0.99


def test_a_score_that_never_exists():
    got = interval(np.zeros((3, 2, 2), np.int64), range(3), accuracy)
    assert np.isnan(got).all()
