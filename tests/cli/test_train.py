"""``histofactor concepts train``: from files or a manifest to a bank and its page."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank.file import load_banks, read_bank_file
from histofactor.runs.study import bank_lock


def test_train_and_use(histofactor, tissue, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(tissue).save(folder / "a.png")
    (folder / "bad.png").write_text("no image")
    bank = tmp_path / "bank.safetensors"
    code, stdout, err = histofactor("concepts", "train", folder, "-k", "3,5", "-o", bank, "--source-mpp", 1)
    assert code == 1, err  # one input was left out
    assert "3, 5" in stdout
    assert "left out" in err
    assert sorted(load_banks(bank)) == [3, 5]
    out = tmp_path / "out"
    code, _, _ = histofactor("segment", folder / "a.png", "-o", out, "--concepts", bank, "-k", 5, "--source-mpp", 1)
    assert code == 0


def test_two_at_once_to_one_file(histofactor, tissue, tmp_path):
    Image.fromarray(tissue[:200, :200]).save(tmp_path / "a.png")
    bank = tmp_path / "mine" / "bank.safetensors"
    asked = ("concepts", "train", tmp_path / "a.png", "-k", "2", "--source-mpp", 1, "--fast", "-o")
    with bank_lock(bank):
        code, _, err = histofactor(*asked, bank)
        assert code != 0
        assert "bank.safetensors is being learned already" in err
        assert f"got: process {os.getpid()} of {socket.gethostname()}" in err
        assert not bank.exists()
        assert histofactor(*asked, bank.with_name("other.safetensors"))[0] == 0
    assert histofactor(*asked, bank)[0] == 0
    names = ("bank.html", "bank.safetensors", "other.html", "other.safetensors")
    assert sorted(path.name for path in bank.parent.iterdir()) == [*names]


def test_lists_of_numbers(histofactor, tmp_path):
    code, _, err = histofactor("concepts", "train", tmp_path, "-k", "8;16", "-o", tmp_path / "b")
    assert code == 2
    assert "8,16,32" in err


def test_the_recipe_of_the_paper_from_a_manifest(histofactor, gdc, tmp_path):
    gdc.fill_with_images()
    manifest, bank = tmp_path / "m.tsv", tmp_path / "bank.safetensors"
    assert histofactor("tcga", "list", "-o", manifest, "--per-project", 2, "--endpoint", gdc.endpoint)[0] == 0
    gdc.fail_every = 3
    arguments = ("--preset", "tcga", "-k", "2,4", "--source-mpp", 1, "--endpoint", gdc.endpoint, "-o", bank)
    code, out, err = histofactor("concepts", "train", manifest, *arguments)
    assert code == 0, err
    assert "from 4 inputs" in out
    file = read_bank_file(bank)
    assert file.banks[4].parents is None
    assert file.card["options"]["pool"] == "tile"
    assert file.card["groups"] == {"TCGA-A": 2, "TCGA-B": 2}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "bank.html",
        "bank.safetensors",
        "m.tsv",
    ]


def test_a_folder_in_the_place_of_the_bank_is_told_before_anything_is_encoded(histofactor, tmp_path):
    (tmp_path / "b.safetensors").mkdir()
    code, _, err = histofactor("concepts", "train", tmp_path / "none.png", "-o", tmp_path / "b.safetensors")
    assert code == 2
    assert "b.safetensors is a folder" in err
    assert [path.name for path in tmp_path.iterdir()] == ["b.safetensors"]


def test_an_unknown_preset(histofactor, tmp_path):
    code, _, err = histofactor("concepts", "train", tmp_path, "--preset", "magic", "-o", tmp_path / "b")
    assert code == 2
    assert "expected: tcga" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--group", "hospital"], ["--group", "--table"]),
        (["--table", "none.csv"], ["cannot read the table", "none.csv"]),
        (["-k", "4,4"], ["-k", "twice"]),
    ],
)
def test_options_that_make_no_sense(histofactor, tissue, tmp_path, arguments, words):
    Image.fromarray(tissue[:96, :96]).save(tmp_path / "a.png")
    code, _, err = histofactor("concepts", "train", tmp_path / "a.png", "-o", tmp_path / "b.safetensors", *arguments)
    assert code == 2
    assert err.startswith("error: ")
    for word in words:
        assert word in err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_a_sample_that_is_kept_is_learned_from_again(histofactor, tissue, tmp_path):
    Image.fromarray(tissue).save(tmp_path / "a.png")
    bank, sample = tmp_path / "bank.safetensors", tmp_path / "bank.safetensors.sample.npz"
    common = ("concepts", "train", tmp_path / "a.png", "--source-mpp", 1, "--fast")
    assert histofactor(*common, "-o", bank, "-k", "3", "--keep-sample")[0] == 0
    kept = arrays(sample)
    assert histofactor(*common, "-o", bank, "-k", "2,4", "--keep-sample")[0] == 0
    again = arrays(sample)
    assert kept.keys() == again.keys()
    for name, values in kept.items():
        np.testing.assert_array_equal(again[name], values)
    fresh = tmp_path / "fresh.safetensors"
    assert histofactor(*common, "-o", fresh, "-k", "2,4")[0] == 0
    ours, theirs = load_banks(bank), load_banks(fresh)
    assert sorted(ours) == sorted(theirs) == [2, 4]
    for k, one in ours.items():
        np.testing.assert_array_equal(one.vectors, theirs[k].vectors)
    assert not (tmp_path / "fresh.safetensors.sample.npz").exists()
