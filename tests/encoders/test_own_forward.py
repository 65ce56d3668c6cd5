"""Tokens beside those of the library, and of the package of a model's authors where there is one."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from histofactor.encoders.networks import build_network
from histofactor.encoders.own_forward import compare
from histofactor.encoders.registry import get


def narrow(name, **arguments):
    spec = get(name)
    return replace(spec, dim=48, source=replace(spec.source, arguments={**spec.source.arguments, **arguments}))


TIMM = {"embed_dim": 48, "num_heads": 3, "depth": 2}
TRANSFORMERS = {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 96}


@pytest.fixture
def built():
    def build(name, **arguments):
        torch.manual_seed(0)
        spec = narrow(name, **arguments)
        network = build_network(spec).eval().requires_grad_(False)
        return spec, network, torch.randn(1, 3, 224, 224)

    return build


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("uni", TIMM), ("virchow2", TIMM), ("phikon", TRANSFORMERS), ("phaet", TRANSFORMERS), ("hibou-b", TRANSFORMERS)],
)
def test_libraries_give_the_same(built, name, arguments):
    found = compare(*built(name, **arguments)[:2], None, torch.randn(1, 3, 224, 224))
    assert found.same
    assert found.who == get(name).source.library
    assert found.difference < 1e-5


def test_other_tokens_are_told(built, monkeypatch):
    spec, network, pixels = built("uni", **TIMM)
    forward = network.forward_features
    assert compare(spec, network, None, pixels).same
    monkeypatch.setattr("histofactor.encoders.own_forward._of_library", lambda *_: 1.02 * forward(pixels))
    found = compare(spec, network, None, pixels)
    assert not found.same
    assert found.difference == pytest.approx(0.02, rel=1e-3)


def test_networks_without_another_forward(built):
    spec, network, pixels = built("genbio-pathfm", dim=48, heads=3, depth=1)
    assert compare(spec, network, None, pixels) is None


@pytest.mark.parametrize("name", ["conch", "gigapath-flash"])
def test_the_package_of_the_authors_reads_the_file_itself(built, tmp_path, monkeypatch, name):
    spec, network, pixels = built(name, **TIMM)
    path = tmp_path / "w.safetensors"
    save_file(network.state_dict(), path)
    assert compare(spec, network, path, pixels).package == {"conch": "conch", "gigapath-flash": "gigapath"}[name]

    def theirs(*_arguments, **options):
        other = build_network(spec).eval()
        other.load_state_dict(load_file(options.get("checkpoint_path", _arguments[0])))
        return other

    package, part = ("conch", "open_clip_custom") if name == "conch" else ("gigapath", "tile_encoder")
    module = ModuleType(f"{package}.{part}")
    module.create_model = theirs
    module.create_model_from_pretrained = lambda *a, **o: (
        SimpleNamespace(visual=SimpleNamespace(trunk=theirs(*a, **o))),
        None,
    )
    outer = ModuleType(package)
    outer.__spec__ = SimpleNamespace()
    monkeypatch.setitem(sys.modules, package, outer)
    monkeypatch.setitem(sys.modules, f"{package}.{part}", module)
    found = compare(spec, network, path, pixels)
    assert (found.who, found.package, found.same) == (package, "", True)
    with torch.no_grad():
        network.norm.bias += 0.1  # no longer what the file holds
    assert not compare(spec, network, path, pixels).same
