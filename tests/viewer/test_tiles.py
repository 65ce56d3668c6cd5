"""Tiles of slides: their geometry, their px, and the slides that are open."""

import io
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.errors import OptionError
from histofactor.records import Region
from histofactor.slides.phantom_slide import write_phantom_slide
from histofactor.slides.reader import open_slide
from histofactor.viewer.tiles import TILE_PX, ByteCache, SlidePool, max_level, read_tile, tile_of

SIZES = st.tuples(st.integers(1, 200_000), st.integers(1, 200_000))


@given(SIZES, st.data())
def test_tiles_of_a_level_cover_the_slide_once(size, data):
    """As OpenSeadragon lays them: px of level L are 2**(top - L) px of level 0, tiles are cut in these."""
    top = max_level(size)
    level = data.draw(st.integers(0, top))
    scale = 2 ** (top - level)
    across, down = (math.ceil(math.ceil(side / scale) / TILE_PX) for side in size)
    column, row = data.draw(st.integers(0, across - 1)), data.draw(st.integers(0, down - 1))
    tile = tile_of(size, level, column, row)
    assert tile.scale == scale
    for at, start, length, side, last in (
        (column, tile.x, tile.width, size[0], column == across - 1),
        (row, tile.y, tile.height, size[1], row == down - 1),
    ):
        assert start == max(at * TILE_PX * scale - scale, 0)
        assert start + length == (side if last else min((at + 1) * TILE_PX * scale + scale, side))
        assert 1 <= math.ceil(length / scale) <= TILE_PX + 2
    for place in ((level, across, row), (level, column, down), (top + 1, 0, 0), (-1, 0, 0)):
        with pytest.raises(OptionError):
            tile_of(size, *place)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "phantom.tif"
    write_phantom_slide(path, (2300, 1500), block_px=256, mpp=0.5)
    with open_slide(path) as opened:
        yield opened


@pytest.mark.parametrize("level", [12, 11, 10, 9, 8])
def test_px_are_those_of_the_slide(slide, level):
    """The oracle averages level 0 itself; the file's own levels and JPEG are a little off it.

    The last column and row reach beyond the slide: they show the mean of what there is.
    """
    scale = 2 ** (12 - level)
    tile = tile_of(slide.info.size, level, 0, 0)
    with Image.open(io.BytesIO(read_tile(slide, tile))) as image:
        found = np.asarray(image).astype(float)
    whole = slide.read(Region(0, 0, tile.width, tile.height, (tile.width, tile.height))).astype(float)
    height, width = (-(-side // scale) for side in whole.shape[:2])
    assert found.shape == (height, width, 3)
    padded = np.full((height * scale, width * scale, 3), np.nan)
    padded[: whole.shape[0], : whole.shape[1]] = whole
    expected = np.nanmean(padded.reshape(height, scale, width, scale, 3), axis=(1, 3))
    assert np.abs(found - expected).mean() < 4
    if tile.width % scale:
        assert np.abs(found[:, -1] - expected[:, -1]).mean() < 12


def test_no_large_library_is_needed_for_tiles(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "phantom.tif"
    write_phantom_slide(path, (2304, 1536), block_px=256)
    code = f"""
import sys
from histofactor.slides.reader import open_slide
from histofactor.viewer.tiles import read_tile, tile_of
with open_slide({str(path)!r}) as slide:
    for level in range(13):
        read_tile(slide, tile_of(slide.info.size, level, 0, 0))
import histofactor.viewer.app
assert "torch" not in sys.modules and "sklearn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


class Fake:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


def test_a_pool_closes_what_no_one_reads():
    pool, slides = SlidePool(), {}

    def opened(key):
        def make():
            slides.setdefault(key, []).append(Fake())
            return slides[key][-1]

        return make

    with pool.use("held", opened("held")) as held:
        for key in map(str, range(30)):
            with pool.use(key, opened(key)) as one:
                assert not one.closed
        assert not held.closed
        with pool.use("held", opened("held")) as again:
            assert again is held
    assert sum(not one.closed for found in slides.values() for one in found) <= 8
    pool.close()
    assert all(one.closed for found in slides.values() for one in found)
    assert all(len(found) == 1 for found in slides.values())


def test_a_slide_is_opened_once_by_many_and_errors_reach_all():
    pool, made = SlidePool(), []
    go = threading.Barrier(8)

    def opened():
        made.append(Fake())
        return made[-1]

    def use():
        go.wait()
        with pool.use("a", opened) as one:
            assert not one.closed

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1

    def broken():
        raise OptionError("no")

    for _ in range(2):
        with pytest.raises(OptionError), pool.use("b", broken):
            pass
    pool.close()
    assert made[0].closed


def test_a_cache_holds_so_many_bytes():
    cache, made = ByteCache(limit=10), []

    def make(key):
        return lambda: made.append(key) or b"x" * 4

    for key in ("a", "b", "a", "c", "a", "b"):
        assert cache.get((key,), make(key)) == b"xxxx"
    assert made == ["a", "b", "c", "b"]
