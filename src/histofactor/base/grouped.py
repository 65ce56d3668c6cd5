"""Sums of rows by group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sums_by(groups: NDArray[np.integer[Any]], rows: NDArray[Any], n: int) -> NDArray[np.float64]:
    """Sum the rows of every group.

    Args:
        groups: (N,) from 0, below n.
        rows: (N, d), d small: every column is passed over on its own.
        n: number of groups.

    Returns:
        (n, d), 0 where a group has no rows.
    """
    return np.stack([np.bincount(groups, column, minlength=n) for column in rows.T], axis=1)
