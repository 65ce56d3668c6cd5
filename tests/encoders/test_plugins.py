"""Plug-ins: four public encoders from local files through the same interface, and mistakes told."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from histofactor.encoders import registry
from histofactor.encoders.build import load_encoder
from histofactor.encoders.check import check_encoder
from histofactor.encoders.encode import encode
from histofactor.encoders.registry import Plugin, get, list_encoders, register
from histofactor.errors import EncoderError, OptionError
from histofactor.records import EncoderSpec, WeightsSource, WindowRule
from histofactor.segmentation.page import segment

HALF, IMAGENET = ((0.5,) * 3, (0.5,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PUBLIC = {  # class, file, output, stride, channels, norm, µm/px
    "nic-multitask4": ("NICEncoder", "nic_multitask4_pathology", "code", 16, 128, HALF, 1.0),
    "nic-bigan": ("NICEncoder", "nic_bigan_pathology", "code", 16, 128, HALF, 1.0),
    "resnet50v2": ("ResNet50V2Trunk", "resnet50v2_imagenet_gluon_stage3", "s16", 16, 1024, IMAGENET, 0.5),
    "squeezenet": ("SqueezeNet11", "squeezenet1_1_imagenet_torchvision", "", 16, 512, IMAGENET, 0.5),
}


@pytest.fixture
def known(monkeypatch):
    """Plug-ins of a test are forgotten after it."""
    monkeypatch.setattr(registry, "_registered", {})


def row(name, stride=16, channels=128, norm=HALF, mpp=1.0):
    return EncoderSpec(
        name, WeightsSource("plugin", name), stride, channels, 0, *norm, mpp, WindowRule(512, 128, 64, fixed=False),
        "out", "relu", "see ../shared/DATA.md", False, "made for the tests",
    )  # fmt: skip


class OneOutput(torch.nn.Module):
    def __init__(self, network, output):
        super().__init__()
        self.network, self.output = network, output

    def forward(self, pixels):
        found = self.network(pixels)
        return found[self.output] if isinstance(found, dict) else found


class Padded(torch.nn.Module):
    """A network without padding of its own: 8 px around give it the whole grid."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        return self.network(torch.nn.functional.pad(pixels, (8, 8, 8, 8), mode="reflect"))


def public_plugin(shared, name):
    kind, file, output, stride, channels, norm, mpp = PUBLIC[name]
    spec = importlib.util.spec_from_file_location("architectures", shared / "weights/architectures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def build(path):
        if kind == "SqueezeNet11":
            from torchvision.models import squeezenet1_1

            network = squeezenet1_1(weights=None)
        else:
            network = getattr(module, kind)()
        network.load_state_dict(load_file(path or shared / f"weights/{file}.safetensors"), strict=True)
        return Padded(network.features) if kind == "SqueezeNet11" else OneOutput(network, output)

    return Plugin(row(name, stride, channels, norm, mpp), build)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_encoders_run_as_plug_ins(shared, known, name):
    register(public_plugin(shared, name))
    assert name in {spec.name for spec in list_encoders()}
    encoder = load_encoder(name, device="cpu")
    assert check_encoder(encoder).geometry
    image = shared / "data/example_3.jpg"
    pixels = np.asarray(Image.open(image))[None, :512, :768]
    features = encode(encoder, pixels)
    assert features.values.shape == (1, 32, 48, encoder.spec.dim)
    assert len(torch.unique(features.values.flatten(0, 2), dim=0)) > 1000
    result = segment(image, encoder=encoder, method="single", k=5, source_mpp=0.5)
    areas = np.bincount(result.label_map.labels.ravel(), minlength=6)[1:] / result.label_map.labels.size
    assert (areas > 0.01).sum() >= 3  # several phenotypes, none everywhere
    assert areas.max() < 0.9


def test_a_file_of_weights_reaches_the_plug_in(shared, known):
    register(public_plugin(shared, "nic-multitask4"))
    path = shared / "weights/nic_bigan_pathology.safetensors"
    other = load_encoder("nic-multitask4", weights=path, device="cpu")
    own = load_encoder("nic-multitask4", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
    assert other.spec.key.revision.startswith("sha256:")
    assert not torch.equal(encode(other, pixels).values, encode(own, pixels).values)


def test_names_are_taken_once(known):
    plugin = Plugin(row("mine"), lambda path: torch.nn.Conv2d(3, 128, 16, 16))
    register(plugin)
    register(plugin)  # the same again is no mistake
    with pytest.raises(EncoderError, match="already"):
        register(Plugin(row("mine"), plugin.build))
    with pytest.raises(EncoderError, match="already"):
        register(Plugin(replace(row("x"), name="uni"), plugin.build))
    with pytest.raises(EncoderError, match="not that of a plug-in"):
        register(Plugin(replace(row("y"), source=WeightsSource("timm", "resnet18")), plugin.build))
    with pytest.raises(OptionError, match="no layer"):
        load_encoder("mine", layer="blocks[0]", device="cpu")


def test_entry_points(known, monkeypatch):
    plugin = Plugin(row("from-a-package"), lambda path: torch.nn.Conv2d(3, 128, 16, 16))

    class Point:
        name = "from-a-package"

        def __init__(self, loaded):
            self.load = lambda: loaded

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point(plugin)] if group == registry.GROUP else [])
    assert get("from-a-package") == plugin.spec
    assert load_encoder("from-a-package", device="cpu").spec.dim == 128
    monkeypatch.setattr(registry, "entry_points", lambda group: [Point(object())])
    with pytest.raises(EncoderError, match="no encoder"):
        list_encoders()
