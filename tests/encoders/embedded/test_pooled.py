import numpy as np
import pytest

from histofactor.encoders.embedded.pooled import mean_of


@pytest.mark.parametrize(
    ("bias", "expected"), [(0, (1 + 2 - 0.2 - 0.4) / 4), (2, (3 + 4 + 1 + 0) / 4), (-3, -12 * 0.05)]
)
def test_four_px_are_let_through_a_leaky_relu_before_their_mean(bias, expected):
    px = tuple(map(np.float32, (1, 2, -1, -2)))
    found = mean_of(px, np.float32(bias), np.float32(0.2))
    assert found == pytest.approx(expected)
