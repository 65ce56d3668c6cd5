"""Quality control is a layer of its own: its files agree with each other, and labels are as without it."""

import csv
import gzip
import json

import cv2
import numpy as np
import pytest
import shapely
from PIL import Image

from histofactor.base.names import LABELS, QUALITY, QUALITY_REGIONS, QUALITY_TABLE, SEAL
from histofactor.export.labels import open_labels, read_legend
from histofactor.runs.place import Place
from histofactor.runs.results import Outputs
from histofactor.runs.source import Opening
from histofactor.runs.task import Task, run_one
from histofactor.segmentation.setup import prepare

FILES = (QUALITY, QUALITY_REGIONS, QUALITY_TABLE)


@pytest.fixture
def run(tissue, tiny_encoder, tiny_bank, tmp_path):
    """Segment an image whose left half is out of focus; its outcome, and the folder of its results."""
    image, path = tissue.copy(), tmp_path / "case.png"
    image[:, :200] = cv2.GaussianBlur(image, (0, 0), 5)[:, :200]
    Image.fromarray(image).save(path)
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank)

    def made(out, mpp=1.0, *, quality=True):
        place = Place(tmp_path / out, "case")
        task = Task(path, place, Outputs(quality=quality), Opening(source_mpp=mpp))
        return run_one(task, segmenter), place.results

    return made


def test_files_agree(run):
    outcome, folder = run("out")
    assert outcome.status == "done", outcome.error
    legend = read_legend(folder / QUALITY)
    assert [legend.names[label] for label in (1, 2, 3)] == ["out of focus", "pen", "fold"]
    assert legend.mpp == 16
    with open_labels(folder / QUALITY) as labels:
        counts = np.bincount(labels[:].ravel(), minlength=4)
    assert counts[1] > 20
    with (folder / QUALITY_TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["area_um2"]) for row in rows] == [256 * count for count in counts[1:]]
    with gzip.open(folder / QUALITY_REGIONS) as file:
        features = json.load(file)["features"]
    for label, name in legend.names.items():
        own = [one for one in features if one["properties"]["classification"]["name"] == name]
        assert sum(shapely.geometry.shape(one["geometry"]).area for one in own) == (256 * counts[label] if label else 0)
    assert {one["properties"]["metadata"]["source"] for one in features} == {"histofactor quality"}
    seal = json.loads((folder / SEAL).read_text())
    assert seal["quality"] == {row["name"]: pytest.approx(float(row["share_of_tissue"]), abs=1e-6) for row in rows}
    told = f"{seal['quality']['out of focus']:.1%} is out of focus"
    assert any(told in note for note in outcome.notes)
    assert told in (folder / "report.html").read_text()


def test_labels_are_as_without_it(run):
    _, without = run("without", quality=False)
    _, folder = run("with")
    assert (folder / LABELS).read_bytes() == (without / LABELS).read_bytes()
    assert not any((without / name).exists() for name in FILES)
    assert run("with")[0].status == "kept"
    assert run("without")[0].status == "done"  # asked for later
    for name in FILES:
        assert (without / name).read_bytes() == (folder / name).read_bytes()


def test_an_input_that_cannot_be_measured_is_segmented_and_told(run):
    outcome, folder = run("out", None)
    assert outcome.status == "done"
    assert any("no µm/px is known; state it with --source-mpp" in note for note in outcome.notes)
    assert not any((folder / name).exists() for name in FILES)
    assert json.loads((folder / SEAL).read_text())["quality"] is None
