"""A loaded encoder: how it is run, and what it makes of pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histofactor.encoders.build import assemble, load_encoder
from histofactor.encoders.encode import encode
from histofactor.encoders.encoder import (
    FORMATS,
    Inference,
    check_inference,
    features_of,
    run_as,
    standardise,
    with_transform,
)
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get
from histofactor.errors import OptionError


def batch(n, side):
    return np.random.default_rng(0).integers(0, 255, (n, side, side, 3), np.uint8)


def test_channels_are_standardised_each_by_its_own_numbers(tiny_encoder):
    spec = replace(tiny_encoder.spec, mean=(0.1, 0.2, 0.4), std=(0.5, 0.25, 0.2))
    image = torch.tensor([0.6, 0.2, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    found = standardise(image, spec)
    assert found.shape == (2, 3, 4, 5)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, -2.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5))


def test_features_are_not_negative_and_in_float32(tiny_encoder):
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    maps = tiny_encoder.dense((images - 0.5) / 0.25)
    assert (maps < 0).any()
    torch.testing.assert_close(features_of(tiny_encoder, images), maps.clamp(min=0))
    half = replace(tiny_encoder, dense=lambda pixels: tiny_encoder.dense(pixels).half())
    assert features_of(half, images).dtype == torch.float32


def test_another_transform_changes_the_width_and_nothing_else(tiny_encoder):
    split = with_transform(tiny_encoder, "split")
    assert (split.spec.transform, split.spec.dim) == ("split", 24)
    assert replace(split.spec, transform="relu", dim=12) == tiny_encoder.spec
    assert replace(split, spec=tiny_encoder.spec) == tiny_encoder
    assert with_transform(split, "shift").spec.dim == 12


@pytest.mark.parametrize("precision", [None, *FORMATS])
def test_precisions_that_there_are(precision):
    check_inference(Inference(precision=precision))


@pytest.mark.parametrize("precision", ["", "int8", "Float32"])
def test_precisions_that_there_are_not(precision):
    with pytest.raises(OptionError, match=r"unknown precision.*expected one of float32, bfloat16, float16"):
        check_inference(Inference(precision=precision))


def test_a_processor_runs_in_float32_and_as_it_was_unless_asked(tiny_encoder):
    on_accelerators = replace(tiny_encoder, spec=replace(tiny_encoder.spec, precision="float16"))
    run = run_as(on_accelerators, Inference())
    assert (run.precision, run.repaired) == ("float32", False)
    assert run.dense is on_accelerators.dense


def test_tokens_that_stand_out_are_replaced_where_that_is_asked(tiny_encoder):
    maps = torch.rand(1, 12, 6, 6, generator=torch.Generator().manual_seed(0)) + 1
    maps[0, :, 2, 3] = 100
    encoder = replace(tiny_encoder, dense=lambda pixels: maps)
    left, repaired = (run_as(encoder, Inference(repair_tokens=on)) for on in (False, True))
    assert (left.repaired, repaired.repaired) == (False, True)
    assert left.dense(maps) is maps
    around = torch.cat([maps[0, :, 1:4, 2], maps[0, :, 1:4, 4], maps[0, :, [1, 3], 3]], dim=1)
    expected = maps.clone()
    expected[0, :, 2, 3] = around.mean(dim=1)
    torch.testing.assert_close(repaired.dense(maps), expected)


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
