"""Sums by group, against the plain loop."""

import numpy as np

from histofactor.base.grouped import sums_by


def test_sums_are_those_of_the_rows_of_each_group():
    rng = np.random.default_rng(0)
    groups, rows = rng.integers(0, 5, 200) * 2, rng.normal(size=(200, 3)).astype(np.float32)
    found = sums_by(groups, rows, 12)
    assert found.shape == (12, 3)
    assert found.dtype == np.float64
    for group in range(12):
        np.testing.assert_allclose(found[group], rows[groups == group].sum(0, dtype=np.float64), rtol=1e-12)
    assert not found[1::2].any()
