"""Decoding on a tensor's device against the compiled kernel, and how much it holds at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from histofactor.errors import OptionError
from histofactor.masks import torch_decode
from histofactor.masks.decode import decode, label_pixels
from histofactor.masks.torch_decode import decode_torch, label_pixels_torch


def sparse_weights(h, w, k, seed=0, offset=-1.0):
    return np.maximum(np.random.default_rng(seed).normal(offset, 1, (h, w, k)), 0).astype(np.float32)


@settings(max_examples=60)
@given(
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    k=st.integers(1, 40),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    seed=st.integers(0, 2**16),
    offset=st.sampled_from([-1.0, 2.0]),
)
def test_equals_the_compiled_kernel(h, w, k, height, width, seed, offset):  # noqa: PLR0917
    weights = sparse_weights(h, w, k, seed, offset)
    labels, margin = label_pixels(weights, (height, width))
    labels_t, margin_t = label_pixels_torch(torch.from_numpy(weights), (height, width))
    clear = (margin > 1e-6) | (labels == 0)
    np.testing.assert_array_equal(labels_t.numpy()[clear], labels[clear])
    np.testing.assert_allclose(margin_t.numpy(), margin, atol=1e-6)


@pytest.mark.parametrize("offset", [-1.0, 1.0])
@pytest.mark.parametrize("size", [(512, 768), (500, 701)])
def test_labels_of_an_image_are_equal(size, offset):
    weights = sparse_weights(32, 48, 64, offset=offset)
    labels = decode_torch(torch.from_numpy(weights), size).numpy()
    assert (labels == decode(weights, size)).mean() >= 0.9999


@pytest.mark.parametrize("k", [5, 37])
def test_ties_go_to_the_lower_index(k):
    """Among equals in one chunk of concepts and across chunks."""
    weights = torch.ones(3, 4, k)
    weights[..., 0] = 0.5
    labels, margin = label_pixels_torch(weights, (20, 30))
    assert (labels == 2).all()
    assert (margin == 0).all()


def test_no_weight_at_all():
    labels, margin = label_pixels_torch(torch.zeros(2, 2, 3), (5, 5))
    assert (labels == 0).all()
    assert (margin == 0).all()
    assert (decode_torch(torch.zeros(2, 2, 3), (5, 5)) == 0).all()


@pytest.mark.parametrize(
    ("k", "of_concepts", "of_labels"),
    [(255, torch.uint8, torch.uint8), (256, torch.uint8, torch.int32), (257, torch.int32, torch.int32)],
)
def test_labels_have_room(k, of_concepts, of_labels):
    weights = torch.zeros(1, 1, k)
    weights[..., -1] = 1
    assert decode_torch(weights, (2, 2)).dtype == of_concepts
    assert (decode_torch(weights, (2, 2)) == k - 1).all()
    labels, margin = label_pixels_torch(weights, (2, 2))
    assert labels.dtype == of_labels
    assert (labels == k).all()
    assert (margin == 1).all()


def test_input_is_not_changed_and_may_need_gradients():
    weights = torch.from_numpy(sparse_weights(6, 7, 20)).requires_grad_()
    before = weights.detach().clone()
    assert not decode_torch(weights, (6, 7)).requires_grad
    assert torch.equal(weights, before)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation returns."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return result


def test_bands_do_not_show_and_bound_what_is_held(monkeypatch):
    weights = torch.from_numpy(sparse_weights(8, 9, 40))
    whole = label_pixels_torch(weights, (300, 200))
    monkeypatch.setattr(torch_decode, "_NUMBERS", 16 * 200 * 7)
    with Largest() as largest:
        banded = label_pixels_torch(weights, (300, 200))
    assert all(torch.equal(*pair) for pair in zip(whole, banded, strict=True))
    assert largest.numbers == 300 * 200  # the result itself; a map per concept would be 40 times as much


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 2), (4, 4)), ((2, 2, 0), (4, 4)), ((2, 2, 3), (-1, 4)), ((0, 2, 3), (4, 4))]
)
@pytest.mark.parametrize("call", [decode_torch, label_pixels_torch])
def test_bad_shapes(shape, size, call):
    with pytest.raises(OptionError, match="cannot decode"):
        call(torch.ones(shape), size)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_weights_stay_on_the_device():
    weights = sparse_weights(32, 48, 64)
    labels = decode(torch.from_numpy(weights).cuda(), (500, 701))
    assert labels.device.type == "cuda"
    assert (labels.cpu().numpy() == decode(weights, (500, 701))).mean() >= 0.9999
