"""The hub: its refusals are explained, and its silence is noticed at once."""

import socket
import time
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.constants
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from histofactor.encoders.check import access
from histofactor.encoders.hub import answers, fetch_file, fetch_weights
from histofactor.encoders.registry import get
from histofactor.errors import EncoderError


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

    monkeypatch.setattr("histofactor.encoders.hub.answers", lambda address: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(EncoderError) as caught:
        fetch_weights(get("uni"))
    for word in words:
        assert word in str(caught.value)


def test_the_hub_says_yes(monkeypatch, tmp_path):
    monkeypatch.setattr("histofactor.encoders.hub.answers", lambda address: True)
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


def test_offline_nobody_is_asked(monkeypatch):
    def asked(*_args, **_options):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("histofactor.encoders.hub.answers", asked)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", asked)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_args, **_options: None)
    with pytest.raises(EncoderError, match="HF_HUB_OFFLINE is set") as error:
        fetch_weights(get("uni"))
    assert "--weights" in error.value.mend
    assert access(get("uni")).startswith("not asked: HF_HUB_OFFLINE is set")


def test_weights_beside_a_folder_of_transformers(tmp_path):
    spec = replace(get("phikon"), name=f"transformers:{tmp_path}", source=replace(get("phikon").source, repository=""))
    with pytest.raises(EncoderError, match="no weights on the hub"):
        fetch_weights(spec)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert fetch_weights(spec) == tmp_path / "model.safetensors"


KEEP = get("keep")


@pytest.mark.parametrize(
    ("trouble", "got", "mend"),
    [
        ("no repository", "no repository of that name, or a private one", "look whether it is still at"),
        ("no revision", f"a repository without the revision {KEEP.source.revision}", "look at"),
        ("no file", "no such file at revision main", "look at"),
        ("gated", "a gated repository without access", "ask for access on"),
        ("refused", "a refusal (403)", "run `hf auth login` with a token"),
    ],
)
def test_each_refusal_is_told_as_what_it_is(hub, trouble, got, mend):
    repository = KEEP.source.repository
    if trouble != "no repository":
        hub.put(repository, {"config.json": b"{}"})
    if trouble == "gated":
        hub.gated.add(repository)
    if trouble == "refused":
        hub.refused = "/resolve/"
    revision = KEEP.source.revision if trouble == "no revision" else None
    with pytest.raises(EncoderError, match="the hub does not hand out the weights of keep") as error:
        fetch_file(repository, "vocab.txt", revision, "fetch them by hand", KEEP)
    assert error.value.got.startswith(got)
    assert error.value.mend.startswith(mend)
    assert error.value.mend.endswith("or fetch them by hand")
    assert ("ask for access" in str(error.value)) == (trouble == "gated")
    assert "cannot be reached" not in str(error.value)
