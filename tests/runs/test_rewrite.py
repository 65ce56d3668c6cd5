"""Other names and colours: the files are those of a run that had them from the beginning, and nothing is encoded."""

import csv
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.runs import task as module
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions

NAMES = ("tumour", "stroma, loose", 'é "quoted"', "Concept 2", "fat:", "=1+1")


@pytest.fixture
def image(tmp_path, tissue):
    path = tmp_path / "tissue.png"
    Image.fromarray(tissue).save(path)
    return path


@pytest.fixture
def segment_as(tiny_encoder, image, tmp_path):
    def run(bank, out, **options):
        many = ManyOptions(opening=Opening(source_mpp=1.0), **options)
        return segment_many([image], tmp_path / out, encoder=tiny_encoder, concepts=bank, options=many)[0]

    return run


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "status.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(("recolored", "unlike"), [(False, None), (True, None), (True, 0.5)])
def test_rewritten_files_are_those_of_a_fresh_run(segment_as, tiny_bank, tmp_path, monkeypatch, recolored, unlike):
    colors = tuple(tuple(255 - value for value in color) for color in tiny_bank.colors)
    named = replace(tiny_bank, names=NAMES, colors=colors if recolored else tiny_bank.colors)
    outputs, options = Outputs(weights=True, ome_zarr=True), SegmentOptions(unlike=unlike)

    def run(bank, out):
        return segment_as(bank, out, outputs=outputs, segment=options)

    run(tiny_bank, "out")
    run(named, "fresh")
    with monkeypatch.context() as patch:
        patch.setattr(module, "segment_slide", lambda *arguments, **others: pytest.fail("encoded again"))
        assert run(named, "out").status == "done"
        assert run(named, "out").status == "kept"
    ours, fresh = contents(tmp_path / "out/tissue"), contents(tmp_path / "fresh/tissue")
    assert set(ours) == set(fresh)
    assert [name for name in fresh if ours[name] != fresh[name]] == []


def test_names_that_are_shared_and_part_again_reach_their_own_labels(segment_as, tiny_bank, tmp_path, monkeypatch):
    shared = replace(tiny_bank, names=("stroma", "stroma", "fat", "stroma", "fat", "tumour"))
    segment_as(shared, "out")
    segment_as(tiny_bank, "fresh")
    with monkeypatch.context() as patch:
        patch.setattr(module, "segment_slide", lambda *arguments, **others: pytest.fail("encoded again"))
        assert segment_as(tiny_bank, "out").status == "done"
    ours, fresh = contents(tmp_path / "out/tissue"), contents(tmp_path / "fresh/tissue")
    assert [name for name in fresh if ours[name] != fresh[name]] == []


def test_a_name_has_one_colour_wherever_it_is_seen(segment_as, tiny_bank, tmp_path):
    segment_as(replace(tiny_bank, names=tuple("abacba")), "out")
    with gzip.open(tmp_path / "out/tissue/regions.geojson.gz") as file:
        regions = [one["properties"] for one in json.load(file)["features"]]
    classes = {(one["classification"]["name"], tuple(one["classification"]["color"])) for one in regions}
    assert classes == {("a", tiny_bank.colors[0]), ("b", tiny_bank.colors[1])}
    labels = {one["measurements"]["label"] for one in regions}
    assert len(labels) > len(classes)
    assert all(one["classification"]["name"] == "abacba"[one["measurements"]["label"] - 1] for one in regions)
    with (tmp_path / "out/tissue/phenotypes.csv").open() as file:
        rows = {int(row["label"]): row for row in csv.DictReader(file)}
    assert [rows[label]["name"] for label in range(1, 7)] == ["a", "b", "a", "c", "b", "a"]
    assert rows[5]["color"] == rows[2]["color"] != rows[1]["color"]
    assert labels <= {*np.unique(tifffile.imread(tmp_path / "out/tissue/labels.ome.tif"))}
    area = sum(int(rows[label]["area_px"]) for label in (2, 5)) / 1e6  # 1 µm/px
    with (tmp_path / "out/phenotypes.csv").open() as file:
        (told,) = [row for row in csv.DictReader(file) if row["name"] == "b"]
    assert (told["k"], told["label"], float(told["area_mm2"])) == ("6", "2+5", pytest.approx(area, abs=1e-6))
    page = (tmp_path / "out/tissue/report.html").read_text()
    assert page.count('<span class="name">b</span>') == 2  # in the legend and in the table


@pytest.mark.parametrize("name", ["labels.ome.tif", ".preview.json", "regions.geojson.gz"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.999])
def test_what_is_damaged_is_made_anew(segment_as, tiny_bank, tmp_path, name, share):
    named = replace(tiny_bank, names=NAMES)
    segment_as(tiny_bank, "out")
    damaged = tmp_path / "out/tissue" / name
    content = bytearray(damaged.read_bytes())
    content[int(len(content) * share)] ^= 1
    damaged.write_bytes(content)
    assert segment_as(named, "out").status == "done"
    segment_as(named, "fresh")
    assert contents(tmp_path / "out/tissue") == contents(tmp_path / "fresh/tissue")


def test_weights_that_were_not_kept_are_made(segment_as, tiny_bank, tmp_path):
    segment_as(tiny_bank, "out")
    assert segment_as(tiny_bank, "out", outputs=Outputs(weights=True)).status == "done"
    assert (tmp_path / "out/tissue/weights.zarr").is_dir()
