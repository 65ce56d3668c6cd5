"""OME-Zarr as its own readers see it."""

import dataclasses

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05 import Image, ImageLabel, Labels

from histofactor.errors import OutputError
from histofactor.export.zarr import write_ome_zarr


@pytest.fixture(scope="module")
def large(make_segmentation):
    tokens = np.random.default_rng(0).integers(0, 5, (160, 265))
    return make_segmentation(tokens, cut_px=1, mpp=0.25)


@pytest.fixture(scope="module")
def written(large, tmp_path_factory):
    path = tmp_path_factory.mktemp("zarr") / "case 1" / "labels.ome.zarr"
    write_ome_zarr(large, path)
    return path


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scales_of(model):
    (multiscale,) = model.attributes.ome.multiscales
    return [dataset.coordinateTransformations[0].scale for dataset in multiscale.datasets]


def test_the_models_of_the_specification_accept_it(large, written):
    group = zarr.open_group(written, mode="r")
    image = Image.from_zarr(group)
    assert scales_of(image) == [[0.25, 0.25], [0.5, 0.5], [1.0, 1.0]]
    assert [axis.unit for axis in image.attributes.ome.multiscales[0].axes] == ["micrometer"] * 2
    assert Labels.from_zarr(group["labels"]).attributes.ome.labels == ["phenotypes"]
    labels = ImageLabel.from_zarr(group["labels/phenotypes"])
    assert scales_of(labels) == scales_of(image)
    described = labels.attributes.ome.image_label
    assert described.source.image == "../../"
    assert [(one.label_value, one.name) for one in described.properties][1:] == list(
        enumerate(large.label_map.names, 1)
    )
    assert [one.rgba for one in described.colors] == [
        (0, 0, 0, 0),
        *((*color, 255) for color in large.label_map.colors),
    ]


def test_the_reference_reader_finds_image_and_labels_at_every_level(large, written):
    image, _, labels = Reader(parse_url(written))()
    margin = np.rint(large.margin * 255)
    for index in range(3):
        step = 2**index
        np.testing.assert_array_equal(labels.data[index], large.label_map.labels[::step, ::step])
        np.testing.assert_array_equal(image.data[index], margin[::step, ::step])
    assert labels.data[0].dtype == np.uint8
    assert len(labels.data) == len(image.data) == 3
    assert labels.metadata["properties"][1] == {"name": "Phenotype 1"}
    np.testing.assert_allclose(labels.metadata["color"][2], [*np.array(large.label_map.colors[1]) / 255, 1])


def test_maps_on_disk_give_the_same_bytes_and_are_read_once_in_bands(large, written, lazily, tmp_path):
    lazy = lazily(large)
    write_ome_zarr(lazy, tmp_path / "lazy.ome.zarr")
    assert content(tmp_path / "lazy.ome.zarr") == content(written)
    for raster in (lazy.label_map.labels, lazy.margin):
        assert raster.total == raster.shape[0] * raster.shape[1]
        assert raster.largest == 512 * raster.shape[1]


def test_an_unknown_mpp_gives_scales_without_a_unit(make_segmentation, tmp_path):
    write_ome_zarr(make_segmentation(mpp=None), tmp_path / "a.ome.zarr")
    image = Image.from_zarr(zarr.open_group(tmp_path / "a.ome.zarr", mode="r"))
    assert scales_of(image) == [[1.0, 1.0]]
    assert image.attributes.ome.multiscales[0].axes[0].unit is None


def test_labels_beyond_a_byte_keep_their_type(make_segmentation, tmp_path):
    small = make_segmentation()
    labels = small.label_map.labels.astype(np.uint16) * 300
    small = dataclasses.replace(small, label_map=dataclasses.replace(small.label_map, labels=labels))
    write_ome_zarr(small, tmp_path / "a.ome.zarr")
    read = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")["labels/phenotypes/0"]
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read[:], labels)


def test_a_folder_that_cannot_be_written_is_an_output_error(make_segmentation, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_ome_zarr(make_segmentation(), tmp_path / "out" / "labels.ome.zarr")


def test_every_chunk_is_there_and_has_a_checksum(make_segmentation, tmp_path):
    write_ome_zarr(make_segmentation(np.zeros((160, 265), int)), tmp_path / "z")
    for path in ("0", "1", "labels/phenotypes/0", "labels/phenotypes/1"):
        array = zarr.open_array(tmp_path / "z" / path, mode="r")
        assert array.nchunks_initialized == array.nchunks
        chunk = next(file for file in sorted((tmp_path / "z" / path / "c").rglob("*")) if file.is_file())
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 1
        chunk.write_bytes(bytes(content))
        with pytest.raises(ValueError, match="checksum"):
            array[:]


def test_names_of_any_kind_are_valid_text(make_segmentation, tmp_path):
    segmentation = make_segmentation(k=4)
    named = dataclasses.replace(segmentation.label_map, names=("caf\udce9", "b\x00", "c", "d"))
    write_ome_zarr(dataclasses.replace(segmentation, label_map=named), tmp_path / "labels.ome.zarr")
    group = zarr.open_group(tmp_path / "labels.ome.zarr/labels/phenotypes", mode="r")
    found = [entry["name"] for entry in group.attrs["ome"]["image-label"]["properties"]]
    assert found[1:3] == [r"caf\udce9", r"b\x00"]
