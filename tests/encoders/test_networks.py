"""Files as they were published fit the networks that are built here."""

import builtins
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from histofactor.encoders.networks import adapt, build_network, build_remote
from histofactor.encoders.registry import get
from histofactor.encoders.weights import load_state
from histofactor.errors import EncoderError


def shallow(name, **arguments):
    spec = get(name)
    return replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, **arguments}))


def filled(network):
    """A state whose every entry tells which one it is."""
    torch.manual_seed(3)
    return {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }


def check(spec, published):
    """Load a published file; returns the network's tensors."""
    network = build_network(spec)
    load_state(network, adapt(network, published, spec), spec.name)
    return network.state_dict()


def same(got, wanted):
    for key, value in wanted.items():
        assert torch.equal(got[key], value), key


@pytest.mark.parametrize("name", ["phikon", "phikon-v2", "hibou-b"])
def test_files_of_transformers(name, tmp_path):
    from safetensors.torch import load_file

    spec = shallow(name, num_hidden_layers=2)
    network = build_network(spec)
    wanted = filled(network)
    network.load_state_dict(wanted)
    network.save_pretrained(tmp_path)
    published = load_file(tmp_path / "model.safetensors")
    assert set(published) != set(wanted)  # older names
    same(check(spec, published), wanted)


@pytest.mark.parametrize(
    "fault", [ImportError("no torchvision"), RuntimeError("operator torchvision::nms does not exist")]
)
@pytest.mark.parametrize("name", ["resnet50", "ctranspath", "timm:vit_tiny_patch16_224"])
def test_a_torchvision_of_another_pytorch_is_told(name, fault, monkeypatch):
    def broken(asked, *rest):
        if asked == "timm":
            raise fault
        return real(asked, *rest)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(EncoderError, match="this torchvision does not belong to this PyTorch") as caught:
        build_network(get(name))
    assert name in caught.value.expected
    assert str(fault) in caught.value.got


def test_the_embedded_encoder_needs_neither_timm_nor_torchvision():
    program = """
import sys
sys.modules |= {"timm": None, "torchvision": None}
from histofactor.encoders.build import load_encoder
import histofactor.runs.segment_many
print(load_encoder("embedded").spec.name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "embedded\n", done.stderr


def test_a_trunk_inside_a_larger_model():
    spec = shallow("conch", depth=2)
    wanted = filled(build_network(spec))
    published = {f"visual.trunk.{key}": value for key, value in wanted.items()} | {"text.weight": torch.zeros(3)}
    same(check(spec, published), wanted)


def test_names_of_dinov2():
    spec = shallow("openmidnight", depth=2)
    network = build_network(spec)
    wanted = filled(network)
    published = {"mask_token": torch.zeros(1, 1536)}
    for key, value in wanted.items():
        name = re.sub(r"mlp\.fc1", "mlp.w12", re.sub(r"mlp\.fc2", "mlp.w3", key)).replace(
            "reg_token", "register_tokens"
        )
        with_class = torch.cat([torch.zeros(1, 1, value.shape[2]), value], 1) if key == "pos_embed" else value
        published[name] = with_class
    got = check(spec, published)
    for key in ("blocks.1.mlp.fc1.weight", "reg_token", "pos_embed", "norm.weight"):
        assert torch.equal(got[key], wanted[key]), key


def test_names_of_ctranspath():
    spec = shallow("ctranspath")
    wanted = filled(build_network(spec))
    published = {"head.weight": torch.zeros(2, 768), "head.bias": torch.zeros(2)}
    for key, value in wanted.items():  # an older timm had the merging of patches at the end of a stage
        published[re.sub(r"layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", key)] = value
    same(check(spec, published), wanted)


def test_names_of_musk():
    spec = shallow("musk", depth=2)
    wanted = filled(build_network(spec))
    published = {
        "beit3.text_embed.weight": torch.zeros(4, 4),
        "beit3.vision_embed.mask_token": torch.zeros(1, 1, 1024),
        "beit3.encoder.layers.0.ffn.B.fc1.weight": torch.zeros(2, 2),
        "vision_head.weight": torch.zeros(2, 2),
    }
    for key, value in wanted.items():
        if key == "positions":
            published["beit3.encoder.embed_positions.A.weight"] = torch.cat([torch.zeros(2, 1024), value])
        elif key == "cls_token":
            published["beit3.vision_embed.cls_token"] = value
        elif key.startswith("patch."):
            published[f"beit3.vision_embed.proj.{key.removeprefix('patch.')}"] = value
        elif key.startswith("norm."):
            published[f"beit3.encoder.layer_norm.A.{key.removeprefix('norm.')}"] = value
        else:
            block, rest = re.fullmatch(r"(blocks\.\d+)\.(.+)", key).groups()
            parts = rest.split(".")
            place = 1 if parts[0] in {"ffn", "self_attn_layer_norm", "final_layer_norm"} else 2
            parts.insert(place, "A")
            published[f"beit3.encoder.layers.{block.removeprefix('blocks.')}.{'.'.join(parts)}"] = value
    same(check(spec, published), wanted)


def test_a_file_that_fits_stays_as_it_is():
    spec = shallow("uni", depth=1)
    network = build_network(spec)
    state = filled(network)
    assert adapt(network, state, spec) is state


@pytest.mark.parametrize("name", ["uni", "phikon", "ctranspath", "musk", "resnet50"])
def test_files_of_something_else_say_which_tensors_differ(name):
    spec = get(name)
    few = {"num_hidden_layers": 1} if name == "phikon" else {"depth": 1} if name in {"uni", "musk"} else {}
    spec = shallow(name, **few)
    network = build_network(spec)
    with pytest.raises(EncoderError, match="missing") as error:
        load_state(network, adapt(network, {"weight": torch.zeros(2, 2)}, spec), spec.name)
    assert "1 unknown: weight" in error.value.got or name == "musk"


def test_shapes_of_both_sides_are_told():
    spec = shallow("uni", depth=1)
    network = build_network(spec)
    state = filled(network) | {"norm.weight": torch.zeros(7)}
    with pytest.raises(EncoderError, match=r"norm.weight \(7,\) where the network has \(1024,\)"):
        load_state(network, adapt(network, state, spec), spec.name)


def test_code_of_a_repository_is_not_run_unasked():
    with pytest.raises(EncoderError, match="--remote-code"):
        build_remote(get("rudolfv-2"))


def test_code_of_a_repository_runs_at_the_commit_that_is_allowed(tmp_path, monkeypatch):
    import transformers

    asked = {}

    def load(repository, **options):
        asked.update(options, repository=repository)
        return torch.nn.Identity()

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", load)
    spec = get("rudolfv-2")
    build_remote(replace(spec, source=replace(spec.source, revision="abc123")))
    assert asked == {
        "repository": "Aignostics/RudolfV-2",
        "revision": "abc123",
        "code_revision": "abc123",
        "trust_remote_code": True,
    }
