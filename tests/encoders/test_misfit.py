"""Eight wrong files, and eight answers: each says first what to do."""

import json
import os
import pickle
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from histofactor.cli.encoder_page import what_to_do_first
from histofactor.encoders import registry
from histofactor.encoders.build import with_weights
from histofactor.encoders.networks import build_network
from histofactor.errors import EncoderError

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:5bca\nsize 9787839208\n"


@pytest.fixture
def tokens_of(monkeypatch):
    """Rows with four blocks, under their own names; returns the tensors of one."""
    rows = {
        spec.name: replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, "depth": 4}))
        for spec in registry.list_encoders()
        if spec.name in {"uni", "dinov2-base", "kaiko-b16", "gpfm", "lunit-s16", "dinov2-large-reg"}
    }
    rows["resnet50"] = registry.get("resnet50")
    monkeypatch.setattr(registry, "_rows", lambda: rows)

    def tensors(name):
        torch.manual_seed(0)
        return build_network(rows[name]).state_dict()

    return tensors


def wrong_files(folder, tensors_of):
    """What is wrong, the path, the first words of the message, and words that tell what was found."""
    uni = tensors_of("uni")

    def saved(name, tensors):
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
        return folder / name

    whole = saved("whole.safetensors", uni)
    cut = folder / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-1000])
    pickled = folder / "pickled.bin"
    pickled.write_bytes(pickle.dumps({"weight": replace(registry.get("uni").window)}))
    (folder / "pointer.bin").write_text(LFS)
    (folder / "nothing").mkdir()
    (folder / "nothing" / "config.json").write_text("{}")
    half = {name: value for name, value in uni.items() if not name.startswith(("blocks.2", "blocks.3"))}
    lost = {name: value for name, value in uni.items() if name != "cls_token"}
    return {
        "truncated": (cut, "download it again", "cut short or damaged"),
        "another model's keys": (
            saved("resnet.safetensors", tensors_of("resnet50")),
            "give pytorch_model.bin of MahmoodLab/UNI: these are of another kind of network",
            "no vision transformer",
        ),
        "wrong width": (
            saved("base.safetensors", tensors_of("kaiko-b16")),
            "name the encoder that they are of, which may be kaiko-b16, or give pytorch_model.bin",
            "tokens of 768 channels, where it has 1024",
        ),
        "wrong patch": (
            saved("patch14.safetensors", tensors_of("gpfm")),
            "name the encoder that they are of, which may be gpfm, or give pytorch_model.bin",
            "patches of 14 px, where it has 16 px",
        ),
        "half of the blocks": (
            saved("half.safetensors", half),
            "get the whole file, pytorch_model.bin of MahmoodLab/UNI: blocks are missing",
            "2 of 4 blocks",
        ),
        "a missing key": (
            saved("lost.safetensors", lost),
            "get pytorch_model.bin of MahmoodLab/UNI as it was published",
            "1 missing: cls_token",
        ),
        "pickle": (pickled, "where you trust the file, load it and save model.state_dict()", "which could run code"),
        "LFS pointer": (folder / "pointer.bin", "fetch the file itself: `git lfs pull`", "Git LFS pointer"),
        "folder without weights": (folder / "nothing", "name the file, or the folder", "config.json"),
    }


def test_every_wrong_file_has_an_answer_of_its_own(tmp_path, tokens_of):
    told = {}
    for what, (path, first, found) in wrong_files(tmp_path, tokens_of).items():
        with pytest.raises(EncoderError) as error:
            with_weights("uni", path)
        message = str(what_to_do_first(error.value))
        assert message.startswith(first), (what, message)
        assert found in message, (what, message)
        told[what] = message
    assert len(set(told.values())) == len(told) == 9


def test_registers_are_told_apart(tmp_path, tokens_of):
    save_file(tokens_of("dinov2-large-reg"), tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match="4 registers, where it has 0") as error:
        with_weights("gpfm", tmp_path / "w.safetensors")
    assert "which may be dinov2-large-reg" in error.value.mend


def test_the_right_file_is_taken_wherever_it_lies(tmp_path, tokens_of):
    commit = "b55a5ec6cade1a39edfe6534189a9b8ca7a022f0"
    folder = tmp_path / "models--MahmoodLab--UNI" / "snapshots" / commit
    folder.mkdir(parents=True)
    torch.save(tokens_of("uni"), folder / "pytorch_model.bin")
    for path in (folder / "pytorch_model.bin", folder, tmp_path):
        found = with_weights("uni", path)
        assert found.spec.source.revision == commit
        assert found.path == folder / "pytorch_model.bin"
        assert found.tensors == len(tokens_of("uni"))


def test_an_adapter_is_told(tmp_path, tokens_of):
    parts = {"A": (8, 1024), "B": (3072, 8)}
    adapter = {
        f"base_model.model.blocks.{block}.attn.qkv.lora_{part}.weight": torch.ones(shape)
        for block in range(4)
        for part, shape in parts.items()
    }
    save_file(adapter, tmp_path / "adapter_model.safetensors")
    with pytest.raises(
        EncoderError, match=r"an adapter \(LoRA\), which only changes the weights of another file"
    ) as error:
        with_weights("uni", tmp_path)
    assert error.value.mend.startswith("merge it into the weights that it is for")


def test_names_that_are_hostile_are_told_all_the_same(tmp_path, tokens_of):
    odd = {"blocks." + "9" * 5000 + ".w": torch.ones(1), "x" * 100_000: torch.ones(1)}
    save_file({**tokens_of("uni"), **odd}, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match=r"2 unknown: blocks\.999") as error:
        with_weights("uni", tmp_path / "w.safetensors")
    assert len(str(error.value)) < 1500


def test_a_file_that_is_mostly_hole_is_refused_before_all_of_it_is_read(tmp_path, tokens_of):
    """64 GiB that are not on the disk: nothing of it is copied, and no digest of it is made."""
    size = 1 << 36
    entry = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}
    header = json.dumps({"patch_embed.proj.weight": entry}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)
    started = time.perf_counter()
    with pytest.raises(EncoderError, match=r"the weights do not fit uni|cannot read the weights"):
        with_weights("uni", path)
    assert time.perf_counter() - started < 30


def test_a_projection_of_no_size_is_told_too(tmp_path, tokens_of):
    save_file({"patch_embed.proj.weight": torch.zeros(0, 3, 16, 16)}, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match="no vision transformer, or one under other names"):
        with_weights("uni", tmp_path / "w.safetensors")


def test_blocks_under_other_names_are_not_called_missing(tmp_path, tokens_of):
    renamed = {name.replace("blocks.", "transformer.h."): one.contiguous() for name, one in tokens_of("uni").items()}
    save_file(renamed, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match=r"no blocks, or some under other names; .* unknown: transformer") as error:
        with_weights("uni", tmp_path / "w.safetensors")
    assert error.value.mend == "get pytorch_model.bin of MahmoodLab/UNI as it was published: its names are others"
