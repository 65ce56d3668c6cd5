"""Tiles of label maps: the labels as they are stored."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from histofactor.errors import ImageError, OptionError
from histofactor.export.labels import write_labels
from histofactor.records import LabelMap, Segmentation
from histofactor.viewer.labels import TILE_PX, LabelPyramid


def written(labels, path):
    k = int(labels.max())
    map_ = LabelMap(labels, 1.0, (0, 0), tuple(map(str, range(k))), ((1, 2, 3),) * k)
    write_labels(Segmentation(None, map_, None, None, (1.0, 1.0), {}), path)
    return path


@pytest.fixture(scope="module", params=[np.uint8, np.uint16])
def stored(request, tmp_path_factory):
    top = np.iinfo(request.param).max
    labels = np.random.default_rng(0).integers(0, min(top, 3000), (1101, 1731)).astype(request.param)
    return labels, LabelPyramid(written(labels, tmp_path_factory.mktemp("labels") / "labels.ome.tif"))


@given(st.data())
def test_every_level_holds_every_second_label_of_the_one_above(stored, data):
    labels, pyramid = stored
    level = data.draw(st.integers(0, len(pyramid.sizes) - 1))
    expected = labels[:: 2**level, :: 2**level]
    width, height = pyramid.sizes[level]
    assert expected.shape == (height, width)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    assert np.array_equal(pyramid.read(level, x, y, w, h), expected[y : y + h, x : x + w])


def test_tiles_are_bytes_of_labels(stored):
    labels, pyramid = stored
    for level, (width, height) in enumerate(pyramid.sizes):
        for row in range(-(-height // TILE_PX)):
            for column in range(-(-width // TILE_PX)):
                part = labels[:: 2**level, :: 2**level][row * 512 :, column * 512 :][:512, :512]
                tile = np.frombuffer(pyramid.tile(level, column, row), labels.dtype.newbyteorder("<"))
                assert np.array_equal(tile.reshape(part.shape), part)
    for place in ((0, 4, 0), (0, 0, 3), (len(pyramid.sizes), 0, 0), (-1, 0, 0), (0, -1, 0)):
        with pytest.raises(OptionError):
            pyramid.tile(*place)
    assert pyramid.at(1730, 1100) == labels[1100, 1730]


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "no pyramid", "float"])
def test_damage_is_one_error(tmp_path, damage):
    path = written(np.ones((900, 900), np.uint8), tmp_path / "labels.ome.tif")
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:300])
    elif damage == "other":
        path.write_bytes(b"text")
    else:
        tifffile.imwrite(path, np.ones((900, 900), np.float32 if damage == "float" else np.uint8), tile=(256, 256))
    with pytest.raises(ImageError, match=r"labels\.ome\.tif"):
        LabelPyramid(path).tile(0, 0, 0)


def test_the_server_sends_them_packed(looked_at, whole_study):
    id_ = looked_at.ids[0]
    told = looked_at.json(f"/api/slides/{id_}")
    answer = looked_at.get(f"/labels/{id_}/{told['labels_version']}/0_0_0.bin")
    labels = tifffile.imread(whole_study[0] / looked_at.view.slides[id_] / "labels.ome.tif")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert np.array_equal(np.frombuffer(answer.content, labels.dtype).reshape(labels.shape), labels)
    assert told["labels"]["sizes"][0] == list(labels.shape[::-1])
