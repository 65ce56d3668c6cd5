"""Ward's rule against scipy, and what makes levels nested."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from histofactor.concepts.bank.hierarchy import nest


def same_partition(a, b):
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@pytest.mark.parametrize("seed", range(5))
def test_equal_sizes_merge_as_in_scipy(seed):
    points = np.random.default_rng(seed).random((40, 6))
    found = nest(points, np.full(40, 3), [2, 5, 17, 40])
    tree = linkage(points, "ward")
    for k in (2, 5, 17):
        assert same_partition(found[k], fcluster(tree, k, "maxclust"))
    assert len(set(found[40])) == 40


def test_a_cluster_of_many_rows_merges_as_its_rows_would():
    rng = np.random.default_rng(0)
    points, counts = rng.random((12, 3)), rng.integers(1, 6, 12)
    found = nest(points, counts, [4])[4]
    rows = np.repeat(points, counts, axis=0)
    assert same_partition(np.repeat(found, counts), fcluster(linkage(rows, "ward"), 4, "maxclust"))


def test_levels_are_nested_and_numbered_by_size():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 100, 64)
    ks = [1, 3, 8, 20, 64]
    found = nest(rng.random((64, 5)), counts, ks)
    assert list(found) == ks[::-1]
    for coarse, fine in pairwise(ks):
        assert all(len(set(found[coarse][found[fine] == owner])) == 1 for owner in range(fine))
    for k in ks:
        sizes = np.bincount(found[k], counts, minlength=k)
        assert (sizes > 0).all()
        assert (np.diff(sizes) <= 0).all()
