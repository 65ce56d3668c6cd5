"""Agreement with scikit-learn's over px, and which columns count as sources."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

from histofactor.evaluation.data.datasets import Item
from histofactor.evaluation.scores.origin_bias import agreement, bound_to_one


def items(patients, **facts):
    columns = [dict(zip(facts, values, strict=True)) for values in zip(*facts.values(), strict=True)]
    return [
        Item(f"s{i}", Path("x"), Path("y"), patient, told)
        for i, (patient, told) in enumerate(zip(patients, columns or [{}] * len(patients), strict=True))
    ]


def test_scores_are_those_of_all_px():
    counts = np.random.default_rng(0).integers(0, 30, (5, 4))
    scanners, stains = ["a", "b", "a", "b", "b"], ["x", "", "y", "y", "x"]
    found = agreement(items("PPQQR", scanner=scanners, stain=stains), counts)
    assert list(found) == ["patient", "scanner", "stain"]
    for column, values in (("patient", list("PPQQR")), ("scanner", scanners), ("stain", stains)):
        px = [(label, value) for row, value in zip(counts, values, strict=True) if value
              for label, n in enumerate(row) for _ in range(n)]  # fmt: skip
        labels, sources = zip(*px, strict=True)
        assert found[column].nmi == pytest.approx(oracle.normalized_mutual_info_score(sources, labels))
        assert found[column].ari == pytest.approx(oracle.adjusted_rand_score(sources, labels))


def test_labels_that_are_the_source_and_labels_that_do_not_care():
    same = agreement(items("PPQQ"), np.array([[9, 0], [5, 0], [0, 7], [0, 8]]))["patient"]
    assert (same.nmi, same.ari) == (pytest.approx(1), pytest.approx(1))
    apart = agreement(items("PPQQ"), np.full((4, 3), 1000))["patient"]
    assert (apart.nmi, apart.ari) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-3))


@pytest.mark.parametrize("values", ["aaaa", "abcd", ["", "", "", ""], ["a", "b", "", ""], ["a", "a", "", ""]])
def test_columns_that_tell_nothing_or_everything_are_left_out(values):
    assert list(agreement(items("PPPP", batch=values), np.ones((4, 2), int))) == []
    assert list(agreement(items("PQRS"), np.ones((4, 2), int))) == []


def test_labels_bound_to_one_source_are_told_though_the_others_are_not():
    even, own = np.full((4, 18), 50), np.diag([100, 100, 0, 0])[:, :2]
    assert bound_to_one(even) == pytest.approx(0)
    assert bound_to_one(np.diag([5, 50, 500])) == pytest.approx(1)
    assert bound_to_one(np.hstack([even, own])) == pytest.approx(1)  # two of twenty labels
    assert bound_to_one(np.array([[90, 10], [10, 90]])) == pytest.approx(0.8)
    assert bound_to_one(np.array([[900, 0], [90, 0]])) == pytest.approx(0)  # every source counts alike
    assert bound_to_one(np.hstack([even * 100, np.eye(4, dtype=int)])) == pytest.approx(0)  # a few stray px
    assert np.isnan(bound_to_one(np.zeros((2, 3), int)))
