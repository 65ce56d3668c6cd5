"""Downloads through a server that fails: all right in the end, nothing partial under a final name."""

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from histofactor.errors import HistofactorError, ImageError, OptionError, OutputError
from histofactor.tcga.fetch import FetchOptions, fetch, fetched
from histofactor.tcga.gdc import GdcFile


@pytest.fixture
def options(gdc):
    return FetchOptions(gdc.endpoint, first_wait_s=0.0)


def right(path, file):
    return hashlib.md5(path.read_bytes()).hexdigest() == file.md5 and path.name == file.name


def test_twenty_files_through_failures_and_one_corrupt(gdc, options, tmp_path):
    gdc.fail_every, gdc.corrupt = 3, {"id-07"}
    final = [file.name for file in gdc.files]
    for result in fetched(gdc.files, tmp_path, options, ahead=3, keep=True):
        assert isinstance(result, Path)
        for path in tmp_path.iterdir():
            assert path.suffix == ".part" or right(path, next(file for file in gdc.files if file.name == path.name))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(final)
    assert all(right(tmp_path / file.name, file) for file in gdc.files)
    asked = [path for path, start in gdc.requests if path == "/data/id-07" and start is None]
    assert len(asked) >= 2  # the corrupt one was fetched again from the start
    assert any(start for _, start in gdc.requests)  # broken ones were gone on with


def test_what_is_there_is_kept_and_what_is_wrong_is_not(gdc, options, tmp_path):
    file = gdc.files[0]
    fetch(file, tmp_path, options)
    before = len(gdc.requests)
    assert fetch(file, tmp_path, options) == tmp_path / file.name
    assert len(gdc.requests) == before
    (tmp_path / file.name).write_bytes(bytes(file.size))
    assert right(fetch(file, tmp_path, options), file)


def test_a_part_is_gone_on_with(gdc, options, tmp_path):
    file = gdc.files[5]
    (tmp_path / f"{file.name}.part").write_bytes(gdc.content[file.file_id][:1234])
    assert right(fetch(file, tmp_path, options), file)
    assert gdc.requests == [("/data/id-05", "bytes=1234-")]


@pytest.mark.parametrize("part", ["wrong start", "too long", "whole"])
def test_parts_that_are_not_what_they_should_be(gdc, options, tmp_path, part):
    file, content = gdc.files[5], gdc.content["id-05"]
    parts = {"wrong start": b"x" + content[1:1234], "too long": content + b"more", "whole": content}
    (tmp_path / f"{file.name}.part").write_bytes(parts[part])
    assert right(fetch(file, tmp_path, options), file)


def test_a_server_without_ranges(gdc, options, tmp_path):
    gdc.ranges = False
    file = gdc.files[5]
    (tmp_path / f"{file.name}.part").write_bytes(gdc.content[file.file_id][:1234])
    assert right(fetch(file, tmp_path, options), file)


def test_bytes_told_add_up(gdc, tmp_path):
    gdc.fail_every, gdc.corrupt = 3, {"id-03"}
    told = []
    options = FetchOptions(gdc.endpoint, first_wait_s=0.0, on_bytes=told.append)
    list(fetched(gdc.files[:6], tmp_path, options, keep=True))
    assert sum(told) == sum(file.size for file in gdc.files[:6])
    told.clear()
    list(fetched(gdc.files[:6], tmp_path, options, keep=True))
    assert sum(told) == sum(file.size for file in gdc.files[:6])


def test_a_file_that_is_not_there_does_not_stop_the_others(gdc, tmp_path):
    files = [gdc.files[0], GdcFile("gone", "gone.svs", "0" * 32, 10), gdc.files[1]]
    results = list(fetched(files, tmp_path, FetchOptions(gdc.endpoint, 3, first_wait_s=0.0), keep=True))
    assert [isinstance(result, HistofactorError) for result in results] == [False, True, False]
    assert "404" in str(results[1])
    assert not (tmp_path / "gone.svs").exists()


def test_a_checksum_that_is_never_right(gdc, tmp_path):
    file = GdcFile("id-00", "a.svs", "0" * 32, gdc.files[0].size)
    with pytest.raises(ImageError, match="wrong checksum, 2 times"):
        fetch(file, tmp_path, FetchOptions(gdc.endpoint, 2, first_wait_s=0.0))
    assert list(tmp_path.iterdir()) == []


def test_the_disk_stays_bounded(gdc, options, tmp_path):
    seen = []
    for path in fetched(gdc.files, tmp_path, options, ahead=1):
        assert path.exists()
        seen.append(len(list(tmp_path.iterdir())))
    assert max(seen) <= 3
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_waits_can_be_stopped(gdc, tmp_path):
    gdc.fail_every, stop = 1, threading.Event()  # nothing ever comes
    options = FetchOptions(gdc.endpoint, 10**6, first_wait_s=3600.0, longest_wait_s=3600.0)
    told = []

    def run():
        with pytest.raises(ImageError, match="stopped") as error:
            fetch(gdc.files[0], tmp_path, options, stop)
        told.append(error)

    waiting = threading.Thread(target=run)
    waiting.start()
    while not gdc.requests:
        pass
    stop.set()
    waiting.join(10)
    assert told


def test_closing_stops_what_is_ahead(gdc, options, tmp_path):
    results = fetched(gdc.files, tmp_path, options, ahead=1)
    next(results)
    results.close()
    assert len(gdc.requests) <= 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(gdc, options, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"read-only|may write"):
        fetch(gdc.files[0], tmp_path, options)


def test_a_folder_that_is_a_file(gdc, options, tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        fetch(gdc.files[0], tmp_path / "f", options)


def test_a_full_disk(gdc, options, tmp_path):
    (tmp_path / f"{gdc.files[0].name}.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="disk space"):
        fetch(gdc.files[0], tmp_path, options)


@pytest.mark.parametrize("asked", ["86400", str(10**12), "9" * 5000, "301"])
def test_a_server_is_granted_five_minutes_and_the_rest_is_told(gdc, tmp_path, monkeypatch, asked):
    gdc.fail_every, gdc.retry_after, waits, notes = 1, asked, [], []
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds=None: waits.append(seconds))
    with pytest.raises(ImageError, match="503"):
        fetch(gdc.files[0], tmp_path, FetchOptions(gdc.endpoint, 1, first_wait_s=0.0, on_note=notes.append))
    assert 300.0 in waits
    assert max(seconds for seconds in waits if seconds) == 300.0
    assert len(notes) == 1
    assert notes[0].startswith("slide 0.svs: the server asks to wait ")
    assert len(notes[0]) < 120


def test_a_server_that_asks_for_less_is_heard(gdc, tmp_path, monkeypatch):
    gdc.fail_every, gdc.retry_after, waits, notes = 1, "299", [], []
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds=None: waits.append(seconds))
    with pytest.raises(ImageError, match="503"):
        fetch(gdc.files[0], tmp_path, FetchOptions(gdc.endpoint, 1, first_wait_s=0.0, on_note=notes.append))
    assert 299.0 in waits
    assert not notes


@pytest.mark.parametrize("name", ["../a.svs", "a/b.svs", "a\x1b.svs", ""])
def test_nothing_is_written_out_of_the_folder(gdc, options, tmp_path, name):
    with pytest.raises(ImageError, match="filename of a file is not valid"):
        fetch(replace(gdc.files[0], name=name), tmp_path / "slides", options)
    assert not gdc.requests
    assert list(tmp_path.rglob("*")) == []


def test_a_file_on_this_machine_is_no_endpoint(gdc, tmp_path):
    with pytest.raises(OptionError, match="no address"):
        fetch(gdc.files[0], tmp_path, FetchOptions("file:///etc"))


def test_a_folder_in_the_place_of_a_part(gdc, options, tmp_path):
    (tmp_path / f"{gdc.files[0].name}.part").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        fetch(gdc.files[0], tmp_path, options)
