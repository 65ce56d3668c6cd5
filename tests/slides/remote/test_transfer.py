"""Fetched files are the file on the store to the byte, or there is one message why not."""

import os

import pytest

from histofactor.errors import ImageError
from histofactor.slides.remote import transfer

CONTENT = os.urandom(25_431)
pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("lengths", [True, False])
def test_files_come_whole(http, fetch, ranges, lengths):
    store, address = http
    store.files["/a b.tif"], store.ranges, store.lengths = CONTENT, ranges, lengths
    assert fetch(f"{address}/a%20b.tif") == CONTENT


def test_what_breaks_off_goes_on_where_it_did(http, fetch):
    store, address = http
    store.files["/a.tif"], store.break_after, store.breaks = CONTENT, 500, 3
    assert fetch(f"{address}/a.tif") == CONTENT
    starts = [int(part.removeprefix("bytes=").split("-")[0]) for *_, part in store.requests if part]
    assert starts == sorted(starts)  # nothing is asked for again but the part that broke off
    assert len(starts) == 26 + 3


def test_what_breaks_off_begins_again_where_no_parts_are_given(http, fetch):
    store, address = http
    store.files["/a.tif"], store.ranges, store.break_after, store.breaks = CONTENT, False, 7000, 2
    assert fetch(f"{address}/a.tif") == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_truncated_body_is_told(http, fetch, ranges):
    store, address = http
    store.files["/a.tif"], store.ranges, store.break_after, store.breaks = CONTENT, ranges, 500, 1000
    with pytest.raises(ImageError, match=r"a\.tif breaks off; expected 25,431 bytes; got .*5 times in a row"):
        fetch(f"{address}/a.tif")


def test_another_length_than_the_store_said_is_told(http, fetch):
    store, address = http
    store.files["/a.tif"], store.said["/a.tif"], store.ranges = CONTENT, 20_000, False
    with pytest.raises(ImageError, match=r"not as long as its store said; expected 20,000 bytes; got 21,000 or more"):
        fetch(f"{address}/a.tif")
    store.said["/a.tif"] = 30_000
    with pytest.raises(ImageError, match=r"breaks off; expected 30,000 bytes"):
        fetch(f"{address}/a.tif")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, r"a\.tif.* does not exist"),
        (403, r"a\.tif.* may not be read; .*got 403, not allowed"),
        (401, r"a\.tif.* may not be read; .*got 401, not allowed"),
        (500, r"the store of .*a\.tif.* cannot give it; got 500"),
        (503, r"the store of .*a\.tif.* cannot give it; got 503"),
    ],
)
def test_refusals_are_told_once_and_without_secrets(http, fetch, status, message):
    store, address = http
    store.status["/a.tif"] = status
    with pytest.raises(ImageError, match=message) as caught:
        fetch(f"{address.replace('//', '//me:secret@')}/a.tif?sig=abcdefgh")
    assert not {"secret", "abcdefgh"} & set(str(caught.value).replace("=", " ").replace("@", " ").split())
    assert "abcdefgh" not in str(caught.value)


def test_a_denial_amid_a_file_is_not_tried_again(http, fetch, kept):
    store, address = http
    store.files["/a.tif"], store.break_after, store.breaks = CONTENT, 500, 1
    from histofactor.records.urls import Url
    from histofactor.slides.remote.parts import located

    url = located(Url(f"{address}/a.tif"))
    store.status["/a.tif"] = 403
    before = len(store.requests)
    with pytest.raises(ImageError, match="may not be read"), kept.file(url):
        pass
    assert len(store.requests) - before <= 2


def test_no_network_is_told(fetch):
    with pytest.raises(ImageError, match=r"the store of http://127\.0\.0\.1:9/a\.tif cannot be reached; got \w*Error"):
        fetch("http://127.0.0.1:9/a.tif")


def test_a_page_is_no_image(http, fetch):
    store, address = http
    store.files["/a.svs"] = b"\n<!DOCTYPE html><html>sign in</html>"
    with pytest.raises(ImageError, match=r"a\.svs is a web page, not an image"):
        fetch(f"{address}/a.svs")


def test_an_empty_file_comes(http, fetch):
    store, address = http
    store.files["/a.tif"] = b""
    assert fetch(f"{address}/a.tif") == b""


def test_a_full_disk_is_told_as_one(http, fetch, monkeypatch):
    store, address = http
    store.files["/a.tif"] = CONTENT

    def full(*_):
        raise transfer._DiskError(OSError(28, "No space left on device"))

    monkeypatch.setattr(transfer, "_write", full)
    from histofactor.errors import OutputError

    with pytest.raises(OutputError, match=r"No space left"):
        fetch(f"{address}/a.tif")
