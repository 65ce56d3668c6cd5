import numpy as np
import pytest
import tifffile

from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_levels import fits, shows_the_same


@pytest.fixture
def compare(tmp_path):
    """Whether the second of two pages has the shape of the first in small, and shows the same."""

    def make(base, page):
        with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
            for image in (base, page):
                tiff.write(image, tile=(64, 64), photometric="rgb", metadata=None)
        file = OpenTiff(tmp_path / "a.tif")
        try:
            first, second = file.pages()
            return fits(second, first), fits(second, first) and shows_the_same(file, second, first)
        finally:
            file.close()

    return make


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("factor", [2, 4])
def test_a_reduction_shows_the_same_and_another_image_does_not(compare, texture, pyramid, seed, factor):
    base = texture(512, 384, seed)
    small = pyramid(base, (factor,))[1]
    assert compare(base, small) == (True, True)
    assert compare(base, small[:, ::-1].copy()) == (True, False)
    assert compare(base, texture(512 // factor, 384 // factor, seed + 50)) == (True, False)


def test_the_same_outline_is_not_the_same_detail(compare, texture):
    glass = np.ones((384, 512, 1), bool)
    glass[100:300, 120:400] = False
    base = np.where(glass, 240, texture(512, 384, 1) // 2).astype(np.uint8)
    other = np.where(glass[::2, ::2], 240, texture(256, 192, 2) // 2).astype(np.uint8)
    assert compare(base, base[::2, ::2].copy()) == (True, True)
    assert compare(base, other) == (True, False)


@pytest.mark.parametrize("size", [(256, 150), (512, 384), (600, 450)])
def test_other_shapes_do_not_fit(compare, texture, size):
    assert compare(texture(512, 384), texture(*size, 1)) == (False, False)
