import dataclasses
import gzip
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
import rasterio.features
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from shapely.geometry import shape

from histofactor.errors import OutputError
from histofactor.export.geojson import class_name, write_geojson
from qupath_rules import refusal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "case 1" / "regions.geojson.gz"


def read(path):
    return json.loads(gzip.decompress(path.read_bytes()).decode("utf-8"))


def test_every_feature_follows_the_rules_of_qupath(make_segmentation, path):
    tokens = np.random.default_rng(3).integers(0, 5, (30, 40))
    segmentation = make_segmentation(tokens, l0_per_px=2.5)
    write_geojson(segmentation, path, min_area_px=1)
    collection = read(path)
    assert set(collection) == {"type", "features"}  # no CRS block
    assert collection["type"] == "FeatureCollection"
    for feature in collection["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        properties = feature["properties"]
        assert properties["objectType"] == "annotation"
        assert properties["classification"]["name"] in segmentation.label_map.names
        assert tuple(properties["classification"]["color"]) in segmentation.label_map.colors
        assert all(isinstance(value, int | float) for value in properties["measurements"].values())
        assert feature["geometry"]["type"] == "Polygon"
        assert shape(feature["geometry"]).is_valid
        for ring in feature["geometry"]["coordinates"]:
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(type(number) is int for point in ring for number in point)
    ids = [feature["id"] for feature in collection["features"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "tokens",
    [
        [[1, 1, 1], [1, 2, 1], [1, 1, 1]],  # an island in a hole
        [[1, 2], [2, 1]],  # pieces that touch at a corner
        [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 1, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]],  # holes within holes
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]],
        [[1]],
    ],
)
def test_qupath_reads_every_shape(make_segmentation, path, tokens):
    write_geojson(make_segmentation(tokens), path, min_area_px=1)
    features = read(path)["features"]
    assert features
    assert [refusal(feature) for feature in features] == [""] * len(features)


@given(
    tokens=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    l0_per_px=st.sampled_from([0.63, 1.0, 2.37, 4.0]),
    name=st.text(min_size=1, max_size=9),
    tolerance_px=st.sampled_from([0, 1, 3]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_qupath_reads(make_segmentation, path, tokens, l0_per_px, name, tolerance_px):
    segmentation = make_segmentation(tokens, l0_per_px=l0_per_px, cut_px=1)
    names = (name, *segmentation.label_map.names[1:])
    named = dataclasses.replace(segmentation.label_map, names=names, excluded=(2,))
    write_geojson(dataclasses.replace(segmentation, label_map=named), path, tolerance_px=tolerance_px, min_area_px=1)
    features = read(path)["features"]
    assert [refusal(feature) for feature in features] == [""] * len(features)
    assert len({feature["id"] for feature in features}) == len(features)
    told = {feature["properties"]["measurements"]["label"] for feature in features}
    assert told == {*np.unique(named.labels)} - {0}


def test_what_tells_regions_of_histofactor(make_segmentation, path):
    segmentation = make_segmentation([[1, 2], [2, 1]])
    write_geojson(segmentation, path, min_area_px=1)
    for feature in read(path)["features"]:
        properties = feature["properties"]
        color = "#{:02x}{:02x}{:02x}".format(*properties["classification"]["color"])
        assert properties["metadata"] == {"source": "histofactor", "color": color}


NAMES = {
    "tumour: positive": "tumour: positive",
    " a :b::c: ": "a: b: c",
    "two\nlines\tof it": "two lines of it",
    "::": "label 1",
    " ": "label 1",
    'µ, ü & <b> "q" \\ ,;|/': 'µ, ü & <b> "q" \\ ,;|/',
    "\ud83d": r"\ud83d",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=range(len(NAMES)))
def test_names_become_classes_that_qupath_takes(make_segmentation, path, name, shown):
    assert class_name(name, 1) == shown
    segmentation = make_segmentation([[1]], k=1)
    named = dataclasses.replace(segmentation.label_map, names=(name,))
    write_geojson(dataclasses.replace(segmentation, label_map=named), path, min_area_px=1)
    (feature,) = read(path)["features"]
    assert feature["properties"]["classification"]["name"] == shown
    assert refusal(feature) == ""


def test_ids_are_those_of_the_first_run_where_the_region_is(make_segmentation, path, tmp_path):
    first, second = np.ones((4, 12), int), np.ones((4, 12), int)
    first[:, 4:8], second[:, 4:8] = 0, 0
    second[0, 0] = 2
    ids = []
    for name, tokens in (("1.gz", first), ("2.gz", first), ("3.gz", second)):
        write_geojson(make_segmentation(tokens), tmp_path / name, min_area_px=1)
        ids.append({feature["id"] for feature in read(tmp_path / name)["features"]})
    assert ids[0] == ids[1]
    assert len(ids[0] & ids[2]) == 1  # the piece that stayed as it was


def test_drawing_the_regions_gives_back_the_labels(make_segmentation, path):
    segmentation = make_segmentation(np.random.default_rng(5).integers(0, 5, (12, 9)), l0_per_px=2.0)
    write_geojson(segmentation, path, tolerance_px=0, min_area_px=1)
    label_map = segmentation.label_map
    drawn = [
        (f["geometry"], label_map.names.index(f["properties"]["classification"]["name"]) + 1)
        for f in read(path)["features"]
    ]
    expected = label_map.labels.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(rasterio.features.rasterize(drawn, expected.shape, dtype=np.uint8), expected)


def test_measurements_are_those_of_the_exact_piece(make_segmentation, path):
    segmentation = make_segmentation([[1, 1, 2], [0, 3, 2], [0, 1, 0]], mpp=0.5)
    write_geojson(segmentation, path, min_area_px=1)
    labels, margin = segmentation.label_map.labels, segmentation.margin
    upper, lower = (slice(0, 8), slice(0, 8)), (slice(8, 12), slice(4, 8))
    by_name = {}
    for feature in read(path)["features"]:
        by_name.setdefault(feature["properties"]["classification"]["name"], []).append(
            feature["properties"]["measurements"]
        )
    first, second = sorted(by_name["Phenotype 1"], key=lambda found: -found["area_px"])
    for found, where in ((first, upper), (second, lower)):
        inside = labels[where] == 1
        assert found["area_px"] == inside.sum()
        assert found["area_um2"] == inside.sum() * 0.25
        assert found["mean_margin"] == pytest.approx(margin[where][inside].mean(), abs=1e-5)


def test_unknown_mpp_means_no_area_in_um2(make_segmentation, path):
    write_geojson(make_segmentation(mpp=None), path, min_area_px=1)
    assert all("area_um2" not in f["properties"]["measurements"] for f in read(path)["features"])


def test_equal_segmentations_give_equal_bytes(make_segmentation, path, tmp_path):
    write_geojson(make_segmentation(), path)
    write_geojson(make_segmentation(), tmp_path / "other.geojson.gz")
    assert path.read_bytes() == (tmp_path / "other.geojson.gz").read_bytes()


def test_ids_differ_between_slides(make_segmentation, tmp_path):
    one = make_segmentation()
    other = dataclasses.replace(one, slide=dataclasses.replace(one.slide, path=tmp_path / "case 2.svs"))
    ids = []
    for name, segmentation in (("1.gz", one), ("2.gz", other)):
        write_geojson(segmentation, tmp_path / name, min_area_px=1)
        ids.append({feature["id"] for feature in read(tmp_path / name)["features"]})
    assert not ids[0] & ids[1]


def test_no_tissue_is_an_empty_collection(make_segmentation, path):
    write_geojson(make_segmentation([[0, 0]]), path)
    assert read(path) == {"type": "FeatureCollection", "features": []}


def test_names_beyond_ascii_survive(make_segmentation, path):
    segmentation = make_segmentation([[1]], k=1)
    named = dataclasses.replace(segmentation.label_map, names=('Dünn "Stroma" µ',))
    write_geojson(dataclasses.replace(segmentation, label_map=named), path, min_area_px=1)
    assert read(path)["features"][0]["properties"]["classification"]["name"] == 'Dünn "Stroma" µ'


def test_a_folder_that_cannot_be_written_is_an_output_error(make_segmentation, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_geojson(make_segmentation(), tmp_path / "out" / "regions.geojson.gz")


def test_features_tell_their_piece_of_tissue(make_segmentation, path):
    tokens = np.zeros((8, 90), int)
    tokens[1:3, 2:9], tokens[1:7, 60:70] = 1, 2
    tokens[4:6, 3:5] = 3
    write_geojson(make_segmentation(tokens), path, min_area_px=1)
    found = {
        feature["properties"]["classification"]["name"]: feature["properties"]["measurements"]["tissue_piece"]
        for feature in read(path)["features"]
    }
    assert found == {"Phenotype 1": 1, "Phenotype 3": 1, "Phenotype 2": 2}


def test_labels_and_margins_on_disk_give_the_same_file(make_segmentation, path, tmp_path):
    segmentation = make_segmentation(np.random.default_rng(7).integers(0, 5, (30, 40)))
    np.save(tmp_path / "labels.npy", segmentation.label_map.labels)
    np.save(tmp_path / "margin.npy", segmentation.margin)
    labels, margin = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("labels", "margin"))
    write_geojson(segmentation, path)
    lazy = dataclasses.replace(segmentation.label_map, labels=labels)
    write_geojson(dataclasses.replace(segmentation, label_map=lazy, margin=margin), tmp_path / "lazy.geojson.gz")
    assert path.read_bytes() == (tmp_path / "lazy.geojson.gz").read_bytes()


def test_names_that_readers_of_json_refuse_are_shown(make_segmentation, path):
    segmentation = make_segmentation([[1]], k=1)
    named = dataclasses.replace(segmentation.label_map, names=("caf\udce9\x00\x1b[31m\u202e",))
    info = dataclasses.replace(segmentation.slide, path=Path("caf\udce9.svs"))
    write_geojson(dataclasses.replace(segmentation, label_map=named, slide=info), path, min_area_px=1)
    name = read(path)["features"][0]["properties"]["classification"]["name"]
    assert name == r"caf\udce9\x00\x1b[31m\u202e"
    assert b"\\ud" not in gzip.decompress(path.read_bytes()).replace(b"\\\\", b"")  # no escape of a surrogate


def test_an_artefact_is_told_by_its_class_and_by_metadata(make_segmentation, path):
    segmentation = make_segmentation()
    label_map = dataclasses.replace(segmentation.label_map, excluded=(2,))
    write_geojson(dataclasses.replace(segmentation, label_map=label_map), path, min_area_px=1)
    told = {}
    for feature in read(path)["features"]:
        properties = feature["properties"]
        told[properties["measurements"]["label"]] = (
            properties["classification"]["name"],
            properties["metadata"].get("excluded"),
        )
    assert told == {1: ("Phenotype 1", None), 2: ("Artefact: Phenotype 2", "yes"), 3: ("Phenotype 3", None)}
