from pathlib import Path

import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError
from histofactor.slides.pyramid import DamagedPixels
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_pictures import find_pictures
from histofactor.slides.tiff_pixels import TiffPixels


def pixels_of(path: Path, **limits):
    file = OpenTiff(path)
    (picture,) = find_pictures(file)
    try:
        return file, TiffPixels(file, picture, **{"max_tile_bytes": 1e6, "max_depth_px": 1e6, **limits})
    except ImageError:
        file.close()
        raise


def test_px_and_conversions(tmp_path, texture, write_tiff):
    image = texture(160, 96).astype(np.uint16) * 16
    path = write_tiff(tmp_path / "a.tif", image, factors=(2,))
    file, pixels = pixels_of(path)
    assert pixels.sizes == [(160, 96), (80, 48)]
    assert pixels.notes == ("16-bit channels, taken as 12-bit data, scaled to 8 bits",)
    read = np.asarray(pixels.read(0, (30, 20, 150, 90)))
    assert np.abs(read - image[20:90, 30:150] * (255 / 4095)).max() <= 0.5
    file.close()


def test_a_level_that_is_cut_off_is_left_out_and_told(tmp_path, texture, write_tiff):
    image = texture(160, 96)
    path = write_tiff(tmp_path / "a.tif", image, factors=(2,), subifds=True, compression=None)
    with tifffile.TiffFile(path) as tiff:
        end = max(tiff.pages[0].pages[0].dataoffsets)
    path.write_bytes(path.read_bytes()[: end + 10])
    file, pixels = pixels_of(path)
    assert pixels.sizes == [(160, 96)]
    assert pixels.notes == ("level 1 (80 × 48 px) is cut off: finer ones are read in its place",)
    assert np.array_equal(np.asarray(pixels.read(0, (0, 0, 160, 96))), image)
    file.close()


def test_limits(tmp_path, texture, write_tiff):
    path = write_tiff(tmp_path / "a.tif", texture(160, 96).astype(np.uint16) * 257, factors=())
    for limits, message in (
        ({"max_tile_bytes": 64 * 64 * 6 - 1}, "cannot be read in parts"),
        ({"max_depth_px": 160 * 96 - 1}, "16-bit channels without a small level"),
    ):
        with pytest.raises(ImageError, match=message):
            pixels_of(path, **limits)


def test_damage_is_told_where_it_is(tmp_path, texture, write_tiff):
    path = write_tiff(tmp_path / "a.tif", texture(160, 96), factors=())
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    file, pixels = pixels_of(path)
    pixels.read(0, (64, 0, 128, 64))
    with pytest.raises(DamagedPixels):
        pixels.read(0, (60, 0, 128, 64))
    file.close()
