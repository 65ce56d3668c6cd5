"""The rules of QuPath that these tests know tell good features from bad ones, of every type of geometry."""

import copy

import pytest

from qupath_rules import refusal

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
HOLE = [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]
GOOD = [
    {"type": "Point", "coordinates": [1, 2]},
    {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
    {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
    {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]},
    {"type": "Polygon", "coordinates": [SQUARE, HOLE]},
    {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[x + 9, y] for x, y in SQUARE]]]},
]


def feature(geometry=GOOD[4], **properties):
    told = {
        "objectType": "annotation",
        "classification": {"name": "tumour: positive", "color": [1, 2, 3]},
        "measurements": {"area_px": 3},
        "metadata": {"source": "histofactor"},
    }
    id_ = "a8e61633-f9a3-5e76-be28-93e97a16a6bb"
    return copy.deepcopy({"type": "Feature", "id": id_, "geometry": geometry, "properties": told | properties})


@pytest.mark.parametrize("geometry", GOOD, ids=lambda one: one["type"])
def test_every_type_of_geometry(geometry):
    assert refusal(feature(geometry)) == ""


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (feature({"type": "GeometryCollection", "geometries": GOOD[:2]}), "collection"),
        (feature({"type": "Polygon", "coordinates": [SQUARE[:-1]]}), "not closed"),
        (feature({"type": "Polygon", "coordinates": [[[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]]}), "not valid"),
        (feature({"type": "Polygon", "coordinates": SQUARE}), "coordinates"),
        (feature(classification={"name": "a"}), "without a colour"),
        (feature(classification={"name": "a", "color": [1, 2, 300]}), "colour that is none"),
        (feature(classification={"name": "a:", "color": [1, 2, 3]}), "empty part"),
        (feature(classification={"name": "a\nb", "color": [1, 2, 3]}), "characters"),
        (feature(classification={"name": "a:b", "color": [1, 2, 3]}), "is changed"),
        (feature(measurements={"area": float("nan")}), "measurement"),
        (feature(metadata={"a": [1]}), "metadata"),
        (feature() | {"id": "7"}, "UUID"),
    ],
)
def test_what_is_refused(bad, why):
    assert why in refusal(bad)
