"""Pairs by name and by folder."""

import shutil

import huggingface_hub
import pytest

from histofactor.encoders.pair_source import load_pair
from histofactor.encoders.registry import get
from histofactor.errors import EncoderError, OptionError
from small_pairs import clip_folder, keep_folder


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_a_folder_or_its_weights(tmp_path):
    folder = clip_folder(tmp_path / "mine")
    pair = load_pair(str(folder), "cpu")
    assert pair.name == "mine"
    assert str(load_pair(str(folder / "model.safetensors"), "cpu")) == str(pair)


def test_keep_is_taken_from_the_cache_of_the_hub(tmp_path, monkeypatch, offline):
    source = get("keep").source
    repository = tmp_path / f"models--{source.repository.replace('/', '--')}"
    keep_folder(repository / "snapshots" / source.revision)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert str(load_pair("keep", "cpu")) == f"keep ({source.revision[:19]})"
    shutil.rmtree(repository)
    with pytest.raises(EncoderError, match=r"HF_HUB_OFFLINE.*by hand .*vocab.txt.* and give --with FOLDER"):
        load_pair("keep", "cpu")


@pytest.mark.parametrize("name", ["conch", "musk"])
def test_models_whose_text_tower_is_code_of_others_are_told(name, offline):
    with pytest.raises(EncoderError, match=f"text tower of {name} cannot be loaded.*the package {name}.*--with FOLDER"):
        load_pair(name, "cpu")


@pytest.mark.parametrize(("source", "told"), [("clap", "no folder of that name"), ("a.bin", "got a file")])
def test_what_is_no_pair(tmp_path, monkeypatch, source, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(EncoderError, match=told):
        load_pair(source, "cpu")


def test_a_device_that_there_is_not(tmp_path):
    with pytest.raises(OptionError, match="no device"):
        load_pair(str(tmp_path), "tpu")
