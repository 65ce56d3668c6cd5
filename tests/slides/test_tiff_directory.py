import struct

import numpy as np
import pytest
import tifffile

from histofactor.errors import HistofactorError, ImageError
from histofactor.records import Region
from histofactor.slides.reader import open_slide
from histofactor.slides.tiff_directory import MAX_DIRECTORIES, OpenTiff, is_tiff

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
TAGS = [(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 64), (279, 4096)]


def chained(count, last=0):
    """A TIFF of so many directories of one grey page; the last one names the offset ``last`` as its next."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8 + 4096)) + IMAGE.tobytes()
    for number in range(count):
        out += struct.pack("<H", len(TAGS)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in TAGS)
        out += struct.pack("<I", len(out) + 4 if number < count - 1 else last)
    return bytes(out)


def test_a_directory_that_points_at_itself_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(chained(3, last=8 + 4096))
    with pytest.raises(ImageError, match="a chain of directories that ends; got one that returns to byte 4104"):
        open_slide(tmp_path / "a.tif")


def test_thousands_of_directories_are_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(chained(MAX_DIRECTORIES + 1))
    with pytest.raises(ImageError, match="at most 500 directories"):
        open_slide(tmp_path / "a.tif")
    (tmp_path / "one.tif").write_bytes(chained(1))
    with open_slide(tmp_path / "one.tif") as slide:
        assert np.array_equal(slide.read(Region(0, 0, 64, 64, (64, 64)))[..., 0], IMAGE)


def test_what_is_a_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a", IMAGE)
    tifffile.imwrite(tmp_path / "b", IMAGE, bigtiff=True, byteorder=">")
    (tmp_path / "c").write_bytes(b"\x89PNG")
    assert [is_tiff(tmp_path / name) for name in "abcd"] == [True, True, False, False]
    file = OpenTiff(tmp_path / "a")
    assert not file.is_hole(0, file.size)
    file.close()
    assert file.closed


def test_a_size_that_is_text_is_damage(tmp_path):
    content = bytearray(chained(1))
    at = 8 + 4096 + 2  # the first entry: ImageWidth
    struct.pack_into("<HHI", content, at, 256, 2, 2)  # ASCII
    content[at + 8 : at + 12] = b"64\0\0"
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match="damaged or cut off"):
        open_slide(tmp_path / "a.tif")


def test_damaged_tables_end_in_an_error_of_our_own_or_in_an_image(tmp_path, texture, write_tiff):
    rng = np.random.default_rng(0)
    image = texture(96, 64)
    seeds = [
        write_tiff(tmp_path / "a.tif", image, factors=(2,), tile=(32, 32)),
        write_tiff(tmp_path / "b.ome.tif", image, factors=(2,), subifds=True, tile=(32, 32), compression="jpeg"),
        write_tiff(tmp_path / "c.tif", image, factors=(2,), tile=(32, 32), compression="jpeg2000", bigtiff=True),
        tmp_path / "d.tif", tmp_path / "e.ome.tif",
    ]  # fmt: skip
    tifffile.imwrite(seeds[3], image.astype(np.uint16) * 200, photometric="rgb", compression="lzw", rowsperstrip=16)
    tifffile.imwrite(seeds[4], np.moveaxis(image, -1, 0), photometric="minisblack", metadata={"axes": "CYX"})
    places, outcomes = {}, set()
    for seed in seeds:
        with tifffile.TiffFile(seed) as tiff:
            pages = [page.aspage() for page in tiff.pages]
            pages += [below.aspage() for page in pages for below in page.pages or ()]
            tags = [tag for page in pages for tag in page.tags]
            places[seed] = [tag.offset + byte for tag in tags for byte in range(12)]
            places[seed] += [tag.valueoffset + byte for tag in tags for byte in range(8)] + [4, 5]
    for number in range(600):
        seed = seeds[number % len(seeds)]
        content = bytearray(seed.read_bytes())
        for _ in range(rng.integers(1, 4)):
            content[places[seed][rng.integers(len(places[seed]))] % len(content)] = rng.choice([0, 1, 3, 128, 255])
        path = tmp_path / f"mutant{seed.suffix}"
        path.write_bytes(content)
        try:
            with open_slide(path, source_mpp=0.5) as slide:
                slide.read(Region(0, 0, *(min(side, 64) for side in slide.info.size), (16, 16)))
        except HistofactorError as error:
            outcomes.add(type(error).__name__)
        else:
            outcomes.add("read")
    assert {"read", "ImageError"} <= outcomes
