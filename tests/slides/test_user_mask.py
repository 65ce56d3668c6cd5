import io
import math
import struct
import zlib
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from histofactor.errors import ImageError
from histofactor.slides.user_mask import read_mask

MARKS = np.random.default_rng(0).random((30, 40)) > 0.6


def written(folder, values, name="mask.png"):
    Image.fromarray(values).save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    "values",
    [
        MARKS,
        MARKS.astype(np.uint8),
        MARKS.astype(np.uint8) * 255,
        MARKS.astype(np.uint16),  # a label of 1 in 16 bits
        np.stack([0 * MARKS, MARKS, 0 * MARKS], axis=2).astype(np.uint8),
        np.stack([*3 * [MARKS * 9], np.full(MARKS.shape, 255)], axis=2).astype(np.uint8),
    ],
    ids=["bits", "0 and 1", "0 and 255", "16 bits", "one colour", "opaque black"],
)
@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_px_above_zero_are_tissue_in_every_kind_of_image(tmp_path, values, name):
    assert np.array_equal(read_mask(written(tmp_path, values, name), MARKS.shape), MARKS)


def test_palettes_are_read_by_index_and_opacity_does_not_count(tmp_path):
    indexed = Image.fromarray(MARKS.astype(np.uint8))
    indexed.putpalette([255, 255, 255, 0, 0, 0])  # tissue is drawn black
    indexed.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "palette.png", MARKS.shape), MARKS)
    grey_and_opacity = Image.merge("LA", [Image.fromarray(MARKS.astype(np.uint8)), Image.new("L", (40, 30), 255)])
    grey_and_opacity.save(tmp_path / "la.png")
    assert np.array_equal(read_mask(tmp_path / "la.png", MARKS.shape), MARKS)


def test_tiled_big_and_floating_tiff_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", MARKS.astype(np.uint8), bigtiff=True, tile=(16, 16), compression="zlib")
    tifffile.imwrite(tmp_path / "b.tif", MARKS.astype(np.float32))
    for name in ("a.tif", "b.tif"):
        assert np.array_equal(read_mask(tmp_path / name, MARKS.shape), MARKS)


SPARSE = np.repeat(np.repeat(np.random.default_rng(1).random((3, 4)) > 0.5, 16, axis=0), 16, axis=1)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize(
    ("values", "options"),
    [
        (MARKS, {}),
        (MARKS, {"compression": "packbits"}),
        (MARKS.astype(np.uint8) * 255, {"compression": "deflate"}),
        (MARKS.astype(np.uint8), {"tile": (16, 16)}),
        (MARKS.astype(np.uint16) * 300, {"compression": "lzw", "predictor": 2}),
        (MARKS.astype(np.uint8) * 7, {"bigtiff": True}),
    ],
    ids=["1 bit", "1 bit packed", "8 bits", "tiles", "16 bits", "BigTIFF"],
)
def test_what_is_stored_counts_not_what_is_shown(tmp_path, photometric, values, options):
    tifffile.imwrite(tmp_path / "mask.tif", values, photometric=photometric, **options)
    assert np.array_equal(read_mask(tmp_path / "mask.tif", MARKS.shape), MARKS)


def test_a_boolean_mask_as_tifffile_writes_it_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", MARKS)
    with tifffile.TiffFile(tmp_path / "mask.tif") as tiff:
        assert (tiff.pages.first.photometric.name, tiff.pages.first.bitspersample) == ("MINISWHITE", 1)
    assert np.array_equal(read_mask(tmp_path / "mask.tif", MARKS.shape), MARKS)


@pytest.mark.parametrize("nodata", [None, "255"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_tiles_that_were_never_written_are_no_tissue(tmp_path, compression, nodata):
    tiles = [
        255 * np.ones((16, 16), np.uint8) if SPARSE[y, x] else None for y in range(0, 48, 16) for x in range(0, 64, 16)
    ]
    tags = [] if nodata is None else [(42113, 2, len(nodata) + 1, nodata, True)]  # of GDAL
    with tifffile.TiffWriter(tmp_path / "mask.tif") as tiff:
        shape = {"shape": SPARSE.shape, "dtype": np.uint8, "tile": (16, 16)}
        tiff.write(iter(tiles), photometric="minisblack", compression=compression, extratags=tags, **shape)
    assert np.array_equal(read_mask(tmp_path / "mask.tif", SPARSE.shape), SPARSE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_and_mirrored_masks_are_set_upright(tmp_path, orientation):
    tag = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "mask.tif", MARKS.astype(np.uint8), photometric="minisblack", extratags=tag)
    stored = Image.fromarray(MARKS)
    stored.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(read_mask(tmp_path / "mask.tif", upright.shape), upright)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_in_planes_are_colours(tmp_path, planar):
    values = np.stack([0 * MARKS, MARKS, 0 * MARKS], axis=2 if planar == "contig" else 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "mask.tif", values, photometric="rgb", planarconfig=planar)
    assert np.array_equal(read_mask(tmp_path / "mask.tif", MARKS.shape), MARKS)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "deflate"}], ids=repr)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_cut_off_tiff_is_told_not_taken_for_glass(tmp_path, options, share):
    noise = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)
    tifffile.imwrite(tmp_path / "whole.tif", noise, photometric="minisblack", rowsperstrip=None, **options)
    whole = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_mask(tmp_path / "cut.tif", noise.shape)


@given(st.integers(1, 200), st.sampled_from([(30, 40), (60, 80), (90, 120), (121, 161)]), st.integers(0, 9))
def test_it_is_resized_by_nearest_neighbour(tmp_path_factory, rows, held, seed):
    values = (np.random.default_rng(seed).random(held) > 0.5).astype(np.uint8)
    shape = (3 * rows, 4 * rows)
    mask = read_mask(written(tmp_path_factory.getbasetemp(), values), shape)
    rows, cols = (
        [math.floor((i + Fraction(1, 2)) / n * old) for i in range(n)] for n, old in zip(shape, held, strict=True)
    )
    assert np.array_equal(mask, values[np.ix_(rows, cols)] > 0)


@pytest.mark.parametrize("shape", [(30, 40), (59, 79), (300, 402), (297, 400)])
def test_a_ratio_within_two_percent_will_do(tmp_path, shape):
    assert read_mask(written(tmp_path, MARKS), shape).shape == shape


@pytest.mark.parametrize("shape", [(40, 30), (30, 42), (32, 40)])
def test_another_ratio_is_refused(tmp_path, shape):
    with pytest.raises(ImageError, match=r"another shape.*within 2%.*40 × 30 px"):
        read_mask(written(tmp_path, MARKS), shape)


def test_a_mask_without_tissue_is_refused(tmp_path):
    with pytest.raises(ImageError, match="marks no tissue"):
        read_mask(written(tmp_path, 0 * MARKS.astype(np.uint8)), MARKS.shape)


def test_files_that_are_no_masks_are_told_apart(tmp_path):
    (tmp_path / "text.png").write_text("tissue")
    (tmp_path / "empty.png").touch()
    noise = np.random.default_rng(0).integers(0, 255, (300, 400), np.uint8)
    whole = written(tmp_path, noise, "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    written(tmp_path, noise, "mask.jpg")
    for name, told in {
        "none.png": "does not exist",
        ".": "is a folder",
        "text.png": "can be read",
        "empty.png": "can be read",
        "mask.jpg": "can be read",
        "cut.png": "damaged or cut off",
    }.items():
        with pytest.raises(ImageError, match=told):
            read_mask(tmp_path / name, (300, 400))


def test_a_mask_beyond_all_measure_is_refused(tmp_path):
    Image.new("1", (10_000, 9_500)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match=r"too large.*lower resolution"):
        read_mask(tmp_path / "huge.png", (300, 400))
    Image.new("RGBA", (6_000, 6_000)).save(tmp_path / "deep.png")
    with pytest.raises(ImageError, match=r"too large.*6000 × 6000 px of 4 bytes"):
        read_mask(tmp_path / "deep.png", (300, 300))
    with tifffile.TiffWriter(tmp_path / "huge.tif") as tiff:  # never written
        size = {"shape": (60_000, 60_000), "dtype": np.uint8, "tile": (4096, 4096), "photometric": "minisblack"}
        tiles = [np.zeros((4096, 4096), np.uint8), *[None] * 224]
        tiff.write(iter(tiles), compression="deflate", **size)
    with pytest.raises(ImageError, match=r"too large.*60000 × 60000 px"):
        read_mask(tmp_path / "huge.tif", (300, 300))


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_a_header_that_claims_more_than_pillow_opens_is_refused_as_any_other(tmp_path, format_):
    buffer = io.BytesIO()
    Image.new("L", (32, 32)).save(buffer, format_)
    data = bytearray(buffer.getvalue())
    if format_ == "PNG":
        struct.pack_into(">II", data, 16, 31_000, 31_000)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
        path, told = tmp_path / "a.png", "too large.*31000 × 31000 px"
        path.write_bytes(data)
    else:
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 31_000, 31_000)
        path, told = tmp_path / "a.tif", "holds an image of 31000 × 31000"
        size = {"shape": (32, 32), "dtype": np.uint8, "tile": (32, 32), "photometric": "minisblack"}
        tifffile.imwrite(path, iter([bytes(data)]), compression="jpeg", **size)
    with pytest.raises(ImageError, match=told):
        read_mask(path, (32, 32))


@given(st.data())
def test_damage_is_one_message_or_a_mask(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    tifffile.imwrite(folder / "m.tif", MARKS.astype(np.uint8), photometric="minisblack", compression="deflate")
    content = bytearray((folder / "m.tif").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "m.tif").write_bytes(content)
    with suppress(ImageError):
        assert read_mask(folder / "m.tif", MARKS.shape).shape == MARKS.shape


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_tiles_that_claim_to_be_larger_than_they_are_to_be_are_refused(tmp_path, compression):
    options = {"compression": compression, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "large.tif", np.zeros((1024, 1024), np.uint8), tile=(1024, 1024), **options)
    whole = SPARSE.astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "mask.tif", whole, tile=(48, 64), **options)
    assert np.array_equal(read_mask(tmp_path / "mask.tif", SPARSE.shape), SPARSE)
    with tifffile.TiffFile(tmp_path / "large.tif") as tiff:
        large = tiff.filehandle.read_array(
            np.uint8, tiff.pages.first.databytecounts[0], tiff.pages.first.dataoffsets[0]
        )
    with tifffile.TiffFile(tmp_path / "mask.tif", mode="r+") as tiff:
        tags = tiff.pages.first.tags
        end = tiff.filehandle.size
        tags["TileOffsets"].overwrite([end])
        tags["TileByteCounts"].overwrite([large.size])
    with (tmp_path / "mask.tif").open("ab") as file:
        file.write(large.tobytes())
    with pytest.raises(ImageError, match=r"a part of 64 × 48 px holds an image of 1024 × 1024"):
        read_mask(tmp_path / "mask.tif", SPARSE.shape)
