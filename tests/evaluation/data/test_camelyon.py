"""Slides of CAMELYON and their masks: what is refused."""

import struct

import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError
from histofactor.evaluation.data.camelyon import find_camelyon, read_camelyon


@pytest.fixture
def put(tmp_path):
    """Write a slide of 0.5 µm/px and a mask of one code; returns the only image found."""

    def write(stem, code, mask_shape=(64, 96), slide_shape=(64, 96)):
        options = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER", "photometric": "rgb"}
        tifffile.imwrite(tmp_path / f"{stem}.tif", np.full((*slide_shape, 3), 200, np.uint8), **options)
        tifffile.imwrite(tmp_path / f"{stem}_Mask.tif", np.full(mask_shape, code, np.uint8))
        return find_camelyon(tmp_path)[0]

    return write


def test_splits_patients_and_centres_are_told_by_names(put):
    expected = {
        "tumor_001": ("", "train", {}),
        "test_001": ("", "test", {}),
        "patient_099_node_4": ("patient_099", "train", {"institute": "center_4"}),
        "patient_120_node_0": ("patient_120", "test", {"institute": "center_1"}),
    }
    for stem in expected:
        put(stem, 2)
    found = find_camelyon(put("tumor_001", 2).image.parent)
    assert {one.image.stem: (one.patient, one.split, one.facts) for one in found} == expected


def test_a_slide_and_a_mask_of_nearly_one_size(put):
    rgb, codes = read_camelyon(put("tumor_001", 2, mask_shape=(65, 97)), 2.0)
    assert (rgb.shape, codes.shape) == ((16, 24, 3), (16, 24))
    assert np.unique(codes).tolist() == [2]


@pytest.mark.parametrize(("stem", "code"), [("tumor_001", 1), ("normal_001", 2), ("normal_001", 0), ("test_001", 0)])
def test_codes_that_mean_something_else(put, stem, code):
    with pytest.raises(ImageError, match=f"do not fit the name of its slide.*got {code}"):
        read_camelyon(put(stem, code), 2.0)


def test_a_mask_of_another_slide(put):
    with pytest.raises(ImageError, match="does not lie on its slide; expected 96 × 64 px; got 96 × 80 px"):
        read_camelyon(put("tumor_001", 2, mask_shape=(80, 96)), 2.0)


def test_a_damaged_or_coloured_mask(put):
    original = put("tumor_001", 2)
    tifffile.imwrite(original.mask, np.zeros((64, 96, 3), np.uint8), photometric="rgb")
    with pytest.raises(ImageError, match="holds no labels"):
        read_camelyon(original, 2.0)
    original.mask.write_bytes(b"II*\0")
    with pytest.raises(ImageError, match="cannot read the mask"):
        read_camelyon(original, 2.0)


def test_a_mask_without_its_slide(put):
    original = put("tumor_001", 2)
    original.image.unlink()
    with pytest.raises(ImageError, match=r"expected one file tumor_001\.tif; got none"):
        find_camelyon(original.mask.parent)


def test_a_mask_whose_tiles_claim_more_than_any(put):
    original = put("tumor_001", 2)
    tifffile.imwrite(original.mask, np.full((64, 96), 2, np.uint8), tile=(64, 96), compression="deflate")
    with tifffile.TiffFile(original.mask, mode="r+") as tiff:
        tiff.pages[0].tags["TileLength"].overwrite(2**30, dtype="I")
    with pytest.raises(ImageError, match=r"a tile of .*_Mask.tif is too large; expected at most 536,870,912 px"):
        read_camelyon(original, 2.0)


def test_a_mask_whose_directories_lead_in_a_circle(put):
    original = put("tumor_001", 2)
    data = bytearray(original.mask.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * tags, first)
    original.mask.write_bytes(data)
    with pytest.raises(ImageError, match=r"_Mask.tif is no image file .* a chain of directories that ends"):
        read_camelyon(original, 2.0)
