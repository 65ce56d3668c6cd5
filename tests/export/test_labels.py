import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError, OutputError
from histofactor.export.labels import LabelLegend, open_labels, read_legend, write_labels

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


@pytest.fixture
def large(make_segmentation):
    tokens = np.random.default_rng(0).integers(0, 5, (160, 265))
    return make_segmentation(tokens, cut_px=1, mpp=0.25)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "case 1" / "labels.ome.tif"


def pixels_of(path):
    with tifffile.TiffFile(path) as tiff:
        return ET.fromstring(tiff.ome_metadata).find(f"{OME}Image/{OME}Pixels")


def test_every_level_is_every_second_pixel_of_the_last(large, path):
    write_labels(large, path)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        levels = [level.asarray() for level in tiff.series[0].levels]
        assert all(level.keyframe.is_tiled for level in tiff.series[0].levels)
    labels = large.label_map.labels
    assert [level.shape for level in levels] == [(639, 1059), (320, 530), (160, 265)]
    for index, level in enumerate(levels):
        assert level.dtype == labels.dtype
        np.testing.assert_array_equal(level, labels[:: 2**index, :: 2**index])


def test_pillow_reads_the_labels(large, path):
    write_labels(large, path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), large.label_map.labels)


def test_openslide_reads_labels_and_mpp(large, path):
    write_labels(large, path)
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        seen = np.asarray(slide.read_region((100, 200), 0, (300, 200)))[:, :, 0]
    np.testing.assert_array_equal(seen, large.label_map.labels[200:400, 100:400])


def test_the_header_holds_the_working_mpp(large, path):
    write_labels(large, path)
    pixels = pixels_of(path)
    assert float(pixels.get("PhysicalSizeX")) == float(pixels.get("PhysicalSizeY")) == 0.25
    assert pixels.get("PhysicalSizeXUnit") == "µm"


def test_an_unknown_mpp_is_left_out(make_segmentation, path):
    write_labels(make_segmentation(mpp=None), path)
    assert pixels_of(path).get("PhysicalSizeX") is None
    with openslide.OpenSlide(path) as slide:
        assert "openslide.mpp-x" not in slide.properties


def test_labels_beyond_a_byte_keep_their_type(make_segmentation, path):
    small = make_segmentation()
    labels = small.label_map.labels.astype(np.uint16) * 300
    write_labels(dataclasses.replace(small, label_map=dataclasses.replace(small.label_map, labels=labels)), path)
    read = tifffile.imread(path)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, labels)


def test_equal_labels_give_equal_bytes(make_segmentation, path):
    write_labels(make_segmentation(), path)
    first = path.read_bytes()
    write_labels(make_segmentation(), path)
    assert path.read_bytes() == first
    write_labels(make_segmentation([[2, 1]]), path)
    assert path.read_bytes() != first


def test_labels_on_disk_give_the_same_bytes_and_are_read_once_in_bands(large, lazily, path, tmp_path):
    write_labels(large, path)
    lazy = lazily(large)
    write_labels(lazy, tmp_path / "lazy.tif")
    assert (tmp_path / "lazy.tif").read_bytes() == path.read_bytes()
    labels = lazy.label_map.labels
    assert labels.total == labels.shape[0] * labels.shape[1]
    assert labels.largest == 256 * labels.shape[1]


def test_one_call_of_the_library_writes_the_same_tiles(large, path, tmp_path):
    """Tiles are packed here and not by tifffile, which would hold half a gigabyte of them."""
    write_labels(large, path)
    labels = large.label_map.labels
    tifffile.imwrite(tmp_path / "whole.tif", labels, tile=(256, 256), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as ours, tifffile.TiffFile(tmp_path / "whole.tif") as theirs:
        pages = ours.pages.first, theirs.pages.first
        tiles = [[bytes_ for bytes_, _ in page.parent.filehandle.read_segments(page.dataoffsets, page.databytecounts)]
                 for page in pages]  # fmt: skip
    assert tiles[0] == tiles[1]


def test_the_identity_in_the_header_follows_from_the_labels(make_segmentation, tmp_path):
    found = []
    for index, tokens in enumerate(([[1, 2]], [[1, 2]], [[2, 1]])):
        write_labels(make_segmentation(tokens), tmp_path / f"{index}.tif")
        with tifffile.TiffFile(tmp_path / f"{index}.tif") as tiff:
            found.append(ET.fromstring(tiff.ome_metadata).get("UUID"))
    assert found[0] == found[1] != found[2]
    assert "00000000-0000" not in found[0]


def test_labels_are_read_back_by_slices(large, path):
    write_labels(large, path)
    expected = large.label_map.labels
    with open_labels(path) as labels:
        assert (labels.shape, labels.dtype) == (expected.shape, expected.dtype)
        for index in (slice(None), slice(250, 600), (slice(10, 300), slice(200, 900))):
            found = labels[index]
            assert isinstance(found, np.ndarray)
            np.testing.assert_array_equal(found, expected[index])


def test_what_is_no_label_map_is_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.tif")
    (tmp_path / "text.tif").write_text("no image")
    for name in ("missing.tif", "text.tif", "rgb.tif"):
        with pytest.raises(ImageError, match=name), open_labels(tmp_path / name):
            pass


def test_a_folder_that_cannot_be_written_is_an_output_error(make_segmentation, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_labels(make_segmentation(), tmp_path / "out" / "labels.ome.tif")


@pytest.mark.parametrize("what", ["a size that is no number", "tags without end", "a tile", "cut off", "empty"])
def test_damage_anywhere_is_one_error(large, path, what):
    def read():
        with open_labels(path) as labels:
            return labels[:]

    write_labels(large, path)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        first, tile = tiff.pages.first.offset, tiff.pages.first.dataoffsets[0]
    size = whole.index(b'SizeX="') + len(b'SizeX="')
    spoiled = {
        "a size that is no number": whole[:size] + b" - " + whole[size + 3 :],
        "tags without end": whole[:first] + b"\xff\xff" + whole[first + 2 :],
        "a tile": whole[:tile] + bytes(64) + whole[tile + 64 :],
        "cut off": whole[:100],
        "empty": b"",
    }
    path.write_bytes(spoiled[what])
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read()


def test_names_and_colors_come_back(make_segmentation, path):
    segmentation = make_segmentation()
    names = ("Concept 1", 'tumour <&> {x} "µ"', "stroma\x07", 'tumour <&> {x} "µ" 2')
    label_map = dataclasses.replace(segmentation.label_map, names=names)
    write_labels(dataclasses.replace(segmentation, label_map=label_map), path)
    known = dict(enumerate(("no tissue / unassigned", *names)))
    assert read_legend(path) == LabelLegend(known | {3: "stroma\\x07"}, dict(enumerate(label_map.colors, 1)), 0.5)
    with tifffile.TiffFile(path) as tiff:
        image = ET.fromstring(tiff.ome_metadata).find(f"{OME}Image")
        assert len(image.findall(f"{OME}AnnotationRef")) == 2


def test_a_color_map_lies_beside_labels_that_stay_labels(large, path):
    write_labels(large, path)
    with tifffile.TiffFile(path) as tiff:
        first, *others = tiff.series[0].levels
        colors = np.reshape(first.keyframe.tags.valueof(320), (3, 256)).T
        assert first.keyframe.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert all(320 not in level.keyframe.tags for level in others)
    np.testing.assert_array_equal(colors[0], [65535] * 3)
    np.testing.assert_array_equal(colors[1:5], np.array(large.label_map.colors) * 257)
    assert not colors[5:].any()
    with Image.open(path) as image:
        assert image.mode == "L"


def test_labels_beyond_a_byte_have_no_color_map(make_segmentation, path):
    small = make_segmentation()
    labels = small.label_map.labels.astype(np.uint16)
    write_labels(dataclasses.replace(small, label_map=dataclasses.replace(small.label_map, labels=labels)), path)
    with tifffile.TiffFile(path) as tiff:
        assert 320 not in tiff.pages.first.tags
    assert read_legend(path).names[2] == "Phenotype 2"


def test_other_names_make_another_file(make_segmentation, path, tmp_path):
    segmentation = make_segmentation()
    named = dataclasses.replace(segmentation.label_map, names=("a", "b", "c", "d"))
    write_labels(segmentation, path)
    write_labels(dataclasses.replace(segmentation, label_map=named), tmp_path / "named.ome.tif")
    uuids = []
    for file in (path, tmp_path / "named.ome.tif"):
        with tifffile.TiffFile(file) as tiff:
            uuids.append(ET.fromstring(tiff.ome_metadata).get("UUID"))
    assert uuids[0] != uuids[1]


def test_a_legend_is_read_of_labels_alone(path):
    path.parent.mkdir()
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), ome=True)  # as an earlier version wrote them
    assert read_legend(path) == LabelLegend({}, {})
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), ome=False)
    with pytest.raises(ImageError, match="cannot read the labels"):
        read_legend(path)
    with pytest.raises(ImageError, match="cannot read the labels"):
        read_legend(path.with_name("gone.ome.tif"))
