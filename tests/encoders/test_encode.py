"""Pixels to features to responses."""

import numpy as np
import pytest
import torch

from histofactor.encoders.build import assemble, load_encoder
from histofactor.encoders.encode import encode, respond
from histofactor.encoders.encoder import Inference, run_as
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get
from histofactor.errors import OptionError


def batch(n=2, side=64, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (n, side, side, 3), np.uint8)


def test_normalisation_and_transform(tiny_encoder):
    pixels = batch()
    normalized = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    expected = torch.relu(tiny_encoder.dense(normalized)).permute(0, 2, 3, 1)
    torch.testing.assert_close(encode(tiny_encoder, pixels).values, expected)


def test_read_only_pixels_are_fine_and_kept(tiny_encoder):
    pixels = batch()
    pixels.flags.writeable = False
    before = pixels.copy()
    encode(tiny_encoder, pixels)
    np.testing.assert_array_equal(pixels, before)


def test_responses(tiny_encoder):
    features = encode(tiny_encoder, batch())
    X = features.values.numpy()
    directions = np.random.default_rng(0).random((12, 5))
    B, sq_norms = respond(features, directions)
    np.testing.assert_allclose(B, X @ directions, rtol=1e-5)
    np.testing.assert_allclose(sq_norms, (X**2).sum(-1), rtol=1e-5)
    whole, _ = respond(features, None)
    np.testing.assert_array_equal(whole, X)


@pytest.mark.parametrize("name", ["embedded", "vit"])
def test_a_shorter_format_gives_nearly_the_same(name):
    if name == "embedded":
        plain = load_encoder("embedded", device="cpu")
    else:
        spec = get("timm:vit_tiny_patch16_224")
        torch.manual_seed(0)
        plain = assemble(spec, build_network(spec))
    shorter = run_as(plain, Inference(precision="bfloat16"))
    pixels = batch(1, 128)
    ours, theirs = encode(plain, pixels).values, encode(shorter, pixels).values
    assert theirs.dtype == torch.float32
    assert not torch.equal(ours, theirs)
    assert (ours - theirs).norm() < 0.03 * ours.norm()


def test_precision_follows_the_device_unless_it_is_asked_for():
    assert load_encoder("embedded", device="cpu").precision == "float32"
    asked = load_encoder("embedded", device="cpu", inference=Inference(precision="bfloat16"))
    assert asked.precision == "bfloat16"
    with pytest.raises(OptionError, match="float32, bfloat16, float16"):
        load_encoder("embedded", inference=Inference(precision="int8"))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_shorter_format_on_an_accelerator(precision):
    ours, theirs = (
        encode(load_encoder("embedded", device="cuda", inference=Inference(precision=one)), batch(1, 128)).values
        for one in ("float32", precision)
    )
    assert (ours - theirs).norm() < 0.03 * ours.norm()
