"""Files read by range: the bytes of the file, each block once, and whatever goes wrong told."""

import io
import random
from contextlib import closing
from threading import Event

import numpy as np
import pytest

from histofactor.errors import ImageError
from histofactor.records.urls import Url
from histofactor.slides.remote import ranges
from histofactor.slides.remote.parts import located
from histofactor.slides.remote.ranges import RangedFile, part_of
from histofactor.slides.remote.store import store_of
from histofactor.slides.remote.transfer import TRIES, StoppedError

CONTENT = np.random.default_rng(0).integers(0, 256, 100_003, np.uint8).tobytes()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK", 1000)


def ranged(url, path, stop=None):
    url = located(url)
    part = part_of(store_of(url)[0], url.files[0])
    return RangedFile(url, part, url.files[0].size, path, stop or Event())


@pytest.fixture
def file(http, tmp_path):
    store, address = http
    store.files["/a.tif"] = CONTENT
    made = ranged(Url(f"{address}/a.tif"), tmp_path / "a.tif")
    store.requests.clear()
    yield made
    made.close()


def test_any_part_is_that_of_the_file(file, http, tmp_path):
    draw = random.Random(0)
    for _ in range(100):
        start, count = draw.randrange(len(CONTENT) + 10), draw.randrange(3000)
        assert file.read(start, count) == CONTENT[start : start + count]
    asked = [one[2] for one in http[0].requests]
    starts = [int(one.removeprefix("bytes=").split("-")[0]) for one in asked]
    assert len({*starts}) == len(starts)  # no block twice
    file.fill()
    assert (tmp_path / "a.tif").read_bytes() == CONTENT
    known = len(http[0].requests)
    with file.open() as stream:
        assert stream.read() == CONTENT
        assert stream.seek(-3, io.SEEK_END) == len(CONTENT) - 3
        assert stream.read() == CONTENT[-3:]
    assert len(http[0].requests) == known


def test_little_travels_where_little_is_read_and_more_at_a_time_in_a_row(file, http):
    file.read(50_000, 10)
    assert file.fetched == 1000
    file.read(5_000, 10)
    assert file.fetched == 2000
    http[0].requests.clear()
    for start in range(20_000, 60_000, 1000):
        file.read(start, 1000)
    assert len(http[0].requests) < 15  # for 40 blocks
    assert file.fetched <= 2000 + 40_000 + 20_000  # half of it beyond, at most


def test_what_breaks_off_is_asked_for_again(file, http):
    http[0].breaks, http[0].break_after = 3, 500
    assert file.read(0, 3000) == CONTENT[:3000]


def test_an_object_that_changes_is_told(file, http):
    assert file.read(0, 10) == CONTENT[:10]
    http[0].files["/a.tif"] = CONTENT[::-1]
    assert file.read(0, 10) == CONTENT[:10]  # what is there is of one version
    for _ in range(2):
        with pytest.raises(ImageError, match=r"a\.tif has changed on its store while it was read"):
            file.read(50_000, 10)
    asked = [one for one in http[0].requests if one[2]]
    assert len(asked) == 3  # asking again would change nothing


def test_an_object_that_is_shorter_now_has_changed(file, http):
    http[0].status["/a.tif"] = 416
    with pytest.raises(ImageError, match="has changed on its store"):
        file.read(90_000, 10)


@pytest.mark.parametrize("status", [404, 403])
def test_an_object_that_goes_is_told(file, http, status):
    http[0].status["/a.tif"] = status
    with pytest.raises(ImageError, match=r"a\.tif (does not exist|may not be read)"):
        file.read(0, 10)


def test_a_store_that_is_down_is_asked_a_few_times(file, http):
    http[0].status["/a.tif"] = 503
    with pytest.raises(ImageError, match="503"):
        file.read(0, 10)
    assert len(http[0].requests) == TRIES
    http[0].status.clear()
    assert file.read(0, 10) == CONTENT[:10]  # later it may be there again


def test_a_decoder_that_takes_it_for_damage_hides_nothing(file, http):
    http[0].status["/a.tif"] = 404

    def decode():
        try:
            file.read(0, 10)
        except ImageError:
            return "damaged"

    with pytest.raises(ImageError, match="does not exist"), file.watched():
        decode()
    http[0].status.clear()
    with file.watched():
        file.read(0, 10)


def test_a_store_that_gives_no_parts(file, http):
    http[0].ranges = False
    for start in (0, 5000):
        with pytest.raises(ImageError, match="gives no parts of files"):
            file.read(start, 10)


def test_it_ends_when_it_is_stopped(http, tmp_path):
    store, address = http
    store.files["/a.tif"] = CONTENT
    stop = Event()
    stop.set()
    with closing(ranged(Url(f"{address}/a.tif"), tmp_path / "a.tif", stop)) as file, pytest.raises(StoppedError):
        file.read(0, 10)


def test_without_a_version_or_of_other_stores_nothing_is_read_by_range(http, memory):
    store, address = http
    store.files["/a.tif"], store.versions = CONTENT, False
    memory.pipe("/a.tif", CONTENT)
    for url in (Url(f"{address}/a.tif"), Url("memory://a.tif")):
        assert part_of(store_of(url)[0], located(url).files[0]) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_of_s3(s3, tmp_path):
    s3.files["/bucket/a.tif"] = CONTENT
    with closing(ranged(Url("s3://bucket/a.tif"), tmp_path / "a.tif")) as file:
        assert file.read(50_000, 2000) == CONTENT[50_000:52_000]
        assert file.fetched == 2000
        s3.files["/bucket/a.tif"] = CONTENT[::-1]
        with pytest.raises(ImageError, match="has changed"):
            file.read(0, 10)
