"""Loading: facts of a row are checked on its network, and any layer can be taken."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from histofactor.encoders import registry
from histofactor.encoders.build import assemble, choose_device, load_encoder
from histofactor.encoders.encode import encode
from histofactor.encoders.encoder import Inference
from histofactor.encoders.networks import build_network
from histofactor.errors import EncoderError, OptionError


@pytest.fixture(scope="module")
def small_vit():
    spec = registry.get("dinov2-small")
    spec = replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, "depth": 3}))
    torch.manual_seed(0)
    return spec, build_network(spec)


def test_embedded_loads_its_own_weights():
    encoder = load_encoder("embedded", device="cpu")
    assert encoder.spec == registry.get("embedded")


def test_embedded_row_agrees_with_its_network():
    from histofactor.encoders.embedded import network

    spec = registry.get("embedded")
    assert (spec.patch_px, spec.dim, spec.mpp) == (network.STRIDE_PX, network.DIM, network.MPP)
    assert (spec.mean, spec.std) == (network.MEAN, network.STD)
    assert (spec.layer, spec.transform) == (network.LAYER, network.TRANSFORM)
    assert spec.source.revision == network.REVISION
    assert spec.window.halo_px >= network.HALO_PX


def test_tokens_of_a_transformer_are_timms_own(small_vit):
    spec, network = small_vit
    encoder = assemble(spec, network)
    pixels = np.random.default_rng(1).integers(0, 255, (1, 56, 70, 3), np.uint8)
    normalized = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - torch.tensor(spec.mean).view(3, 1, 1)) / (
        torch.tensor(spec.std).view(3, 1, 1)
    )
    with torch.inference_mode():
        tokens = network.forward_features(normalized)[:, 1:]  # final norm, class token dropped
    found = encode(assemble(spec, network, layer="blocks[-1]+norm"), pixels).values
    torch.testing.assert_close(found.reshape(1, -1, spec.dim), torch.relu(tokens), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(encode(encoder, pixels).values, found)


def test_layers_are_resolved_and_named_once(small_vit):
    spec, network = small_vit
    assert assemble(spec, network, layer="blocks[2]").spec.key == assemble(spec, network).spec.key
    assert assemble(spec, network, layer="blocks[-3]").spec.layer == "blocks[0]"


def test_a_resnet_layer_brings_its_own_width_and_stride():
    spec = registry.get("resnet50")
    encoder = assemble(spec, build_network(spec), layer="layer2")
    assert (encoder.spec.dim, encoder.spec.patch_px, encoder.spec.layer) == (512, 8, "layer2")
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    assert encode(encoder, pixels).values.shape == (1, 8, 8, 512)


@pytest.mark.parametrize("layer", ["blocks[3]", "blocks[-4]", "blocks", "layer3", "blocks[0]+norm", "", "blocks[x]"])
def test_layers_that_are_not_there(small_vit, layer):
    spec, network = small_vit
    if layer == "":
        assert assemble(spec, network, layer=layer).spec.layer == spec.layer
        return
    with pytest.raises(OptionError, match="layer"):
        assemble(spec, network, layer=layer)


def test_embedded_has_one_layer():
    with pytest.raises(OptionError, match="layer"):
        load_encoder("embedded", layer="blocks[-1]")


def test_contradicted_prefix_tokens(small_vit):
    spec, network = small_vit
    with pytest.raises(EncoderError, match="5 prefix tokens"):
        assemble(replace(spec, prefix_tokens=5), network)


def test_contradicted_width(small_vit):
    spec, network = small_vit
    encoder = assemble(spec, network)
    wrong = replace(encoder, spec=replace(encoder.spec, dim=7))
    with pytest.raises(EncoderError, match="another grid"):
        encode(wrong, np.zeros((1, 28, 28, 3), np.uint8))


def test_local_weights_give_their_hash_as_revision(tmp_path):
    torch.manual_seed(1)
    spec = registry.get("resnet50")
    network = build_network(spec)
    path = tmp_path / "resnet.safetensors"
    save_file(network.state_dict() | {"fc.weight": torch.zeros(2, 2)}, path)
    encoder = load_encoder("resnet50", weights=path, device="cpu")
    assert encoder.spec.key.revision.startswith("sha256:")
    pixels = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
    torch.testing.assert_close(encode(encoder, pixels).values, encode(assemble(spec, network), pixels).values)


@pytest.mark.parametrize("device", ["cuda:7", "tpu", ""])
def test_devices_that_are_not_there(device):
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(OptionError, match="device"):
        choose_device(device)


def test_automatic_device_exists():
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}


@pytest.mark.parametrize("name", ["embedded", "timm:resnet18", "embedded,embedded"])
def test_code_is_allowed_only_where_there_is_some(name):
    with pytest.raises(OptionError, match="no code of a repository"):
        load_encoder(name, device="cpu", inference=Inference(remote_code="abc123"))


def test_weights_beside_code_that_brings_its_own(tmp_path):
    with pytest.raises(OptionError, match="takes no file of weights"):
        load_encoder("rudolfv-2", weights=tmp_path / "w.pth", device="cpu", inference=Inference(remote_code="abc123"))


def test_code_is_allowed_to_the_part_of_a_joint_encoder_that_is_code(monkeypatch):
    asked = []

    def load(name, **options):
        asked.append((name, options["inference"].remote_code))
        return load_encoder("embedded", device="cpu")

    monkeypatch.setattr("histofactor.encoders.build.load_encoder", load)
    load_encoder("embedded,rudolfv-2", device="cpu", inference=Inference(remote_code="abc123"))
    assert asked == [("embedded", None), ("rudolfv-2", "abc123")]
