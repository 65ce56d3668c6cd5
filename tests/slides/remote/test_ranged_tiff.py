"""TIFF read by range: the px of the file, little of it for little, and whole where another reader takes it."""

import io
from threading import Event

import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError
from histofactor.records import Region
from histofactor.records.urls import Url
from histofactor.runs.source import Opening, digest_of
from histofactor.slides.reader import open_slide
from histofactor.slides.remote import ranged_tiff
from histofactor.slides.remote.cache import cache_of
from histofactor.slides.remote.parts import located
from histofactor.slides.remote.ranges import BLOCK
from histofactor.slides.remote.store import store_of

SIDE = 2048


@pytest.fixture(scope="module")
def pyramid():
    """A tiled pyramid of 16 MB, whose px cannot be compressed, with levels of one half, a quarter and an eighth."""
    content, step = io.BytesIO(), 1
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    with tifffile.TiffWriter(content) as file:
        how = {"tile": (256, 256), "photometric": "rgb", "resolutionunit": "CENTIMETER"}
        for step in (1, 2, 4, 8):
            per_cm = (1e4 / (0.5 * step),) * 2
            file.write(image[::step, ::step], subfiletype=int(step > 1), resolution=per_cm, **how)
    return content.getvalue()


@pytest.fixture
def opening(tmp_path):
    made = Opening(cache=str(tmp_path / "cache"), cache_gb=0.1)
    yield made
    cache_of(made.cache, made.cache_gb).close()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def region(step, side=SIDE):
    return Region(0, 0, side, side, (side // step, side // step))


def test_px_are_those_of_the_file_and_little_travels_for_a_coarse_look(http, pyramid, opening, tmp_path):
    store, address = http
    store.files["/a.tif"] = pyramid
    (tmp_path / "a.tif").write_bytes(pyramid)
    with open_slide(tmp_path / "a.tif") as local, opening.open(Url(f"{address}/a.tif")) as slide:
        assert slide.info.mpp == local.info.mpp == 0.5
        assert slide.info.reader == local.info.reader
        assert slide.info.level_downsamples == local.info.level_downsamples == (1, 2, 4, 8)
        assert slide.info.notes == local.info.notes == ()
        np.testing.assert_array_equal(slide.read(region(8)), local.read(region(8)))
        assert store.sent < len(pyramid) / 8
        np.testing.assert_array_equal(slide.read(region(4)), local.read(region(4)))
        assert store.sent < len(pyramid) / 3
        corner = region(1, 300)
        np.testing.assert_array_equal(slide.read(corner), local.read(corner))
        assert store.sent < len(pyramid) / 2
        assert digest_of(slide, Url(f"{address}/a.tif")) == ""  # most of it is not here
        np.testing.assert_array_equal(slide.read(region(1)), local.read(region(1)))
        assert store.sent < len(pyramid) + 2 * BLOCK  # each block once


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_of_s3(s3, pyramid, opening):
    s3.files["/bucket/a.tif"] = pyramid
    with opening.open(Url("s3://bucket/a.tif")) as slide:
        assert slide.read(region(8)).shape == (256, 256, 3)
    assert s3.sent < len(pyramid) / 8


def test_who_needs_the_file_has_it_whole(http, pyramid, opening):
    store, address = http
    store.files["/a.tif"] = pyramid
    url = Url(f"{address}/a.tif")
    with opening.open(url) as slide:
        slide.read(region(8))
        with opening.local(url) as path:
            assert path.read_bytes() == pyramid
    assert store.sent < len(pyramid) + 2 * BLOCK
    opening.discard(url)


def test_an_input_that_changes_while_it_is_read_is_told(http, pyramid, opening):
    store, address = http
    store.files["/a.tif"] = pyramid
    with opening.open(Url(f"{address}/a.tif")) as slide:
        slide.read(region(8))
        store.files["/a.tif"] = pyramid[:-1] + b"x"
        with pytest.raises(ImageError, match=r"http.*a\.tif has changed on its store while it was read"):
            slide.read(region(1))


def test_a_store_without_parts_of_files_is_told_and_gives_all(http, pyramid, opening):
    store, address = http
    store.files["/a.tif"], store.ranges = pyramid, False
    with opening.open(Url(f"{address}/a.tif")) as slide:
        assert slide.info.notes == ("its store gives no parts of files, so that it was fetched whole",)
        assert slide.read(region(8)).shape == (256, 256, 3)


def test_what_another_reader_takes_is_fetched_whole(http, pyramid, opening, tmp_path):
    """A slide of a scanner by the name of a TIFF, and TIFF that are plain images or none."""
    store, address = http
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        said = "Aperio Image Library v11\n2048x2048 [0,0 2048x2048] (256x256)|AppMag = 20|MPP = 0.5"
        file.write(image, tile=(256, 256), photometric="rgb", description=said, metadata=None)
    store.files["/scanner.tif"] = (tmp_path / "b.tif").read_bytes()
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="rgb", rowsperstrip=64)
    store.files["/plain.tif"] = (tmp_path / "c.tif").read_bytes()
    store.files["/none.tif"] = bytes(9_000_000)
    for name, reader in (("scanner", "OpenSlide"), ("plain", "Pillow")):
        with opening.open(Url(f"{address}/{name}.tif")) as slide:
            assert slide.info.reader.startswith(reader)
            assert slide.read(region(8)).max() == 0
        opening.discard(Url(f"{address}/{name}.tif"))
    with pytest.raises(ImageError, match=r"none\.tif is not an image"):
        opening.open(Url(f"{address}/none.tif"))


def test_small_files_are_fetched_at_once(http, opening, tmp_path):
    store, address = http
    image = np.zeros((256, 256, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image, tile=(128, 128), photometric="rgb")
        file.write(image[::2, ::2], tile=(128, 128), photometric="rgb", subfiletype=1)
    store.files["/a.tif"] = (tmp_path / "a.tif").read_bytes()
    with opening.open(Url(f"{address}/a.tif"), 0.5) as slide:
        assert digest_of(slide, Url(f"{address}/a.tif")) != ""


def test_ahead_brings_the_directories_alone(http, pyramid, opening):
    store, address = http
    store.files["/a.tif"] = pyramid
    url = Url(f"{address}/a.tif")
    opening.ahead([url])
    with opening.open(url) as slide:
        slide.read(region(8))
    assert store.sent < len(pyramid) / 8


def test_what_a_killed_run_left_is_no_file(http, pyramid, tmp_path):
    """The sparse file of another process holds nothing where nobody read."""
    store, address = http
    store.files["/a.tif"] = pyramid
    url = located(Url(f"{address}/a.tif"))
    left = tmp_path / ".ranges/a.tif"
    left.parent.mkdir()
    left.write_bytes(bytes(len(pyramid)))
    file, note = ranged_tiff.begin(url, store_of(url)[0], tmp_path, Event())
    assert note == ""
    file.fill()
    assert left.read_bytes() == pyramid
    file.close()
    (tmp_path / "a.tif").write_bytes(pyramid)  # fetched whole by that process
    assert ranged_tiff.begin(url, store_of(url)[0], tmp_path, Event()) == (None, "")
