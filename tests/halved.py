"""A halved image by PyTorch in float64, and what it is made of: the oracle of the quick ways of a CPU."""

import numba
import numpy as np
import torch
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu


def case(shape, k, seed=0):
    """Random px (n, h, w, c), kernels (k, c, 3, 3) and biases (k,)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, np.float32)
    weight = rng.standard_normal((k, shape[-1], 3, 3), np.float32)
    return x, weight, rng.standard_normal(k, np.float32)


def plainly(x, weight, bias, slope):
    """The result (n, h / 2, w / 2, k)."""
    x, weight, bias = (torch.from_numpy(one).double() for one in (x, weight, bias))
    convolved = conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1)
    return avg_pool2d(leaky_relu(convolved, slope), 2).permute(0, 2, 3, 1).numpy()


def by_threads(halve):
    """What a call gives with one thread, two, and so on to all that there are."""
    threads, made = numba.get_num_threads(), []
    try:
        for n in range(1, threads + 1):
            numba.set_num_threads(n)
            made.append(halve())
    finally:
        numba.set_num_threads(threads)
    return made
