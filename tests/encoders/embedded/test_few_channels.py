"""The convolution of few channels against the plain one."""

import numpy as np
import pytest

from halved import by_threads, case, plainly
from histofactor.encoders.embedded.few_channels import halve_few


@pytest.mark.parametrize(
    ("shape", "k"), [((1, 2, 2, 1), 1), ((1, 4, 6, 3), 2), ((2, 22, 30, 3), 16), ((3, 6, 64, 4), 8)]
)
def test_it_is_the_plain_convolution(shape, k):
    x, weight, bias = case(shape, k)
    found, expected = halve_few(x, weight, bias, 0.2), plainly(x, weight, bias, 0.2)
    assert found.shape == expected.shape == (shape[0], shape[1] // 2, shape[2] // 2, k)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_bits_do_not_hang_on_threads():
    x, weight, bias = case((2, 70, 46, 3), 128)
    made = by_threads(lambda: halve_few(x, weight, bias, 0.2))
    assert all(np.array_equal(one, made[0]) for one in made)
    np.testing.assert_allclose(halve_few(x[1:], weight, bias, 0.2)[0], made[0][1], rtol=0, atol=1e-5)
