import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError, UnreadableRegion
from histofactor.records import Region
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import open_slide
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_tiles import grid_of, is_cut, is_sparse, is_written, read_box


@pytest.fixture(scope="module")
def image(texture):
    return texture(320, 256)


def directory_entries(content):
    """(position, tag) of the entries of a classic TIFF's first directory."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    return [(start + 2 + 12 * n, struct.unpack_from("<H", content, start + 2 + 12 * n)[0]) for n in range(count)]


def lying_tile(format_, side):
    """A codestream of 64 × 64 px whose header claims ``side`` px a side."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "pink").save(buffer, format_, **({"no_jp2": True} if format_ == "JPEG2000" else {}))
    data = bytearray(buffer.getvalue())
    if format_ == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
    else:
        for at in (8, 24):
            struct.pack_into(">4I", data, at, side, side, 0, 0)
    return bytes(data)


@pytest.mark.parametrize(("format_", "compression", "side"), [("JPEG2000", 34712, 31_000), ("JPEG", 7, 60_000)])
def test_a_tile_may_not_claim_more_than_it_holds(tmp_path, image, monkeypatch, format_, compression, side):
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None, "resolution": (20_000, 20_000)}
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for level in (image, image[::2, ::2]):
            count = -(-level.shape[0] // 64) * -(-level.shape[1] // 64)
            tiles = iter([lying_tile(format_, side)] * count)
            tiff.write(tiles, shape=level.shape, dtype=np.uint8, compression=compression, resolutionunit=3,
                       subfiletype=int(level is not image), **options)  # fmt: skip
    asked = []
    monkeypatch.setattr("imagecodecs.jpeg2k_decode", lambda *_, **__: asked.append(1))
    monkeypatch.setattr("imagecodecs.jpeg_decode", lambda *_, **__: asked.append(1))
    message = f"a tile of 64 × 64 px whose codestream claims {side} × {side} px"
    with open_slide(tmp_path / "a.tif") as slide, pytest.raises(UnreadableRegion, match=message):
        slide.read(Region(0, 0, 64, 64, (64, 64)))
    assert not asked  # no decoder made room for it


def test_a_table_shorter_than_claimed_is_one_damaged_part(tmp_path, image, write_tiff):
    path = write_tiff(tmp_path / "a.tif", image, factors=(2,))
    content = bytearray(path.read_bytes())
    for at, tag in directory_entries(content):
        if tag in (324, 325):  # tile offsets, byte counts
            struct.pack_into("<I", content, at + 4, 20 - 5)
    path.write_bytes(content)
    with open_slide(path) as slide:
        rgb, unreadable = read_blocks(slide, Region(0, 0, 320, 256, (320, 256)))
        assert np.array_equal(rgb[:192], image[:192])
        assert {y for _, y, _, _ in unreadable} == {192}
        with pytest.raises(UnreadableRegion, match="a table of 15 tiles where the page has 20"):
            slide.read(Region(0, 200, 10, 10, (10, 10)))


def test_a_byte_count_beyond_reason_reads_nothing(tmp_path, image, write_tiff):
    path = write_tiff(tmp_path / "a.tif", image, factors=(2,))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages[0].tags["TileByteCounts"]
        tag.overwrite([2**31, *tag.value[1:]])
    with open_slide(path) as slide:
        with pytest.raises(UnreadableRegion, match="a tile of 2147483648 bytes where its px fill 12288"):
            slide.read(Region(0, 0, 10, 10, (10, 10)))
        assert np.array_equal(slide.read(Region(64, 0, 64, 64, (64, 64))), image[:64, 64:128])


def test_a_single_level_with_tiles_never_written_is_white_there(tmp_path, image, write_tiff, forget_tile):
    path = write_tiff(tmp_path / "a.tif", image, factors=())
    expected = forget_tile(path, image)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(Region(0, 0, 320, 256, (320, 256))), expected)
        assert slide.info.mpp == pytest.approx(0.5)


def test_what_was_never_written_is_refused(tmp_path):
    tiles = iter([b""] * 235**2)
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=(60_000, 60_000, 3), dtype=np.uint8, photometric="rgb",
                     tile=(256, 256), compression="zlib")  # fmt: skip
    with pytest.raises(ImageError, match="was never written; expected px in its tiles; got 55,225 empty ones"):
        open_slide(tmp_path / "a.tif", source_mpp=0.5)


def test_a_hole_in_a_file_is_told_from_data(tmp_path, image, write_tiff):
    path = write_tiff(tmp_path / "a.tif", image, compression=None, factors=())
    file = OpenTiff(path)
    grid = grid_of(file.pages()[0])
    assert is_written(file, grid)
    assert not is_sparse(grid)
    assert not is_cut(grid, file.size)
    assert is_cut(grid, file.size // 2)
    assert np.allclose(read_box(file, grid, (50, 60, 200, 90)), image[60:90, 50:200].mean(axis=2), atol=1e-3)
    file.close()
    with path.open("r+b") as handle:
        start, end = min(grid.offsets), path.stat().st_size
        handle.truncate(start)
        handle.truncate(end)
    if path.stat().st_blocks * 512 >= end:
        pytest.skip("needs a file system that keeps holes")
    file = OpenTiff(path)
    try:
        if not file.is_hole(start, end):
            pytest.skip("needs a file system that tells of holes")
        assert not is_written(file, grid_of(file.pages()[0]))
    finally:
        file.close()
