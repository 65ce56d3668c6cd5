"""From slides to report in one command, with any encoder: concepts are learned from the slides."""

import json

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from histofactor.concepts.bank.file import load_banks
from histofactor.encoders.registry import get
from histofactor.slides.phantom import phantom


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    for seed in range(2):
        tissue = phantom((320, 320), seed=seed, mpp=0.5).image
        Image.fromarray(tissue).save(folder / f"{seed}.png", dpi=(50_800, 50_800))
    return folder


def test_a_vit_with_a_local_weights_file_and_no_bank(histofactor, images, tmp_path):
    """Random weights of the true architecture of kaiko-s16."""
    torch.manual_seed(0)
    row = get("kaiko-s16")
    network = timm.create_model(row.source.architecture, pretrained=False, **row.source.arguments)
    save_file(network.state_dict(), tmp_path / "kaiko.safetensors")
    out = tmp_path / "out"
    options = ("--encoder", "kaiko-s16", "--weights", tmp_path / "kaiko.safetensors", "--fast")
    code, told, err = histofactor("segment", images, "-o", out, *options)
    assert code == 0, err
    assert "2 of 2 segmented" in told
    banks = load_banks(out / "concepts.safetensors")
    assert {(bank.encoder.name, bank.encoder.transform, bank.vectors.shape[1]) for bank in banks.values()} == {
        ("kaiko-s16", "split-root", 768)
    }
    assert all(bank.centring is None for bank in banks.values())  # not measured to help
    for name in ("0", "1"):
        assert json.loads((out / name / "segmentation.json").read_text())["encoder"]["name"] == "kaiko-s16"
        assert (out / name / "report.html").exists()
    assert "learned from 2 inputs" in (out / "report.html").read_text()
    assert "<img" in (out / "concepts.html").read_text()
    code, told, err = histofactor("segment", images, "-o", out, *options)
    assert code == 0, err
    assert "2 by an earlier run" in told


def test_relearn_is_for_the_concepts_of_the_folder(histofactor, images, tmp_path):
    code, _, err = histofactor("segment", images, "-o", tmp_path / "out", "--relearn", "--concepts", "embedded")
    assert code == 2
    assert "--relearn" in err
    assert not (tmp_path / "out").exists()


def test_the_concepts_that_ship(histofactor, images, tmp_path):
    code, _, err = histofactor("segment", images, "-o", tmp_path / "out", "--concepts", "embedded", "--fast", "-k", "8")
    assert code == 0, err
    assert not list((tmp_path / "out").glob("concepts*"))
    assert not (tmp_path / "out/0/weights.zarr").exists()


def test_a_study_says_what_it_did(histofactor, images, tmp_path):
    code, _, err = histofactor(
        "segment", images, "-o", tmp_path / "out", "--fast", "-k", "6", "--profile", "--seed", "3"
    )
    assert code == 0, err
    assert "K = 6 is used" in " ".join(err.split())
    assert "concepts" in err
    sample = tmp_path / "out/concepts.safetensors.sample.npz"
    assert sample.exists()
    banks = load_banks(tmp_path / "out/concepts.safetensors")
    assert 6 in banks
    assert banks[6].centring.share == 0.75
