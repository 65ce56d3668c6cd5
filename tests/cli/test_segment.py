"""``histofactor segment`` as a user meets it, good input and bad."""

import json
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.concepts.bank.file import read_bank_file
from histofactor.masks.small import merge_small
from histofactor.segmentation.method import METHODS

FILES = {
    ".preview.json", "labels.ome.tif", "overlay.png", "phenotypes.csv", "preview.jpg", "regions.geojson.gz",
    "report.html", "segmentation.json", "status.json",
}  # fmt: skip


@pytest.fixture
def image(tmp_path, tissue):
    path = tmp_path / "tissue.png"
    Image.fromarray(tissue[:160, :200]).save(path)
    return path


def test_a_file_a_folder_and_a_glob(histofactor, image, tmp_path, tissue):
    folder = tmp_path / "more"
    folder.mkdir()
    for name in ("a.jpg", "b.tif"):
        Image.fromarray(tissue[:128, :128]).save(folder / name)
    out = tmp_path / "out"
    code, stdout, _ = histofactor(
        "segment", image, folder, folder / "*.jpg", "--concepts", "embedded", "-o", out, "--source-mpp", 1, "-k", 8
    )
    assert code == 0
    assert "3 of 3" in stdout
    assert str(out / "report.html") in stdout
    for stem in ("tissue", "a", "b"):
        assert {path.name for path in (out / stem).iterdir()} == FILES
    run = json.loads((out / "run.json").read_text())
    assert [entry["status"] for entry in run["inputs"]] == ["done"] * 3
    assert run["arguments"][0] == "segment"


@pytest.mark.parametrize("method", METHODS)
def test_every_method(histofactor, image, tmp_path, method):
    given = [] if method == "single" else ["--concepts", "embedded"]
    given += ["--components", 4] if method in {"factorize", "single"} else []
    code, _, _ = histofactor("segment", image, "-o", tmp_path / "out", "--source-mpp", 1, "--method", method, *given)
    assert code == 0
    recipe = json.loads((tmp_path / "out/tissue/segmentation.json").read_text())
    assert recipe["method"] == method


def save_kinds(tissue, folder):
    """Formats that can be converted without loss of meaning."""
    rgb = Image.fromarray(tissue[:96, :96])
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("RGBA").save(folder / "rgba.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.quantize(64).save(folder / "palette.png")
    Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")


def test_convertible_formats_are_converted_and_said(histofactor, tissue, tmp_path):
    folder = tmp_path / "kinds"
    folder.mkdir()
    save_kinds(tissue, folder)
    code, _, err = histofactor(
        "segment", folder, "--concepts", "embedded", "-o", tmp_path / "out", "--source-mpp", 1, "-k", 8
    )
    assert code == 0, err
    for stem in ("grey", "rgba", "cmyk", "palette", "deep"):
        recipe = json.loads((tmp_path / "out" / stem / "segmentation.json").read_text())
        assert recipe["source"]["notes"], stem


def bad_files(folder):
    """Inputs that are refused, by name."""
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("this is no image")
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)).save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:20_000])
    (folder / "whole.jpg").unlink()
    bomb = Image.new("1", (40_000, 30_000))
    bomb.save(folder / "bomb.png")
    return ["bomb.png", "empty.png", "missing.png", "one.png", "text.png", "truncated.jpg"]


def test_bad_inputs_fail_alone_each_with_its_message(histofactor, image, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    names = bad_files(folder)
    out = tmp_path / "out"
    inputs = [folder / name for name in names]
    code, stdout, err = histofactor(
        "segment", *inputs, image, "--concepts", "embedded", "-o", out, "--source-mpp", 1, "-k", 8
    )
    assert code == 1
    assert "1 of 7" in stdout
    assert "Traceback" not in err
    run = json.loads((out / "run.json").read_text())
    for entry in run["inputs"][:-1]:
        assert entry["status"] == "failed"
        assert entry["error"]
        assert entry["traceback"] == "", entry
    assert run["inputs"][-1]["status"] == "done"
    for name in names:
        assert name in err
    assert {path.name for path in (out / "tissue").iterdir()} == FILES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "0"], ["k ≥ 1"]),
        (["-k", "13"], ["8, 16, 32, 64"]),
        (["--encoder", "unni"], ["unknown encoder", "did you mean 'uni'"]),
        (["--method", "magic"], ["unknown method", "project"]),
        (["--source-mpp", "0"], ["--source-mpp"]),
        (["--source-mpp", "-1"], ["--source-mpp"]),
        (["--mpp", "0"], ["--mpp"]),
        (["--mpp", "-0.5"], ["--mpp"]),
        (["--encoder", "resnet50"], ["the weights of resnet50", "--weights FILE"]),
        (["--weights", "none.safetensors"], ["none.safetensors"]),
        (["--layer", "blocks[-1]"], ["no layer"]),
        (["--device", "toaster"], ["no device"]),
        (["--components", "0", "--method", "single"], ["components"]),
        (["--components", "4"], ["--components", "'project'", "--method factorize or single", "--components 4"]),
        (["--components", "20", "--method", "raw"], ["--components", "'raw'", "leave --components out"]),
        (["--components", "4", "--method", "cluster"], ["--components", "'cluster'"]),
        (["--components", "4", "-k", "4", "--method", "single"], ["-k", "--components", "leave one of them out"]),
        (["--components", "4", "--method", "magic"], ["unknown method", "project"]),
    ],
)
def test_bad_options_are_one_message(histofactor, image, tmp_path, arguments, words):
    code, _, err = histofactor("segment", image, "--concepts", "embedded", "-o", tmp_path / "out", *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()


def test_bad_banks_are_one_message(histofactor, image, tmp_path):
    (tmp_path / "bank.txt").write_text("not a bank")
    (tmp_path / "bank.joblib").write_bytes(b"\x80\x04\x95" + b"\0" * 60)
    for name, word in (("bank.txt", "text file"), ("bank.joblib", "concepts import"), ("none", "no such file")):
        code, _, err = histofactor("segment", image, "-o", tmp_path / "out", "--concepts", tmp_path / name)
        assert code == 2
        assert word in err


def test_a_bank_of_another_encoder(histofactor, image, tmp_path):
    np.save(tmp_path / "c.npy", np.ones((4, 1024), np.float32))
    assert histofactor("concepts", "import", tmp_path / "c.npy", "--encoder", "uni", "-o", tmp_path / "b")[0] == 0
    code, _, err = histofactor("segment", image, "-o", tmp_path / "out", "--concepts", tmp_path / "b")
    assert code == 2
    assert "uni" in err
    assert "embedded" in err


def test_a_folder_without_images(histofactor, tmp_path):
    (tmp_path / "void").mkdir()
    code, _, err = histofactor("segment", tmp_path / "void", "-o", tmp_path / "out")
    assert code == 2
    assert "no image" in err


def test_an_output_that_cannot_be_written(histofactor, image, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, err = histofactor("segment", image, "--concepts", "embedded", "-o", tmp_path / "file")
    assert code == 2
    assert "cannot write" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder(histofactor, image, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = histofactor("segment", image, "--concepts", "embedded", "-o", tmp_path / "locked" / "out")
    assert code == 2
    assert "may write" in err


def test_what_is_written_on_request(histofactor, image, tmp_path):
    assert (
        histofactor(
            "segment", image, "--concepts", "embedded", "-o", tmp_path / "out", "-k", 8, "--ome-zarr", "--keep-weights"
        )[0]
        == 0
    )
    assert {path.name for path in (tmp_path / "out/tissue").iterdir()} == FILES | {"labels.ome.zarr", "weights.zarr"}
    relabelled = histofactor("relabel", tmp_path / "out/tissue", "-o", tmp_path / "new", "--merge", "1+2=mixed")
    assert relabelled[0] == 0
    assert "mixed" in (tmp_path / "new/phenotypes.csv").read_text()


def test_an_interruption_says_how_to_go_on(histofactor, image, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("histofactor.runs.task.segment_slide", interrupt)
    code, _, told = histofactor("segment", image, "--concepts", "embedded", "-o", tmp_path / "out", "-k", 8)
    assert code == 130
    assert "the same command goes on" in told


def test_unknown_resolution_is_said_and_areas_stay_empty(histofactor, image, tmp_path):
    assert histofactor("segment", image, "--concepts", "embedded", "-o", tmp_path / "out", "-k", 8)[0] == 0
    recipe = json.loads((tmp_path / "out/tissue/segmentation.json").read_text())
    assert any("own pixel size" in note for note in recipe["source"]["notes"])
    table = (tmp_path / "out/tissue/phenotypes.csv").read_text().splitlines()
    assert table[2].split(",")[4] == ""


def test_unlike_the_bank(histofactor, image, tmp_path):
    command = [
        "segment",
        image,
        "--concepts",
        "embedded",
        "-o",
        tmp_path / "out",
        "--source-mpp",
        1,
        "-k",
        8,
        "--ome-zarr",
    ]
    assert histofactor(*command, "--unlike", 0.5)[0] == 0
    rows = (tmp_path / "out/tissue/phenotypes.csv").read_text().splitlines()
    assert rows[10].startswith("9,unlike the bank,#000000,")
    assert int(rows[10].split(",")[3]) > 0
    recipe = json.loads((tmp_path / "out/tissue/segmentation.json").read_text())
    assert recipe["unlike"] == 0.5
    code, stdout, _ = histofactor(*command)  # another recipe: done anew
    assert code == 0
    assert "earlier run" not in stdout
    assert "unlike" not in (tmp_path / "out/tissue/phenotypes.csv").read_text()
    code, _, err = histofactor(*command, "--unlike", "2")
    assert code != 0
    assert "auto, or a number above 0 and below 1" in err


def test_a_folder_is_walked_without_own_results_and_what_is_passed_over_is_told(histofactor, image, tmp_path, tissue):
    folder = tmp_path / "download"
    for name in ("id-1/a.png", "id-2/b.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.fromarray(tissue[:128, :128]).save(folder / name)
    (folder / "id-1/annotations.txt").write_text("x")
    arguments = ("--concepts", "embedded", "-o", folder / "out", "--source-mpp", 1, "-k", 8, "--fast")
    code, out, err = histofactor("segment", folder, *arguments)
    assert code == 0, err
    assert "2 of 2" in out
    assert "passed over: 1 not named like images (annotations.txt)" in err
    assert f"2 inputs in 2 folders: 1 in {folder / 'id-1'}, 1 in {folder / 'id-2'}" in err
    code, out, err = histofactor("segment", folder, *arguments)
    assert "2 of 2 segmented (2 by an earlier run)" in out
    assert "of histofactor's own results (a, b)" in err
    code, _, err = histofactor("segment", folder / "out", *arguments)
    assert code == 2
    assert "own results" in err


def test_a_table_gives_every_input_its_resolution_and_mask(histofactor, image, tmp_path, tissue):
    Image.fromarray(tissue[:128, :160]).save(tmp_path / "b.png")
    mask = np.zeros((80, 100), np.uint8)
    mask[:, :50] = 255
    Image.fromarray(mask).save(tmp_path / "left.png")
    table = tmp_path / "slides.csv"
    table.write_text("path,mpp,group,mask\ntissue.png,1,north,left.png\nb.png,0.5,south,\n")
    out = tmp_path / "out"
    code, stdout, err = histofactor("segment", "--table", table, "--concepts", "embedded", "-o", out, "-k", 8)
    assert code == 0, err
    assert "2 of 2" in stdout
    recipes = {name: json.loads((out / name / "segmentation.json").read_text()) for name in ("tissue", "b")}
    assert {name: recipe["source"]["mpp"] for name, recipe in recipes.items()} == {"tissue": 1.0, "b": 0.5}
    labels = tifffile.imread(out / "tissue/labels.ome.tif")
    assert labels[:, :100].all()
    assert not labels[:, 100:].any()
    assert (
        "2 by an earlier run"
        in histofactor("segment", "--table", table, "--concepts", "embedded", "-o", out, "-k", 8)[1]
    )
    mask[:, 50:] = 255  # the content of a mask counts
    Image.fromarray(mask).save(tmp_path / "left.png")
    _, stdout, _ = histofactor("segment", "--table", table, "--concepts", "embedded", "-o", out, "-k", 8)
    assert "1 by an earlier run" in stdout
    assert tifffile.imread(out / "tissue/labels.ome.tif").all()
    for arguments, words in ((["--table", table, "--no-tissue"], "everything is to count as tissue"), ([], "INPUT")):
        code, _, err = histofactor("segment", *arguments, "--concepts", "embedded", "-o", tmp_path / "more")
        assert code in {1, 2}
        assert words in err


def test_what_a_table_says_holds_for_learning_and_for_segmenting_again(histofactor, tmp_path, tissue):
    from histofactor.runs.ledger import known_inputs, openings_of, request_of

    for name in ("a", "b"):
        Image.fromarray(tissue[:, :300] if name == "a" else tissue[:, 100:]).save(tmp_path / f"{name}.png")
    table, out = tmp_path / "slides.csv", tmp_path / "out"
    table.write_text("path,mpp,site\na.png,1,north\nb.png,2,south\n")
    code, _, err = histofactor("segment", "--table", table, "--group", "site", "-o", out, "-k", 4, "--fast")
    assert code == 0, err
    card = read_bank_file(out / "concepts.safetensors").card
    assert card["groups"] == {"north": 1, "south": 1}
    assert [slide["mpp"] for slide in card["slides"]] == [1.0, 2.0]
    assert request_of(out, "b")["opening"]["source_mpp"] == 2.0
    assert openings_of(out)[tmp_path / "a.png"]["source_mpp"] == 1.0
    assert {path.name: one.group for path, one in known_inputs(out).items()} == {"a.png": "north", "b.png": "south"}
    code, _, err = histofactor("segment", tmp_path / "a.png", "-o", out, "--fast", "--relearn", "--source-mpp", 1)
    assert code == 0, err
    assert [slide["mpp"] for slide in read_bank_file(out / "concepts.safetensors").card["slides"]] == [1.0, 2.0]


def test_a_column_of_groups_without_a_table(histofactor, tmp_path):
    code, _, err = histofactor("segment", tmp_path / "a.png", "-o", tmp_path / "out", "--group", "site")
    assert code == 2
    assert "--group is a column of a table" in err
    assert "give the table with --table" in err


def test_the_recommended_k_is_used_and_what_else_is_told(histofactor, image, tmp_path, tiny_bank):
    from histofactor.concepts.bank.file import save_bank
    from histofactor.encoders.weights import embedded_path

    shipped = read_bank_file(embedded_path("concepts.safetensors"))
    arguments = ("--source-mpp", 1, "--fast")
    for name, card, k, told in (
        ("with", shipped.card, shipped.card["choice"]["recommended"], False),
        ("without", {**shipped.card, "choice": None}, 16, True),
    ):
        bank, out = tmp_path / f"{name}.safetensors", tmp_path / name
        save_bank(list(shipped.banks.values()), bank, card)
        code, _, err = histofactor("segment", image, "-o", out, "--concepts", bank, *arguments)
        assert code == 0, err
        assert json.loads((out / "tissue/segmentation.json").read_text())["bank"]["k"] == k
        assert (f"{bank} recommends no K of 8, 16, 32, 64: K = 16 is taken" in err) == told
    histofactor("segment", image, "-o", tmp_path / "embedded", "--concepts", "embedded", *arguments)
    recipe = json.loads((tmp_path / "embedded/tissue/segmentation.json").read_text())
    assert recipe["bank"]["k"] == shipped.card["choice"]["recommended"]


def test_small_pieces_are_merged_where_that_is_asked_for(histofactor, image, tmp_path):
    arguments = ("--concepts", "embedded", "-k", 64, "--fast")
    for out, more in (("plain", ()), ("merged", ("--min-area", 2000))):
        code, _, err = histofactor("segment", image, "-o", tmp_path / out, *arguments, "--source-mpp", 0.5, *more)
        assert code == 0, err
    plain, merged = (tifffile.imread(tmp_path / out / "tissue/labels.ome.tif") for out in ("plain", "merged"))
    mpp = json.loads((tmp_path / "merged/tissue/segmentation.json").read_text())["mpp"]
    np.testing.assert_array_equal(merged, merge_small(plain, 2000 / mpp**2))
    assert (merged != plain).any()
    code, _, err = histofactor("segment", image, "-o", tmp_path / "none", *arguments, "--min-area", 2000)
    assert code == 1
    assert "cannot be told" in err
