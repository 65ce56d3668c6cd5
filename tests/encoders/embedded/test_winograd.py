"""The quick convolution against the plain one."""

import numpy as np
import pytest

from halved import by_threads, case, plainly
from histofactor.encoders.embedded.winograd import halve, transformed


@pytest.mark.parametrize(
    ("shape", "k"),
    [((1, 2, 2, 1), 1), ((1, 4, 4, 3), 2), ((2, 22, 30, 5), 7), ((3, 6, 64, 16), 16), ((1, 66, 2, 8), 4)],
)
def test_it_is_the_plain_convolution(shape, k):
    x, weight, bias = case(shape, k)
    found, expected = halve(x, transformed(weight), bias, 0.2), plainly(x, weight, bias, 0.2)
    assert found.shape == expected.shape == (shape[0], shape[1] // 2, shape[2] // 2, k)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("place", [(0, 0), (1, 1), (2, 0)])
def test_a_kernel_of_one_px_moves_the_image(place):
    x, weight, bias = case((1, 8, 8, 1), 1)
    weight[:], bias[:] = 0, 0
    weight[0, 0][place] = 1
    moved = np.pad(np.abs(x), ((0, 0), (1, 1), (1, 1), (0, 0)))[:, place[0] : place[0] + 8, place[1] : place[1] + 8]
    expected = moved.reshape(1, 4, 2, 4, 2, 1).mean((2, 4))
    np.testing.assert_allclose(halve(np.abs(x), transformed(weight), bias, 0.2), expected, atol=1e-6)


def test_what_is_below_zero_is_weighed_by_the_slope():
    x, weight, bias = case((1, 8, 8, 4), 3)
    one, other = (halve(x, transformed(weight), bias - 1000, slope) for slope in (0.1, 0.2))
    np.testing.assert_allclose(2 * one, other, rtol=1e-6)


def test_bits_do_not_hang_on_threads():
    x, weight, bias = case((2, 70, 46, 32), 32)
    kernels = transformed(weight)
    made = by_threads(lambda: halve(x, kernels, bias, 0.2))
    assert all(np.array_equal(one, made[0]) for one in made)
    alone = halve(x[1:], kernels, bias, 0.2)
    np.testing.assert_allclose(alone[0], made[0][1], rtol=0, atol=1e-4)
