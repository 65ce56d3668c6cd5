from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.errors import ImageError, OptionError, ResolutionError
from histofactor.records import Region
from histofactor.slides.reader import open_slide
from histofactor.slides.warnings import UNKNOWN_MPP

WIDTH, HEIGHT = 160, 120
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
WHOLE = Region(0, 0, WIDTH, HEIGHT, (WIDTH, HEIGHT))


def test_a_file_and_its_array_read_alike(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(50_800, 50_800))
    with open_slide(tmp_path / "a.png") as file, open_slide(RGB) as array, open_slide(str(tmp_path / "a.png")) as text:
        assert file.info.path == text.info.path == tmp_path / "a.png"
        assert file.info.size == array.info.size == (WIDTH, HEIGHT)
        assert file.info.mpp == pytest.approx(0.5, rel=1e-4)
        assert file.info.level_downsamples == (1.0,)
        assert array.info.path is None
        assert array.info.mpp is None
        assert array.info.notes == (UNKNOWN_MPP,)
        region = Region(10.5, 7, 100, 90, (40, 36))
        assert np.array_equal(file.read(region), array.read(region))


def test_source_mpp(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(50_800, 50_800))
    assert open_slide(RGB, source_mpp=0.25).info.mpp == 0.25
    slide = open_slide(tmp_path / "a.png", source_mpp=0.25)
    assert slide.info.mpp == 0.25
    assert "replaces the header's 0.5" in slide.info.notes[0]
    with pytest.raises(ResolutionError, match="--source-mpp"):
        open_slide(RGB, source_mpp=0)


def test_other_sources_are_refused():
    with pytest.raises(OptionError, match="got list"):
        open_slide([[1, 2], [3, 4]])


def test_each_kind_of_file_goes_to_its_library(tmp_path, texture, write_svs, write_tiff):
    image = texture(320, 256)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).save(tmp_path / "plain.tif")
    paths = {
        "OpenSlide": [write_svs(tmp_path / "a.svs", image)],
        "tifffile": [write_tiff(tmp_path / "a.tif", image), write_tiff(tmp_path / "tiled.tif", image, factors=())],
        "Pillow": [tmp_path / "a.png", tmp_path / "plain.tif"],
    }
    for library, files in paths.items():
        for path in files:
            with open_slide(path) as slide:
                assert slide.info.reader.startswith(f"{library} ")
                assert np.array_equal(slide.read(Region(5, 6, 200, 100, (200, 100))), image[6:106, 5:205])


def test_a_reader_may_be_named(tmp_path, texture, write_svs):
    path = write_svs(tmp_path / "a.svs", texture(320, 256))
    with open_slide(path, reader="tifffile") as ours, open_slide(path, reader="openslide") as theirs:
        assert ours.info.reader.startswith("tifffile ")
        assert ours.info.mpp == theirs.info.mpp == 0.5
        assert ours.info.level_downsamples == theirs.info.level_downsamples
        region = Region(10, 20, 300, 200, (91, 60))
        assert np.array_equal(ours.read(region), theirs.read(region))
    with pytest.raises(OptionError, match="expected auto or openslide or tifffile; got 'bioformats'"):
        open_slide(path, reader="bioformats")
    Image.fromarray(RGB).save(tmp_path / "a.png")
    for reader in ("openslide", "tifffile"):
        with pytest.raises(ImageError, match="expected"):
            open_slide(tmp_path / "a.png", reader=reader)


@given(
    x=st.integers(0, WIDTH - 1),
    y=st.integers(0, HEIGHT - 1),
    width=st.integers(1, WIDTH),
    height=st.integers(1, HEIGHT),
)
def test_at_scale_1_the_pixels_are_copied(x, y, width, height):
    width, height = min(width, WIDTH - x), min(height, HEIGHT - y)
    read = open_slide(RGB).read(Region(x, y, width, height, (width, height)))
    assert read.dtype == np.uint8
    assert np.array_equal(read, RGB[y : y + height, x : x + width])


@given(
    scale=st.floats(0.2, 6.0),
    col=st.integers(0, 20),
    row=st.integers(0, 20),
    cols=st.integers(1, 20),
    rows=st.integers(1, 20),
)
def test_regions_agree_with_one_large_read(scale, col, row, cols, rows):
    out_width, out_height = int(WIDTH / scale), int(HEIGHT / scale)
    col, row = min(col, out_width - 1), min(row, out_height - 1)
    cols, rows = min(cols, out_width - col), min(rows, out_height - row)
    slide = open_slide(RGB)
    whole = slide.read(Region(0, 0, out_width * scale, out_height * scale, (out_width, out_height)))
    part = slide.read(Region(col * scale, row * scale, cols * scale, rows * scale, (cols, rows)))
    difference = np.abs(part.astype(int) - whole[row : row + rows, col : col + cols])
    assert difference.max() <= 1


def test_reduction_does_not_alias():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    small = open_slide(stripes).read(Region(0, 0, 128, 128, (43, 43)))
    assert np.abs(small[:, 1:-1].astype(int) - 127).max() <= 3


def test_regions_may_overhang_by_float_noise_only():
    slide = open_slide(RGB)
    noisy = Region(-1e-9, -1e-9, WIDTH + 2e-9, HEIGHT + 2e-9, (WIDTH, HEIGHT))
    assert np.array_equal(slide.read(noisy), RGB)


@pytest.mark.parametrize(
    "region",
    [
        Region(-1, 0, 10, 10, (10, 10)),
        Region(0, 0, WIDTH + 1, 10, (10, 10)),
        Region(0, HEIGHT - 5, 10, 10, (10, 10)),
        Region(0, 0, 0, 10, (10, 10)),
        Region(0, 0, 10, -10, (10, 10)),
        Region(0, 0, 10, 10, (0, 10)),
        Region(float("nan"), 0, 10, 10, (10, 10)),
        Region(0, 0, 10, float("inf"), (10, 10)),
    ],
    ids=str,
)
def test_regions_outside_or_empty_are_refused(region):
    with pytest.raises(OptionError, match="within 160 × 120 px"):
        open_slide(RGB).read(region)


def test_what_is_read_may_be_written_on():
    slide = open_slide(RGB)
    slide.read(WHOLE)[:] = 0
    assert np.array_equal(slide.read(WHOLE), RGB)


def test_a_closed_slide_says_so():
    with open_slide(RGB) as slide:
        pass
    with pytest.raises(ImageError, match="is closed"):
        slide.read(WHOLE)


def test_threads_read_what_one_thread_reads():
    slide = open_slide(RGB)
    regions = [Region(i % 40, i % 30, 100.5, 80.25, (37, 29)) for i in range(64)]
    with ThreadPoolExecutor(2) as pool:
        threaded = list(pool.map(slide.read, regions))
    for region, read in zip(regions, threaded, strict=True):
        assert np.array_equal(read, slide.read(region))
