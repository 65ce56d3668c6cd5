"""The quick convolution against the plain one."""

import numba
import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu

from histofactor.encoders.embedded.winograd import halve, transformed


def case(shape, k, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, np.float32)
    weight = rng.standard_normal((k, shape[-1], 3, 3), np.float32)
    return x, weight, rng.standard_normal(k, np.float32)


def plainly(x, weight, bias, slope):
    """In float64, by PyTorch."""
    x, weight, bias = (torch.from_numpy(one).double() for one in (x, weight, bias))
    convolved = conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1)
    return avg_pool2d(leaky_relu(convolved, slope), 2).permute(0, 2, 3, 1).numpy()


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
    kernels, threads, made = transformed(weight), numba.get_num_threads(), []
    try:
        for n in range(1, threads + 1):
            numba.set_num_threads(n)
            made.append(halve(x, kernels, bias, 0.2))
    finally:
        numba.set_num_threads(threads)
    assert all(np.array_equal(one, made[0]) for one in made)
    alone = halve(x[1:], kernels, bias, 0.2)
    np.testing.assert_allclose(alone[0], made[0][1], rtol=0, atol=1e-4)
