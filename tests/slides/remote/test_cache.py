"""The cache stays within its bound, is empty in the end, and goes on with what killed runs left."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from histofactor.errors import ImageError
from histofactor.records.urls import Url
from histofactor.slides.remote.cache import Cache
from histofactor.slides.remote.folders import default_folder
from histofactor.slides.remote.parts import located


def bytes_in(folder):
    """What inputs take; leases of processes are none."""
    sizes = []
    for here, _, names in os.walk(folder):  # what goes meanwhile is passed over
        for path in (Path(here) / name for name in names if ".histofactor" not in Path(here).parts):
            with suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
    return sum(sizes)


def test_inputs_go_to_make_room_and_at_the_end(http, tmp_path):
    store, address = http
    for number in range(5):
        store.files[f"/{number}.tif"] = bytes(40_000)
    top = tmp_path / "cache"
    cache = Cache(top, 100_000)
    for number in range(5):
        with cache.file(Url(f"{address}/{number}.tif")) as path:
            assert path.name == f"{number}.tif"
            assert bytes_in(top) <= 100_000
    assert bytes_in(top) == 80_000
    cache.discard(Url(f"{address}/4.tif"))
    assert bytes_in(top) == 40_000
    cache.close()
    assert list(top.iterdir()) == []


def test_an_input_is_fetched_once_while_it_is_there(http, kept):
    store, address = http
    store.files["/a.tif"] = bytes(1000)
    for _ in range(3):
        with kept.file(Url(f"{address}/a.tif")):
            pass
    assert store.fetches("/a.tif") == 1


def test_an_input_that_changed_is_fetched_again(http, kept):
    store, address = http
    store.files["/a.tif"] = bytes(1000)
    url = located(Url(f"{address}/a.tif"))
    with kept.file(url):
        pass
    store.files["/a.tif"] = b"x" * 1000
    with kept.file(Url(f"{address}/a.tif")) as path:
        assert path.read_bytes() == b"x" * 1000
    kept.discard(url)
    with pytest.raises(ImageError, match="has changed on its store since the run began"), kept.file(url):
        pass


@pytest.mark.parametrize("lengths", [True, False])
def test_an_input_larger_than_the_cache_is_told(http, tmp_path, lengths):
    store, address = http
    store.files["/a.tif"], store.lengths = bytes(3_000_000), lengths
    cache = Cache(tmp_path / "cache", 1_000_000)
    too_large = pytest.raises(ImageError, match=r"a\.tif is larger than the cache; .*0\.001 GB.*--cache-gb")
    with too_large, cache.file(Url(f"{address}/a.tif")):
        pass
    assert bytes_in(tmp_path / "cache") <= 1_000_000
    cache.close()


def test_the_next_is_fetched_ahead_and_waited_for(http, kept):
    store, address = http
    store.files["/a.tif"], store.files["/b.tif"] = bytes(1000), bytes(2000)
    with kept.file(Url(f"{address}/a.tif")):
        kept.ahead([Url(f"{address}/b.tif"), Url(f"{address}/missing.tif")])
        until(lambda: store.fetches("/b.tif") == 1)
    with kept.file(Url(f"{address}/b.tif")) as path:
        assert path.read_bytes() == bytes(2000)
    assert store.fetches("/b.tif") == 1
    with pytest.raises(ImageError, match=r"missing\.tif does not exist"), kept.file(Url(f"{address}/missing.tif")):
        pass


def test_fetching_ahead_never_passes_the_bound(http, tmp_path):
    store, address = http
    for name in "abcd":
        store.files[f"/{name}.tif"] = bytes(60_000)
    cache = Cache(tmp_path / "cache", 100_000)
    with cache.file(Url(f"{address}/a.tif")):
        cache.ahead([Url(f"{address}/b.tif")])
        time.sleep(0.2)
        assert bytes_in(tmp_path / "cache") == 60_000
    cache.ahead([Url(f"{address}/b.tif")])
    until(lambda: store.fetches("/b.tif") == 1)
    with cache.file(Url(f"{address}/c.tif")) as path:  # wanted now: what was fetched ahead makes room
        assert path.stat().st_size == 60_000
        assert bytes_in(tmp_path / "cache") <= 100_000
    cache.close()


def test_many_threads_share_it(http, tmp_path):
    store, address = http
    contents = {f"/{number}.tif": bytes([number]) * 10_000 for number in range(8)}
    store.files |= contents
    cache, wrong, top = Cache(tmp_path / "cache", 35_000), [], tmp_path / "cache"

    def work(seed):
        for turn in range(12):
            name = f"/{(seed * 5 + turn * 3) % 8}.tif"
            with cache.file(Url(address + name)) as path:
                if path.read_bytes() != contents[name] or bytes_in(top) > 35_000:
                    wrong.append(name)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []
    cache.close()


KILLED = """
import os, sys
from histofactor.records.urls import Url
from histofactor.slides.remote import transfer
from histofactor.slides.remote.cache import Cache
from pathlib import Path
transfer._CHUNK = 1000
written = transfer._write
def write(part, start, block):
    written(part, start, block)
    if start >= 5000:
        os._exit(9)
transfer._write = write
with Cache(Path(sys.argv[1]), 10**6).file(Url(sys.argv[2])):
    pass
"""


def test_what_a_killed_run_left_is_gone_on_with(http, tmp_path):
    store, address = http
    store.files["/a.tif"] = bytes(range(256)) * 40
    top = tmp_path / "cache"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(top), f"{address}/a.tif"], check=False)
    assert bytes_in(top) >= 6000
    store.requests.clear()
    cache = Cache(top, 10**6)
    with cache.file(Url(f"{address}/a.tif")) as path:
        assert path.read_bytes() == store.files["/a.tif"]
    starts = [int(part.removeprefix("bytes=").split("-")[0]) for *_, part in store.requests if part]
    assert min(starts) >= 6000
    cache.close()
    assert list(top.iterdir()) == []


def test_what_a_killed_run_left_of_other_inputs_is_deleted(http, tmp_path):
    store, address = http
    store.files["/a.tif"], store.files["/b.tif"] = bytes(10_240), bytes(10_000)
    top = tmp_path / "cache"
    (top / "theirs").mkdir(parents=True)
    (top / "theirs/slide.svs").write_bytes(b"not ours")
    subprocess.run([sys.executable, "-c", KILLED, str(top), f"{address}/a.tif"], check=False)
    cache = Cache(top, 12_000)
    with cache.file(Url(f"{address}/b.tif")):
        assert bytes_in(top) - len(b"not ours") <= 12_000
    cache.close()
    assert [path.name for path in top.iterdir()] == ["theirs"]


def test_the_folder_of_a_run_that_is_at_work_is_left_alone(http, tmp_path):
    store, address = http
    store.files["/a.tif"] = bytes(1000)
    first, second = Cache(tmp_path / "cache", 10**6), Cache(tmp_path / "cache", 10**6)
    with first.file(Url(f"{address}/a.tif")) as one, second.file(Url(f"{address}/a.tif")) as other:
        assert one != other
        second.close()
        assert one.exists()
    first.close()


def test_a_folder_of_another_is_not_taken_for_ours(tmp_path, monkeypatch):
    import tempfile

    from histofactor.errors import OutputError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = default_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(OutputError, match=r"not yours|cannot write"):
        default_folder()


def until(is_so, seconds=10):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
