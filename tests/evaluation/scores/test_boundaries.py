"""Boundaries against scikit-image's, and what does not count."""

import math

import numpy as np
import pytest
from scipy import ndimage

from histofactor.evaluation.scores.boundaries import BoundaryCounts, boundary_counts, boundary_f1


def squares(shift=0):
    labels = np.zeros((40, 50), np.int64)
    labels[10 + shift : 30 + shift, 10 + shift : 30 + shift] = 1
    return labels


@pytest.mark.parametrize(("shift", "tolerance", "score"), [(0, 0, 1.0), (2, 3, 1.0), (3, 2, None), (8, 2, None)])
def test_a_square_that_is_moved(shift, tolerance, score):
    found = boundary_f1(boundary_counts(squares(shift), squares(), tolerance))
    assert found == 1.0 if score == 1.0 else 0 < found < 1


def test_counts_are_those_of_plain_distances():
    rng = np.random.default_rng(0)
    a, b = (ndimage.zoom(rng.integers(3, size=(6, 7)), 6, order=0) for _ in range(2))

    def edges(labels):
        found = np.zeros(labels.shape, bool)
        found[:, :-1] |= labels[:, 1:] != labels[:, :-1]
        found[:-1] |= labels[1:] != labels[:-1]
        return found

    ours, theirs = edges(a), edges(b)
    for tolerance in (0, 1, 2.5, 6):
        near = [ndimage.distance_transform_edt(~one) <= tolerance for one in (ours, theirs)]
        expected = BoundaryCounts((theirs & near[0]).sum(), theirs.sum(), (ours & near[1]).sum(), ours.sum())
        assert boundary_counts(a, b, tolerance) == expected


def test_what_is_ignored_has_no_boundaries():
    truth = squares()
    truth[:, :20] = -1
    counts = boundary_counts(squares(), truth, 1, ignore=-1)
    assert counts.truth == counts.predicted == counts.found == counts.right
    assert counts.truth < boundary_counts(squares(), squares(), 1).truth


def test_no_boundaries():
    plain = np.zeros((9, 9), int)
    assert math.isnan(boundary_f1(boundary_counts(plain, plain, 2)))
    assert (
        boundary_f1(boundary_counts(plain, squares()[:9, :20].reshape(9, 20)[:, :9] * 0 + np.eye(9, dtype=int), 2)) == 0
    )
