"""Decoding against torch's bilinear interpolation and argmax."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.errors import OptionError
from histofactor.masks.decode import decode, label_pixels


def sparse_weights(h, w, k, seed=0, offset=-1.0):
    return np.maximum(np.random.default_rng(seed).normal(offset, 1, (h, w, k)), 0).astype(np.float32)


def upsampled(weights, size):
    """(K, height, width) by the library."""
    maps = torch.from_numpy(weights.transpose(2, 0, 1).copy())[None].double()
    return torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)[0].numpy()


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    k=st.integers(1, 12),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    seed=st.integers(0, 2**16),
    offset=st.sampled_from([-1.0, 2.0]),
)
def test_equals_interpolate_and_argmax(h, w, k, height, width, seed, offset):  # noqa: PLR0917
    weights = sparse_weights(h, w, k, seed, offset)
    maps = np.sort(upsampled(weights, (height, width)), axis=0)
    labels, margin = label_pixels(weights, (height, width))
    values = upsampled(weights, (height, width))
    chosen = np.take_along_axis(values, np.maximum(labels.astype(np.int64), 1)[None] - 1, axis=0)[0]
    np.testing.assert_allclose(chosen, maps[-1], atol=1e-5)
    second = maps[-2] if k > 1 else np.zeros_like(maps[-1])
    clear = maps[-1] > 1e-3
    expected = np.divide(maps[-1] - second, maps[-1], where=clear, out=np.zeros_like(second))
    np.testing.assert_allclose(margin[clear], expected[clear], atol=1e-3)
    np.testing.assert_array_equal(labels[maps[-1] == 0], 0)
    decided = clear & (expected > 1e-4)
    np.testing.assert_array_equal(decode(weights, (height, width))[decided], values.argmax(0)[decided])


def test_ties_go_to_the_lower_index():
    weights = np.ones((3, 4, 5), np.float32)
    weights[..., 0] = 0.5
    assert (decode(weights, (20, 30)) == 1).all()


def test_no_weight_at_all():
    labels, margin = label_pixels(np.zeros((2, 2, 3), np.float32), (5, 5))
    assert (labels == 0).all()
    assert (margin == 0).all()
    assert (decode(np.zeros((2, 2, 3), np.float32), (5, 5)) == 0).all()


@pytest.mark.parametrize(("k", "dtype"), [(2, np.uint8), (255, np.uint8), (256, np.uint16)])
def test_labels_have_room(k, dtype):
    weights = np.zeros((1, 1, k), np.float32)
    weights[..., -1] = 1
    labels, _ = label_pixels(weights, (2, 2))
    assert labels.dtype == dtype
    assert (labels == k).all()
    assert (decode(weights, (2, 2)) == k - 1).all()


def test_identity_size_is_argmax_of_tokens():
    weights = sparse_weights(6, 7, 9, offset=1.0)
    np.testing.assert_array_equal(decode(weights, (6, 7)), weights.argmax(-1))


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 2), (4, 4)), ((2, 2, 0), (4, 4)), ((2, 2, 3), (0, 4)), ((0, 2, 3), (4, 4))]
)
def test_bad_shapes(shape, size):
    with pytest.raises(OptionError, match="cannot decode"):
        decode(np.ones(shape, np.float32), size)
