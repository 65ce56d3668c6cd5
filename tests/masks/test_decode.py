"""Decoding against torch's bilinear interpolation, argmax and shares."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.errors import OptionError
from histofactor.masks.decode import decode, decode_soft, label_pixels


def sparse_weights(h, w, k, seed=0, offset=-1.0):
    return np.maximum(np.random.default_rng(seed).normal(offset, 1, (h, w, k)), 0).astype(np.float32)


def upsampled(weights, size):
    """(K, height, width) by the library."""
    maps = torch.from_numpy(weights.transpose(2, 0, 1).copy())[None].double()
    return torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)[0].numpy()


@settings(max_examples=60)
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


@settings(max_examples=40)
@given(h=st.integers(1, 6), w=st.integers(1, 6), k=st.integers(2, 12), seed=st.integers(0, 99), data=st.data())
def test_unions_are_called_by_their_owner(h, w, k, seed, data):
    groups = data.draw(st.integers(1, k))
    owners = np.random.default_rng(seed).permutation(np.arange(k) % groups)
    weights = sparse_weights(h, w, k, seed)
    size = (h * 5 + 1, w * 7)
    labels, margin = label_pixels(weights, size, owners.tolist())
    finest, _ = label_pixels(weights, size)
    np.testing.assert_array_equal(labels, np.concatenate([[0], owners + 1])[finest])
    maps = upsampled(weights, size)
    best = np.stack([np.zeros(size), *(maps[owners == group].max(0) for group in range(groups))])
    second, first = np.sort(best, axis=0)[-2:]
    expected = np.divide(first - second, first, out=np.zeros_like(first), where=first > 0)
    clear = first > 1e-4
    np.testing.assert_allclose(margin[clear], expected[clear], atol=1e-3)


def test_owners_must_fit():
    with pytest.raises(OptionError, match="3 owners"):
        label_pixels(np.ones((2, 2, 3), np.float32), (4, 4), [0, 1])


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
    ("shape", "size"), [((2, 2), (4, 4)), ((2, 2, 0), (4, 4)), ((2, 2, 3), (-1, 4)), ((0, 2, 3), (4, 4))]
)
def test_bad_shapes(shape, size):
    with pytest.raises(OptionError, match="cannot decode"):
        decode(np.ones(shape, np.float32), size)


@pytest.mark.parametrize("k", [3, 255, 256, 257])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_in_tensors_out(k, dtype):
    weights = torch.from_numpy(sparse_weights(4, 5, k)).to(dtype).requires_grad_()
    labels = decode(weights, (23, 31))
    assert labels.dtype == (torch.uint8 if k <= 256 else torch.int32)
    np.testing.assert_array_equal(labels.numpy(), decode(weights.detach().float().numpy(), (23, 31)))


def test_bad_tensors():
    with pytest.raises(OptionError, match="cannot decode"):
        decode(torch.ones(2, 2), (4, 4))


@settings(max_examples=60)
@given(
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    k=st.integers(1, 12),
    height=st.integers(1, 150),
    width=st.integers(1, 60),
    seed=st.integers(0, 2**16),
)
def test_soft_is_a_share_of_the_upsampled_total(h, w, k, height, width, seed):
    weights = sparse_weights(h, w, k, seed)
    chosen = np.random.default_rng(seed).integers(0, k, 3)
    maps = upsampled(weights, (height, width))
    total = maps.sum(0)
    expected = np.divide(maps[chosen], total, where=total > 1e-4, out=np.zeros_like(maps[chosen]))
    shares = decode_soft(weights, (height, width), chosen)
    assert shares.dtype == np.float32
    assert shares.min() >= 0
    assert shares.max() <= 1
    clear = np.broadcast_to(total > 1e-4, shares.shape)
    np.testing.assert_allclose(shares[clear], expected[clear], atol=1e-3)
    assert (shares[np.broadcast_to(total == 0, shares.shape)] == 0).all()


def test_soft_shares_of_all_concepts_sum_to_one():
    weights = sparse_weights(12, 9, 6, offset=1.0)
    np.testing.assert_allclose(decode_soft(weights, (200, 170), range(6)).sum(0), 1, atol=1e-5)
    assert decode_soft(weights, (200, 170), []).shape == (0, 200, 170)


@pytest.mark.parametrize("concept", [-1, 3])
def test_soft_of_a_concept_that_is_not_there(concept):
    with pytest.raises(OptionError, match=f"concepts from 0 to 2.*{concept}"):
        decode_soft(np.ones((2, 2, 3), np.float32), (4, 4), [concept])
