"""How far two namings of the same things agree, from the table that counts how often each pair of names meets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[Any]
"""Counts (rows, columns) ≥ 0, whole or weighed: one naming by row, the other by column."""


def table_of(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Count how often each pair of names meets.

    Args:
        rows, columns: (N,) the names of the same things, from 0.
        shape: (rows, columns) of the table.
    """
    cells = np.bincount(rows.astype(np.int64, copy=False) * shape[1] + columns, minlength=shape[0] * shape[1])
    return cells.reshape(shape)


def ari(table: Table) -> float:
    """Adjusted Rand index of two namings (Hubert & Arabie, J. Classification 1985).

    Args:
        table: (rows, columns) counts.

    Returns:
        The score, at most 1; 0 is what chance gives, and 1 where both have one name only. NaN without counts.
    """
    if not table.any():
        return float("nan")
    pairs, rows, columns = (_pairs(counts) for counts in (table, table.sum(axis=1), table.sum(axis=0)))
    chance = rows * columns / max(_pairs(table.sum()), 1.0)
    best = (rows + columns) / 2
    return 1.0 if best == chance else float((pairs - chance) / (best - chance))


def _pairs(counts: Any) -> float:
    """Pairs of things that are together, in float64: int64 overflows at 4 gigapixel."""
    counts = np.asarray(counts, np.float64)
    return float((counts * (counts - 1) / 2).sum())
