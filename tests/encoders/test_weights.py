"""Weights: nothing is executed, nothing is half loaded, the hub's refusals are explained."""

import os
import pickle
import socket
import time
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.constants
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import save_file

from histofactor.encoders.registry import get
from histofactor.encoders.weights import (
    answers,
    as_float,
    commit_of,
    fetch_weights,
    file_revision,
    load_state,
    read_weights,
)
from histofactor.errors import EncoderError


@pytest.fixture
def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "teacher"])
def test_reads_what_was_written(tmp_path, network, suffix, wrapper):
    state, path = network.state_dict(), tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    read = read_weights(path)
    assert read.keys() == state.keys()
    load_state(network, read, "test")


def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path):
    sentinel, path = tmp_path / "ran", tmp_path / "evil.bin"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(sentinel),)

    path.write_bytes(pickle.dumps({"weight": Evil()}))
    with pytest.raises(EncoderError, match="without code"):
        read_weights(path)
    assert not sentinel.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"\x00" * 64])
def test_files_that_are_no_weights(tmp_path, suffix, content):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match="cannot read the weights"):
        read_weights(path)


def test_a_checkpoint_of_something_else(tmp_path):
    torch.save([1, 2, 3], tmp_path / "w.pt")
    with pytest.raises(EncoderError, match="dictionary of tensors"):
        read_weights(tmp_path / "w.pt")


def test_missing_file(tmp_path):
    with pytest.raises(EncoderError, match="No such file"):
        file_revision(tmp_path / "none.safetensors")


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


def refusal(kind):
    return kind("no entry", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal(GatedRepoError), ["does not hand out", "CC-BY-NC-ND", "hf auth login", "--weights"]),
        (refusal(RepositoryNotFoundError), ["does not hand out", "--weights"]),
        (LocalEntryNotFoundError("offline"), ["cannot be reached", "b55a5ec6", "--weights", "'embedded'"]),
        (ConnectionError("no route"), ["cannot be reached", "--weights"]),
    ],
)
def test_the_hub_says_no(monkeypatch, error, words):
    def refuse(*args, **kwargs):
        assert kwargs["revision"] == get("uni").source.revision
        raise error

    monkeypatch.setattr("histofactor.encoders.weights.answers", lambda address: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(EncoderError) as caught:
        fetch_weights(get("uni"))
    for word in words:
        assert word in str(caught.value)


def test_the_hub_says_yes(monkeypatch, tmp_path):
    monkeypatch.setattr("histofactor.encoders.weights.answers", lambda address: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **kwargs: str(tmp_path / "file"))
    assert fetch_weights(get("uni")) == tmp_path / "file"


def test_nobody_there_is_told_at_once(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(EncoderError, match="hub cannot be reached") as error:
        fetch_weights(get("h-optimus-0"))
    assert time.monotonic() - started < 5
    assert "--weights FILE" in error.value.mend


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 5


def test_a_server_that_refuses_answers_too(gdc):
    assert answers(gdc.endpoint)


def test_commits_of_the_cache(tmp_path):
    assert commit_of(tmp_path / "models--a--b/snapshots/abc123/model.safetensors") == "abc123"
    assert commit_of(tmp_path / "model.safetensors") is None


def test_weights_beside_a_folder_of_transformers(tmp_path):
    spec = replace(get("phikon"), name=f"transformers:{tmp_path}", source=replace(get("phikon").source, repository=""))
    with pytest.raises(EncoderError, match="no weights on the hub"):
        fetch_weights(spec)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert fetch_weights(spec) == tmp_path / "model.safetensors"
