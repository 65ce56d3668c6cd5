"""``histofactor relabel`` as a user meets it."""

import csv
import re
import shutil

import pytest

from histofactor.export.seal import read_seal


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
    told = set(re.findall(r"[a-z]+\.[a-z.]*[a-z]", out.split("With -o")[1].split("Options")[0]))
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


def test_a_study_after_a_split_is_encoded_again_and_says_so_before(histofactor, study):
    out, paths = study
    assert histofactor("concepts", "split", out, 1, "--into", 2)[0] == 0
    code, told, _ = histofactor("relabel", out)
    assert code == 0
    lines = told.splitlines()
    why = "the new concepts are no unions of its own"
    assert lines[0] == f"2 of 2 inputs are encoded again: a.png, b.png ({why})"
    assert lines[-1] == f"2 of 2 up to date at K = 9; look at {out / 'report.html'}"
    seal = read_seal(out / "a")
    assert seal["bank"]["k"] == 9
    assert (seal["geometry"]["views"], seal["made_by"]["source_mpp"]) == (1, 1.0)
    assert "weights.zarr" in seal["digests"]
    code, told, _ = histofactor("segment", *paths, "-o", out, "--source-mpp", 1, "--fast")
    assert (code, "(2 by an earlier run)" in told) == (0, True)


def test_a_study_goes_to_another_k(histofactor, study):
    out, _ = study
    code, told, _ = histofactor("relabel", out, "-k", 4)
    assert (code, "2 of 2 up to date at K = 4;" in told) == (0, True)
    assert "encoded again" not in told
    with (out / "phenotypes.csv").open(encoding="utf-8", newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} == {"1", "2", "3", "4"}
    code, told, _ = histofactor("relabel", out)
    assert (code, "2 of 2 up to date at K = 4 (2 were already)" in told) == (0, True)


def test_an_input_of_a_study_that_cannot_be_encoded_again(histofactor, whole_study, tmp_path):
    _, paths = whole_study
    mine = [tmp_path / path.name for path in paths]
    for path, copy in zip(paths, mine, strict=True):
        shutil.copy(path, copy)
    out = tmp_path / "out"
    assert histofactor("segment", *mine, "-o", out, "-k", 6, "--source-mpp", 1, "--fast")[0] == 0
    assert histofactor("concepts", "split", out, 2, "--into", 2)[0] == 0
    before = (out / "a/labels.ome.tif").read_bytes()
    mine[0].unlink()
    code, told, err = histofactor("relabel", out)
    assert code == 1
    assert "1 of 2 up to date at K = 7" in told
    assert f"failed: {mine[0]}" in err
    assert (out / "a/labels.ome.tif").read_bytes() == before
    assert read_seal(out / "b")["bank"]["k"] == 7


@pytest.mark.parametrize("option", [("--merge", "1+2=a"), ("--rename", "1=a"), ("--slide", "a.png")])
def test_options_for_one_input_need_a_folder(histofactor, tmp_path, option):
    code, _, err = histofactor("relabel", tmp_path, *option)
    assert code == 2
    assert "are for one input" in err


def test_one_input_of_a_merged_study_is_relabelled_by_the_labels_it_shows(histofactor, study, tmp_path):
    out, _ = study
    assert histofactor("concepts", "exclude", out, 1, "--name", "pen")[0] == 0
    assert histofactor("concepts", "merge", out, "3+5=both")[0] == 0
    assert histofactor("relabel", out)[0] == 0
    code, _, err = histofactor("relabel", out / "a", "-o", tmp_path / "new", "--merge", "3+4=more", "--rename", "2=fat")
    assert (code, err) == (0, "")
    with (tmp_path / "new/phenotypes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows[1:]] == ["pen", "fat", "more", "Concept 4", "Concept 5", "Concept 6"]
    assert (rows[1]["fraction"], rows[2]["fraction"] != "") == ("", True)
    made = read_seal(tmp_path / "new")
    assert made["relabel"]["concepts"][2]["of"] == [3, 4, 5]  # of the eight that the weights are of
    assert made["excluded"] == [1]
