"""Ticks are round, enclose what is shown, and no two are called alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.export.axis import ticks


@given(low=st.floats(-1e6, 1e6), span=st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), most=st.integers(3, 8))
def test_any_range(low, span, most):
    high = low + span
    found = ticks(low, high, most)
    values, labels = zip(*found, strict=True)
    tolerance = 1e-6 * max(abs(low), abs(high), 1e-3)
    assert 2 <= len(found) <= most
    assert len({*labels}) == len(labels)
    assert values[0] <= low + tolerance
    assert values[-1] >= high - tolerance
    assert np.allclose(np.diff(values), values[1] - values[0])
    assert np.allclose([float(label) for label in labels], values, rtol=1e-9, atol=1e-9 * (values[1] - values[0]))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.2401, 0.2449, ["0.240", "0.242", "0.244", "0.246"]),  # once drawn from 0.24 to 0.24
        (0.24, 0.24, None),
        (0.0, 0.0, None),
        (0.03, 0.97, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
    ],
)
def test_examples(low, high, labels):
    found = [label for _, label in ticks(low, high)]
    assert len({*found}) >= 2
    assert labels is None or found == labels
