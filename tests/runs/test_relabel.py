"""Labels from kept weights: the same where nothing changes, and without boundaries in what is merged."""

import csv
import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.concepts.bank.file import save_bank
from histofactor.concepts.bank.record import new_bank
from histofactor.errors import ImageError, OptionError, OutputError
from histofactor.export.seal import read_seal, write_seal
from histofactor.export.tables import hex_color
from histofactor.masks.decode import label_pixels
from histofactor.masks.small import merge_small
from histofactor.runs import relabel as page
from histofactor.runs.place import Place, claim
from histofactor.runs.regroup import Regrouping
from histofactor.runs.relabel import relabel
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions

FILES = {"labels.ome.tif", "overlay.png", "phenotypes.csv", "regions.geojson.gz", "segmentation.json"}


def labels_of(folder):
    return tifffile.imread(folder / "labels.ome.tif")


def table_of(folder):
    with (folder / "phenotypes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def nested_bank(tiny_bank, tmp_path):
    """The tiny bank's six concepts below two coarser ones."""
    coarse = new_bank(np.ones((2, 12), np.float32), tiny_bank.encoder, mpp=tiny_bank.mpp)
    save_bank([replace(tiny_bank, parents=(0, 1, 0, 1, 0, 1)), coarse], tmp_path / "nested.safetensors")
    return tmp_path / "nested.safetensors"


@pytest.mark.parametrize("method", ["project", "factorize", "cluster", "single"])
def test_no_change_gives_the_same_labels(kept_weights, tmp_path, method):
    dense, folder = kept_weights(method)
    assert relabel(folder, tmp_path / "new", Regrouping()) == []
    assert {path.name for path in (tmp_path / "new").iterdir()} == FILES
    before, after = dense.label_map.labels, labels_of(tmp_path / "new")
    tissue = before > 0
    assert (after[tissue] == before[tissue]).mean() >= 0.999
    assert not after[~tissue].any()


def test_measures_stay_as_they_were(kept_weights, tmp_path):
    _, folder = kept_weights()
    relabel(folder, tmp_path / "new", Regrouping())
    for old, new in zip(table_of(folder), table_of(tmp_path / "new"), strict=True):
        assert (old["label"], old["name"], old["color"]) == (new["label"], new["name"], new["color"])
        for name in ("area_px", "mean_margin", "mean_residual"):
            if old[name]:
                assert float(new[name]) == pytest.approx(float(old[name]), rel=5e-3)


@pytest.mark.parametrize("method", ["project", "cluster"])
def test_a_merge_gives_the_labels_of_the_merged_dense_weights(kept_weights, tmp_path, method):
    dense, folder = kept_weights(method)
    relabel(folder, tmp_path / "new", Regrouping([((2, 5), "both")]))
    W = dense.weights.values
    height, width = dense.label_map.labels.shape
    rows, columns = W.shape[:2]
    if method == "cluster":  # the map before, with every label called by its group
        expected = np.array([0, 1, 2, 3, 4, 2, 5])[dense.label_map.labels]
    else:
        merged = np.stack([W[..., 0], W[..., 1] + W[..., 4], W[..., 2], W[..., 3], W[..., 5]], axis=-1)
        expected, _ = label_pixels(merged, (rows * dense.weights.stride_px, columns * dense.weights.stride_px))
    tissue = dense.label_map.labels > 0
    assert (labels_of(tmp_path / "new") == expected[:height, :width])[tissue].mean() >= 0.999


def test_a_merge_removes_the_boundary_between_its_members(kept_weights, tmp_path):
    dense, folder = kept_weights()
    relabel(folder, tmp_path / "new", Regrouping([((1, 2, 3, 4, 5, 6), "tissue")]))
    np.testing.assert_array_equal(labels_of(tmp_path / "new"), dense.label_map.labels > 0)


def test_names_and_colors_arrive_in_all_files(kept_weights, tmp_path):
    dense, folder = kept_weights()
    new = tmp_path / "new"
    relabel(folder, new, Regrouping([((2, 5), "tumour")], {3: "stroma"}))
    colors = [dense.label_map.colors[i] for i in (0, 1, 2, 3, 5)]
    names = ["Concept 1", "tumour", "stroma", "Concept 4", "Concept 5"]
    assert [(row["name"], row["color"]) for row in table_of(new)[1:]] == list(
        zip(names, map(hex_color, colors), strict=True)
    )
    with gzip.open(new / "regions.geojson.gz") as file:
        regions = json.load(file)["features"]
    found = {region["properties"]["classification"]["name"] for region in regions}
    assert found <= set(names)
    assert {"tumour", "stroma"} <= found
    for region in regions:
        classification = region["properties"]["classification"]
        assert classification["color"] == list(colors[names.index(classification["name"])])
    sealed = json.loads((new / "segmentation.json").read_text())
    parent = json.loads((folder / "segmentation.json").read_text())
    assert sealed["relabel"]["parent_recipe_sha256"] == parent["recipe_sha256"] != sealed["recipe_sha256"]
    assert sealed["relabel"]["concepts"][1] == {
        "label": 2, "name": "tumour", "color": list(colors[1]), "of": [2, 5],
    }  # fmt: skip
    with Image.open(new / "overlay.png") as overlay:
        assert overlay.size == (400, 300)


def test_a_coarser_level_of_a_nested_bank(kept_weights, nested_bank, tmp_path):
    _, folder = kept_weights()
    relabel(folder, tmp_path / "coarse", Regrouping(bank=nested_bank))
    relabel(folder, tmp_path / "merged", Regrouping([((1, 3, 5), "Concept 1"), ((2, 4, 6), "Concept 2")]))
    np.testing.assert_array_equal(labels_of(tmp_path / "coarse"), labels_of(tmp_path / "merged"))
    assert [row["name"] for row in table_of(tmp_path / "coarse")][1:] == ["Concept 1", "Concept 2"]


def test_bands_leave_no_trace(kept_weights, tmp_path, monkeypatch):
    _, folder = kept_weights()
    for rows in (3, 1000):
        monkeypatch.setattr(page, "_BAND_ROWS", rows)
        relabel(folder, tmp_path / str(rows), Regrouping())
    for name in FILES:
        assert (tmp_path / "3" / name).read_bytes() == (tmp_path / "1000" / name).read_bytes()


def test_without_its_input_the_overlay_is_left_out_and_that_is_said(kept_weights, tmp_path):
    _, folder = kept_weights()
    relabel(folder, tmp_path / "new", Regrouping())
    (tmp_path / "case 1.png").rename(tmp_path / "moved.png")
    (sentence,) = relabel(folder, tmp_path / "new", Regrouping())
    assert "case 1.png" in sentence
    assert "--slide" in sentence
    assert {path.name for path in (tmp_path / "new").iterdir()} == FILES - {"overlay.png"}
    assert relabel(folder, tmp_path / "new", Regrouping(), tmp_path / "moved.png") == []
    (tmp_path / "moved.png").rename(tmp_path / "case 1.png")
    shutil.copytree(folder, tmp_path / "elsewhere" / "case 1")
    assert relabel(tmp_path / "elsewhere" / "case 1", tmp_path / "new", Regrouping()) == []
    (tmp_path / "elsewhere" / "case 1" / "status.json").write_text("{}")
    (sentence,) = relabel(tmp_path / "elsewhere" / "case 1", tmp_path / "new", Regrouping())
    assert "not known" in sentence
    Image.new("RGB", (50, 50)).save(tmp_path / "other.png")
    with pytest.raises(ImageError, match="not the input"):
        relabel(folder, tmp_path / "new", Regrouping(), tmp_path / "other.png")


def test_folders_that_cannot_be_relabelled(kept_weights, tmp_path):
    _, folder = kept_weights()
    with pytest.raises(OptionError, match="results of `histofactor segment`"):
        relabel(folder, folder, Regrouping())
    with pytest.raises(OptionError, match="--bank"):
        relabel(folder, tmp_path / "new", Regrouping(k=2))
    with pytest.raises(OptionError, match="no finished results"):
        relabel(tmp_path, tmp_path / "new", Regrouping())
    with claim(Place(tmp_path, "new")), pytest.raises(OutputError, match="another process"):
        relabel(folder, tmp_path / "new", Regrouping())
    write_seal(read_seal(folder) | {"recipe_sha256": "0" * 64}, folder)
    with pytest.raises(ImageError, match="another run"):
        relabel(folder, tmp_path / "new", Regrouping())
    shutil.rmtree(folder / "weights.zarr")
    with pytest.raises(OptionError, match="no weights"):
        relabel(folder, tmp_path / "new", Regrouping())
    assert not (tmp_path / "new").exists()


def test_what_was_derived_has_no_weights_to_derive_from(kept_weights, tmp_path):
    _, folder = kept_weights()
    relabel(folder, tmp_path / "new", Regrouping())
    with pytest.raises(OptionError, match="no weights") as error:
        relabel(tmp_path / "new", tmp_path / "newer", Regrouping())
    assert error.value.mend == "relabel the folder that it was made from"


def test_results_of_another_segmentation_are_not_written_over(kept_weights, tmp_path):
    _, folder = kept_weights()
    shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(OptionError, match="results of `histofactor segment`"):
        relabel(folder, tmp_path / "other", Regrouping())


def test_nothing_unfinished_stays_behind(kept_weights, tmp_path, monkeypatch):
    _, folder = kept_weights()
    monkeypatch.chdir(folder)
    relabel(Path(), Path("../new"), Regrouping())
    assert {path.name for path in (tmp_path / "out" / "new").iterdir()} == FILES

    def fails(*arguments):
        raise OutputError("full")

    monkeypatch.setattr(page, "_write", fails)
    with pytest.raises(OutputError, match="full"):
        relabel(folder, tmp_path / "out" / "new", Regrouping())
    assert not (tmp_path / "out" / ".work").exists()
    assert not (tmp_path / "out" / "new" / "segmentation.json").exists()


@pytest.mark.parametrize("method", ["project", "cluster"])
def test_what_is_unlike_the_bank_stays_so(kept_weights, tmp_path, method):
    tokens = kept_weights(method)[0].tokens
    limit = float(np.median(tokens.residual[tokens.label > 0]))
    dense, folder = kept_weights(method, unlike=limit)
    before = labels_of(folder)
    assert 0.2 < (before == 7).sum() / (before > 0).sum() < 0.8
    relabel(folder, tmp_path / "same", Regrouping())
    relabel(folder, tmp_path / "merged", Regrouping([((2, 5), "both")]))
    same, merged = labels_of(tmp_path / "same"), labels_of(tmp_path / "merged")
    np.testing.assert_array_equal(same == 7, before == 7)
    np.testing.assert_array_equal(merged == 6, before == 7)
    assert (same == before).mean() >= 0.999
    assert [row["name"] for row in table_of(tmp_path / "merged")][2:] == [
        "both", "Concept 3", "Concept 4", "Concept 5", "unlike the bank",
    ]  # fmt: skip
    assert table_of(tmp_path / "same")[7]["color"] == "#000000"
    with gzip.open(tmp_path / "same" / "regions.geojson.gz") as file:
        names = {one["properties"]["classification"]["name"] for one in json.load(file)["features"]}
    assert "unlike the bank" in names
    assert dense.label_map.names[6] == "unlike the bank"
    with pytest.raises(OptionError, match="labels from 1 to 6"):
        relabel(folder, tmp_path / "new", Regrouping(renames={7: "odd"}))


def test_a_merge_into_a_name_that_is_there_joins_it(kept_weights, tmp_path):
    _, folder = kept_weights()
    relabel(folder, tmp_path / "named", Regrouping([((1, 4), "tumour")], {5: "tumour"}))
    relabel(folder, tmp_path / "whole", Regrouping([((1, 4, 5), "tumour")]))
    np.testing.assert_array_equal(labels_of(tmp_path / "named"), labels_of(tmp_path / "whole"))
    assert [row["name"] for row in table_of(tmp_path / "named")] == [
        row["name"] for row in table_of(tmp_path / "whole")
    ]


def test_labels_of_one_name_have_the_colour_of_the_larger(kept_weights, tmp_path):
    _, folder = kept_weights()
    before = table_of(folder)[1:]
    small, large = sorted(before, key=lambda row: int(row["area_px"]))[-2:]
    relabel(folder, tmp_path / "new", Regrouping((), {int(row["label"]): "stroma" for row in (small, large)}))
    after = {row["label"]: row for row in table_of(tmp_path / "new")}
    assert after[small["label"]]["color"] == after[large["label"]]["color"] == large["color"]
    assert int(after[small["label"]]["area_px"]) > 0


@pytest.mark.parametrize("method", ["project", "cluster"])
def test_small_pieces_are_merged_again(tiny_encoder, tiny_bank, tissue, tmp_path, method):
    image = tmp_path / "case.png"
    Image.fromarray(tissue).save(image)
    many = ManyOptions(
        opening=Opening(source_mpp=1.0),
        method=method,
        segment=SegmentOptions(views=1, min_area_um2=300.0),
        outputs=Outputs(weights=True),
    )
    segment_many([image], tmp_path / "out", encoder=tiny_encoder, concepts=tiny_bank, options=many)
    before = tifffile.imread(tmp_path / "out/case/labels.ome.tif")
    np.testing.assert_array_equal(merge_small(before, 300), before)
    relabel(tmp_path / "out/case", tmp_path / "same", Regrouping(renames={1: "one"}))
    same = tifffile.imread(tmp_path / "same/labels.ome.tif")
    assert (same == before).mean() > (0.999 if method == "project" else 0.9999999)  # weights are kept in steps
    relabel(tmp_path / "out/case", tmp_path / "merged", Regrouping(merges=[((1, 2, 3), "few")]))
    merged = tifffile.imread(tmp_path / "merged/labels.ome.tif")
    np.testing.assert_array_equal(merge_small(merged, 300), merged)
    assert json.loads((tmp_path / "merged/segmentation.json").read_text())["min_area_um2"] == 300.0
