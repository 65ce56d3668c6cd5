"""Ticks of the axes of plots."""

from __future__ import annotations

import math

_STEPS = (1, 2, 2.5, 5, 10, 20, 25, 50)


def ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Round values that enclose a range, evenly spaced, each with its label; at least two, and no label twice.

    Args:
        low, high: the smallest and the largest value shown; they may be equal.
        most: ticks, at most, at least 3.

    Returns:
        Values ascending, the first ≤ ``low`` and the last ≥ ``high``.
    """
    span, largest = high - low, max(abs(low), abs(high))
    if span <= 1e-9 * max(largest, 1e-3):  # equal, but for rounding
        span = largest / 10 if largest > 1e-9 else 1.0
    power = 10.0 ** math.floor(math.log10(span / (most - 1)))
    for step in (power * factor for factor in _STEPS):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        if last - first < most:
            break
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    places += round(step * 10**places, 6) % 1 > 0  # 0.25 takes one more than 0.2
    return [(n * step, f"{n * step:.{places}f}") for n in range(first, last + 1)]
