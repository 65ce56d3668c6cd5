"""``histofactor relabel`` as a user meets it."""

import csv
import re
import shutil

import pytest


def test_merges_and_renames(histofactor, kept_weights, tmp_path):
    _, folder = kept_weights()
    arguments = ("--merge", "2+5=tumour", "--merge", "1 + 6 = in=side", "--rename", "3=stroma")
    code, out, err = histofactor("relabel", folder, "-o", tmp_path / "new", *arguments)
    assert (code, err) == (0, "")
    assert str(tmp_path / "new") in out
    with (tmp_path / "new" / "phenotypes.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert names[1:] == ["in=side", "tumour", "stroma", "Concept 4"]


def test_help_names_the_files_that_are_written(histofactor, kept_weights, tmp_path):
    _, folder = kept_weights()
    assert histofactor("relabel", folder, "-o", tmp_path / "new")[0] == 0
    code, out, _ = histofactor("relabel", "--help")
    assert code == 0
    told = set(re.findall(r"[a-z]+\.[a-z.]*[a-z]", out.split("Derive")[1].split("Options")[0]))
    assert {path.name for path in (tmp_path / "new").iterdir()} == told


def test_what_is_left_out_is_said(histofactor, kept_weights, tmp_path):
    _, folder = kept_weights()
    (tmp_path / "case 1.png").unlink()
    code, _, err = histofactor("relabel", folder, "-o", tmp_path / "new")
    assert code == 0
    assert "overlay.png is left out" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--merge", "1+x=a"), "--merge cannot be read"),
        (("--merge", "1+2"), "--merge cannot be read"),
        (("--merge", "1+2="), "--merge cannot be read"),
        (("--rename", "1+2=a"), "--rename takes one label"),
        (("--rename", "1=a", "--rename", "1=b"), "--rename takes one label"),
    ],
)
def test_what_cannot_be_read_is_named(histofactor, tmp_path, arguments, message):
    code, _, err = histofactor("relabel", tmp_path, "-o", tmp_path / "new", *arguments)
    assert code == 2
    assert message in err


def test_a_folder_with_a_seal_that_is_none(histofactor, tmp_path):
    (tmp_path / "segmentation.json").write_text("{}")
    code, _, err = histofactor("relabel", tmp_path, "-o", tmp_path / "new")
    assert code == 2
    assert "segmentation.json is not as it was written" in err
    assert "segment the input again" in err


def test_a_folder_without_weights(histofactor, kept_weights, tmp_path):
    _, folder = kept_weights()
    shutil.rmtree(folder / "weights.zarr")
    code, _, err = histofactor("relabel", folder, "-o", tmp_path / "new")
    assert code == 2
    assert "holds no weights" in err
    assert "to mend" in err
