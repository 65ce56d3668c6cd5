"""The files of one segmentation say what it says, and the weights beside them are those that labels come from."""

import csv
import gzip
import json

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from histofactor.base.clock import Clock
from histofactor.base.names import OME_ZARR, WEIGHTS, WRITTEN
from histofactor.errors import OutputError
from histofactor.export.weights import SparseWeights
from histofactor.masks import unlike
from histofactor.runs.place import Place
from histofactor.runs.results import Outputs, keep_weights, write_results
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.segmentation.store import MemoryStore
from histofactor.slides.reader import open_slide


@pytest.fixture
def image(tissue, tmp_path):
    path = tmp_path / "case 1.png"
    Image.fromarray(tissue[:160, :200]).save(path)
    return path


@pytest.fixture
def segment(image, tiny_encoder, tiny_bank):
    """Segment the image, then do something with segmentation, slide and store."""

    def run(use, **options):
        segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(**options))
        with open_slide(image, source_mpp=1.0) as slide:
            store = MemoryStore()
            segmentation = segment_slide(slide, segmenter, store=store)
            use(segmentation, slide, store)
            return segmentation

    return run


@pytest.mark.parametrize("ome_zarr", [False, True])
def test_just_the_files_that_are_promised(segment, tmp_path, ome_zarr):
    place, clock = Place(tmp_path / "out", "case 1"), Clock()
    segment(lambda one, slide, store: write_results(one, slide, place, Outputs(ome_zarr=ome_zarr), clock))
    written = {path.name for path in place.results.iterdir()}
    assert written == {*WRITTEN, *([OME_ZARR] if ome_zarr else [])}
    assert {"thumbnail", "write", "labels", "tables", "regions", "overlay", "page"} <= clock.seconds.keys()


def test_files_agree_with_the_segmentation(segment, image, tmp_path):
    place = Place(tmp_path / "out", "case 1")
    made = segment(lambda one, slide, store: write_results(one, slide, place, Outputs(ome_zarr=True), Clock()))
    labels = made.label_map.labels[:]
    counts = np.bincount(labels.ravel(), minlength=7)
    np.testing.assert_array_equal(tifffile.imread(place.results / "labels.ome.tif"), labels)
    stored = zarr.open_group(place.results / OME_ZARR, mode="r")["labels/phenotypes/0"]
    np.testing.assert_array_equal(stored[:], labels)
    with (place.results / "phenotypes.csv").open() as file:
        assert [int(row["area_px"]) for row in csv.DictReader(file)] == counts.tolist()
    with gzip.open(place.results / "regions.geojson.gz") as file:
        features = json.load(file)["features"]
    names = {feature["properties"]["classification"]["name"] for feature in features}
    assert names <= {name for name, count in zip(made.label_map.names, counts[1:], strict=True) if count}
    with Image.open(place.results / "overlay.png") as overlay, Image.open(image) as original:
        drawn, rgb = np.asarray(overlay.convert("RGB")), np.asarray(original)
        assert drawn.shape == rgb.shape
        np.testing.assert_array_equal(drawn[labels == 0], rgb[labels == 0])
    with Image.open(place.results / "preview.jpg") as small:
        assert max(small.size) <= 224
    assert image.name in (place.results / "report.html").read_text()


def test_weights_are_those_that_gave_the_labels(segment, tmp_path):
    place = Place(tmp_path / "out", "case 1")
    made = segment(lambda one, slide, store: keep_weights(one, store.weights(), place, "the recipe"))
    kept = SparseWeights(place.results / WEIGHTS)
    header = kept.header
    assert (header.slide, header.size, header.mpp) == ("case 1.png", (200, 160), 1.0)
    assert (header.stride_px, header.l0_per_px) == (4, (1.0, 1.0))  # four views, half a token apart
    assert (header.method, header.recipe) == ("project", "the recipe")
    assert (header.names, header.colors) == (made.label_map.names, made.label_map.colors)
    h, w = made.tokens.label.shape
    weights = kept.rows(0, h)
    assert weights.shape == (h, w, 6)
    tissue = weights.sum(-1) > 0
    np.testing.assert_array_equal(weights.argmax(-1)[tissue] + 1, made.tokens.label[tissue])
    assert (made.tokens.label[~tissue] == 0).all()
    np.testing.assert_allclose(kept.residual(0, h), made.tokens.residual, atol=1 / 65535)


def test_weights_name_no_label_that_is_no_concept(segment, tmp_path):
    place = Place(tmp_path / "out", "case 1")
    made = segment(lambda one, slide, store: keep_weights(one, store.weights(), place, ""), unlike=0.5)
    assert made.label_map.names[-1] == unlike.NAME
    assert SparseWeights(place.results / WEIGHTS).header.names == made.label_map.names[:-1]


def test_a_folder_that_cannot_be_written(segment, tmp_path):
    (tmp_path / "out").write_text("in the way")
    place = Place(tmp_path / "out", "case 1")

    def use(one, slide, store):
        with pytest.raises(OutputError, match="cannot write"):
            write_results(one, slide, place, Outputs(), Clock())
        with pytest.raises(OutputError, match="cannot write"):
            keep_weights(one, store.weights(), place, "")

    segment(use)
    assert (tmp_path / "out").read_text() == "in the way"
