"""Prefixes of names: found whatever training script wrote them, one network of several chosen by name, and told."""

import time
from dataclasses import replace

import pytest
import torch

from histofactor.encoders.build import load_encoder
from histofactor.encoders.networks import adapt, build_network
from histofactor.encoders.prefix import fit_names
from histofactor.encoders.registry import get
from histofactor.encoders.weights import load_state
from histofactor.errors import EncoderError

SPEC = get("resnet50")
HEAD = {"head.mlp.0.weight": torch.zeros(4, 4), "head.last_layer.weight_g": torch.zeros(4, 1)}


@pytest.fixture
def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def under(prefix, state):
    return {prefix + key: value for key, value in state.items()}


def other(state):
    return {key: value + 1 for key, value in state.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "model.", "backbone.", "teacher.backbone.", "encoder.", "trunk.", "_orig_mod."),
        *("state_dict.module.", "model_state_dict.", "anything.at.all."),
    ],
)
def test_a_common_prefix_is_taken_off_and_told(network, prefix):
    state = network.state_dict()
    fitted, notes = fit_names(network, under(prefix, state) | under("elsewhere.", HEAD), SPEC)
    assert fitted.keys() == state.keys()
    assert all(torch.equal(fitted[key], value) for key, value in state.items())
    assert notes == (
        f"the names of the weights begin with {prefix!r}, which was taken off; 2 tensors without it were left aside",
    )
    load_state(network, fitted, "test")


def test_names_that_fit_stay_and_nothing_is_told(network):
    state = network.state_dict()
    fitted, notes = fit_names(network, state | under("ema.", other(state)), SPEC)
    assert torch.equal(fitted["0.weight"], state["0.weight"])
    assert not notes


@pytest.mark.parametrize("student", ["student.module.backbone.", "model.student.backbone.", "student."])
@pytest.mark.parametrize("teacher", ["teacher.backbone.", "model.teacher.backbone.", "zz_teacher."])
def test_a_teacher_comes_before_its_student(network, teacher, student):
    state = network.state_dict()
    for first, second in (((teacher, state), (student, other(state))), ((student, other(state)), (teacher, state))):
        fitted, notes = fit_names(network, under(*first) | under(*second), SPEC)
        assert torch.equal(fitted["0.weight"], state["0.weight"])
        assert repr(teacher) in notes[0]


def test_several_networks_without_a_teacher_are_refused_unless_they_are_the_same(network):
    state = network.state_dict()
    with pytest.raises(EncoderError, match="several networks") as error:
        fit_names(network, under("model.", state) | under("model_ema.", other(state)), SPEC)
    assert "'model.', 'model_ema.'" in error.value.got
    fitted, _ = fit_names(network, under("a.", state) | under("b.", state), SPEC)
    assert torch.equal(fitted["0.weight"], state["0.weight"])


def test_blocks_in_chunks_keep_their_numbers():
    spec = replace(get("dinov2-small"), source=replace(get("dinov2-small").source))
    spec = replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, "depth": 4}))
    torch.manual_seed(0)
    network = build_network(spec)
    state = network.state_dict()
    chunked = {
        key.replace("blocks.", f"blocks.{int(key.split('.')[1]) // 2}.") if key.startswith("blocks.") else key: value
        for key, value in state.items()
    }
    fitted, notes = fit_names(network, under("teacher.backbone.", chunked), spec)
    assert all(torch.equal(fitted[key], value) for key, value in state.items())
    assert "chunks" in notes[0]
    local = {"blocks.0.0.weight": torch.zeros(1), "blocks.1.0.weight": torch.ones(1)}
    assert fit_names(network, local, spec)[0] == local  # chunks that count from 0 cannot be told apart


def test_a_prefix_before_names_that_the_library_knows_how_to_change():
    spec = get("ctranspath")
    network = build_network(spec)
    torch.manual_seed(1)
    wanted = {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in network.state_dict().items()}
    published = {}
    for key, value in wanted.items():
        parts = key.split(".")
        older = ".".join(["layers", str(int(parts[1]) - 1), *parts[2:]]) if "downsample" in parts else key
        published[older] = value
    fitted, notes = fit_names(network, under("state_dict.module.", published) | HEAD, spec)
    load_state(network, adapt(network, fitted, spec), spec.name)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in wanted.items())
    assert "'state_dict.module.'" in notes[0]


def test_what_fits_nowhere_is_named_by_what_comes_nearest(network):
    state = under("module.", network.state_dict())
    del state["module.0.bias"]
    fitted, _ = fit_names(network, state, SPEC)
    with pytest.raises(EncoderError, match=r"1 missing: 0\.bias"):
        load_state(network, fitted, "test")


def test_names_made_of_dots_end_soon(network):
    fitted, _ = fit_names(network, {"." * 100_000: torch.zeros(1)}, SPEC)
    assert len(fitted) == 1


def test_a_loaded_encoder_tells(tmp_path):
    torch.manual_seed(0)
    state = build_network(get("timm:resnet18")).state_dict()
    torch.save({"state_dict": under("module.", state), "epoch": 1}, tmp_path / "w.pth")
    encoder = load_encoder("timm:resnet18", weights=tmp_path / "w.pth", device="cpu")
    assert encoder.notes == ("the names of the weights begin with 'state_dict.module.', which was taken off",)
    assert not load_encoder("embedded", device="cpu").notes


def test_many_names_end_soon(network):
    """As many as a header holds, under prefixes of their own, each with half of a network or with one tensor."""
    wanted = [*network.state_dict()]  # the last is a count, which may be missing
    many = {f"a{n}.b{n}.c{n}.d": torch.zeros(0) for n in range(60_000)}
    many |= {f"a.b{n}.{name}": torch.zeros(0) for n in range(1000) for name in wanted[:3]}
    many |= {f"e.f{n}.{name}": torch.zeros(0) for n in range(100) for name in wanted}
    started = time.perf_counter()
    fit_names(network, many, SPEC)
    fit_names(network, {name: one for name, one in many.items() if not name.startswith("e.")}, SPEC)
    assert time.perf_counter() - started < 30
