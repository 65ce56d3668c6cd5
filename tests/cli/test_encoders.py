"""``histofactor encoders``."""

import json
import re
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from PIL import Image

from histofactor.encoders.registry import get, list_encoders


def test_table_names_every_encoder(histofactor):
    code, out, _ = histofactor("encoders", "list")
    assert code == 0
    for spec in list_encoders():
        assert spec.name in out


def test_json_holds_every_fact(histofactor):
    code, out, _ = histofactor("encoders", "list", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["name"] for row in rows] == [spec.name for spec in list_encoders()]
    assert rows[3]["source"]["revision"] == list_encoders()[3].source.revision


def test_the_table_of_the_docs_is_the_one_printed(histofactor):
    code, out, _ = histofactor("encoders", "list", "--markdown")
    assert code == 0
    docs = (Path(__file__).parents[2] / "docs/encoders.md").read_text(encoding="utf-8")
    assert docs.endswith(out)


def test_check_says_what_it_found(histofactor):
    code, out, _ = histofactor("encoders", "check", "embedded", "--device", "cpu")
    assert code == 0
    for word in ("needs no hub", "128 × 128 tokens of 160", "geometry: right", "tokens/s"):
        assert word in out


def test_check_of_a_plug_in_or_a_name_that_is_not_there(histofactor):
    code, _, err = histofactor("encoders", "check", "embeded")
    assert code == 2
    assert "did you mean 'embedded'" in err


TINY = "timm:vit_tiny_patch16_224"


@pytest.fixture
def vit(tmp_path, monkeypatch):
    """A file of weights of timm's smallest vision transformer, under a prefix; the hub is not asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    state = timm.create_model("vit_tiny_patch16_224").state_dict()
    torch.save({f"model.{name}": value for name, value in state.items()}, tmp_path / "vit.bin")
    return tmp_path / "vit.bin"


def test_the_page_of_a_file_of_weights(histofactor, vit, tmp_path):
    seen, image = tmp_path / "seen.html", tmp_path / "tissue.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 96, 3), np.uint8)).save(image)
    options = ("--window", 96, "--picture", image, "--pca", seen, "--device", "cpu")
    code, out, _ = histofactor("encoders", "check", TINY, "--weights", tmp_path, *options)
    assert code == 0
    assert re.search(r"tensors: all \d+ of the network are there; the file has \d+", out)
    assert "begin with 'model.', which was taken off" in out
    assert "6 × 6 tokens of 192 channels a window of 96 px" in out
    assert "geometry: right" in out
    assert "its own forward: timm gives the same tokens" in out
    assert "sharing what is made with it: unknown" in out
    page = seen.read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "tissue.png, 96 × 80 px" in page


def test_a_map_alone_lies_on_the_picture(histofactor, tmp_path):
    code, out, _ = histofactor("encoders", "check", "embedded", "--device", "cpu", "--pca", tmp_path / "seen.png")
    assert code == 0
    assert "procedural tissue" in out
    with Image.open(tmp_path / "seen.png") as seen:
        assert seen.size == (1024, 1024)


def test_what_to_do_comes_first(histofactor, vit, tmp_path):
    (tmp_path / "pointer.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    code, _, err = histofactor("encoders", "check", TINY, "--weights", tmp_path / "pointer.bin")
    assert code == 2
    assert "error: fetch the file itself: `git lfs pull`" in err
    code, _, err = histofactor("encoders", "check", "kaiko-s16", "--weights", vit)
    assert code == 2
    assert "error: name the encoder that they are of" in err
    assert "tokens of 192 channels, where it has 384" in err


def test_windows_and_maps_that_cannot_be(histofactor, tmp_path):
    code, _, err = histofactor("encoders", "check", "uni", "--random", "--window", 500)  # before the hub is asked
    assert code == 2
    assert "a multiple of 16 px from 32 to 4096" in err
    assert "--window 496" in err
    assert histofactor("encoders", "check", "embedded", "--pca", tmp_path / "seen.jpg")[0] == 2
    assert histofactor("encoders", "check", "embedded", "--picture", tmp_path / "a.png")[0] == 2


def test_licences_are_told(histofactor):
    known = {"yes", "no", "unknown"}
    for spec in list_encoders():
        assert {spec.commercial, spec.derivatives} <= known
        if "CC-BY-NC-ND" in spec.licence and "differ" not in spec.licence:
            assert (spec.commercial, spec.derivatives) == ("no", "no")
    assert get("prov-gigapath").commercial == "no"
    assert get("keep").derivatives == "yes"
    assert get("gpfm").commercial == "unknown"
    assert "PathoROB 0.87" in get("virchow2").robustness


def test_weights_of_another_scale(histofactor, vit, tmp_path):
    torch.save({name: 1e4 * value for name, value in torch.load(vit).items()}, tmp_path / "large.bin")
    code, _, err = histofactor("encoders", "check", TINY, "--weights", tmp_path / "large.bin", "--device", "cpu")
    assert code == 1
    told = r"^get a fresh copy of the weights: these are of another scale, norm of a token \de\+\d\d$"
    assert re.search(told, err, re.MULTILINE)
    assert "layer" not in err
    assert "of the same version" not in err


def test_weights_of_an_encoder_that_gives_the_same_everywhere(histofactor, vit, tmp_path):
    state = {name.removeprefix("model."): value for name, value in torch.load(vit).items()}
    for name in ("norm.weight", "norm.bias"):
        state[name] = torch.zeros_like(state[name])
    torch.save(state, tmp_path / "same.bin")
    code, _, err = histofactor(
        "encoders", "check", TINY, "--weights", tmp_path / "same.bin", "--layer", "blocks[-1]+norm"
    )
    assert code == 1
    assert "get a fresh copy of the weights: tokens are the same wherever they lie" in err
    assert "geometry" not in err
    code, _, err = histofactor("encoders", "check", TINY, "--weights", tmp_path / "not there.bin")
    assert code == 2
    assert "error: check the path, and that you may read what is there" in err
