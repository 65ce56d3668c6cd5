"""Weights that are loaded: nothing is half loaded, and nothing that no network was trained to."""

import pytest
import torch

from histofactor.encoders.weights import as_float, load_state
from histofactor.errors import EncoderError


@pytest.fixture
def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def test_every_parameter_must_be_there_with_its_shape(network):
    state = network.state_dict()
    for wrong, word in (
        ({key: value for key, value in state.items() if key != "0.weight"}, "missing: 0.weight"),
        (state | {"2.weight": torch.zeros(1)}, "unknown: 2.weight"),
        (state | {"0.bias": torch.zeros(5)}, r"another shape: 0.bias \(5,\)"),
    ):
        with pytest.raises(EncoderError, match=word):
            load_state(network, wrong, "test")
    load_state(network, state | {"head.weight": torch.zeros(1), "mask_token": torch.zeros(1)}, "test")


def test_half_precision_widens_exactly():
    state = as_float({"a": torch.tensor([0.1]).half(), "n": torch.tensor([3])})
    assert state["a"].dtype == torch.float32
    assert state["n"].dtype == torch.int64


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (torch.tensor([1, 2, float("nan"), 4]), "0.bias with NaN or infinity"),
        (torch.tensor([1, 2, float("-inf"), 4]), "0.bias with NaN or infinity"),
        (torch.tensor([1, 2, float("nan"), 4], dtype=torch.bfloat16), "0.bias with NaN or infinity"),
        (torch.ones(4, dtype=torch.complex64), "0.bias of complex64"),
        (torch.ones(4, dtype=torch.int64), "0.bias of int64"),
        (torch.ones(4, dtype=torch.bool), "0.bias of bool"),
    ],
)
def test_values_that_are_no_weights_are_refused_and_not_loaded(network, values, word):
    before = network.state_dict()["0.bias"].clone()
    with pytest.raises(EncoderError, match="1 tensor that is not") as error:
        load_state(network, network.state_dict() | {"0.bias": values}, "test")
    assert word in error.value.got
    assert torch.equal(network.state_dict()["0.bias"], before)


@pytest.mark.parametrize("number", [0.0, 1.0])
def test_a_matrix_of_one_number_is_refused(network, number):
    """As a download leaves that was broken off after its file was made as large as it would become."""
    state = network.state_dict()
    with pytest.raises(EncoderError, match=f"0.weight of {number:g} alone"):
        load_state(network, state | {"0.weight": torch.full((4, 3), number)}, "test")
    load_state(network, state | {"0.bias": torch.full((4,), number)}, "test")  # which biases and norms begin as


def test_far_more_than_the_network_takes_is_not_widened(network):
    """A file with holes declares more than any memory holds."""
    many = {"a": torch.zeros(1, dtype=torch.bfloat16).expand(1 << 40)}
    assert as_float(many, network)["a"].dtype == torch.bfloat16
    assert as_float({"a": torch.ones(9).half()}, network)["a"].dtype == torch.float32
