"""The convolution of few channels against the plain one."""

import numba
import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu

from histofactor.encoders.embedded.few_channels import halve_few


def case(shape, k, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((k, shape[-1], 3, 3), np.float32)
    return rng.standard_normal(shape, np.float32), weight, rng.standard_normal(k, np.float32)


def plainly(x, weight, bias, slope):
    """In float64, by PyTorch."""
    x, weight, bias = (torch.from_numpy(one).double() for one in (x, weight, bias))
    convolved = conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1)
    return avg_pool2d(leaky_relu(convolved, slope), 2).permute(0, 2, 3, 1).numpy()


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
    threads, made = numba.get_num_threads(), []
    try:
        for n in range(1, threads + 1):
            numba.set_num_threads(n)
            made.append(halve_few(x, weight, bias, 0.2))
    finally:
        numba.set_num_threads(threads)
    assert all(np.array_equal(one, made[0]) for one in made)
    np.testing.assert_allclose(halve_few(x[1:], weight, bias, 0.2)[0], made[0][1], rtol=0, atol=1e-5)
