"""Bands on disk: what is read back is what was put, by any slices, and a run can go on after the last whole band."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.errors import OutputError
from histofactor.masks.sparse import restore
from histofactor.records import SlideMean
from histofactor.segmentation import band_files
from histofactor.segmentation.store import DiskStore, MemoryStore
from small_bands import random_bands

ROWS, WIDTH, STRIDE = (20, 8, 33), 90, 8


def bands(seed=0):
    return random_bands(ROWS, WIDTH, STRIDE, seed)


@pytest.fixture(autouse=True)
def narrow_chunks(monkeypatch):
    monkeypatch.setattr(band_files, "_CHUNK_PX", 32)


def filled(store):
    for number, band in enumerate(bands()):
        store.put(band, {"number": np.array(number)})
    return store.maps()


def test_disk_and_memory_hold_the_same(tmp_path):
    memory, disk = filled(MemoryStore()), filled(DiskStore(tmp_path / "work", "a"))
    assert memory.labels.shape == disk.labels.shape == (sum(ROWS), WIDTH)
    assert memory.labels.dtype == disk.labels.dtype
    np.testing.assert_array_equal(disk.labels[:], memory.labels)
    np.testing.assert_allclose(disk.margin[:], memory.margin, atol=1e-6)
    np.testing.assert_array_equal(disk.unreadable, memory.unreadable)
    for name in ("label", "share", "margin", "residual"):
        np.testing.assert_array_equal(getattr(disk.tokens, name), getattr(memory.tokens, name))
    assert disk.tokens.stride_px == STRIDE


@settings(max_examples=60)
@given(st.data())
def test_any_slice_is_that_of_the_whole(tmp_path_factory, data):
    labels = filled(DiskStore(tmp_path_factory.mktemp("w") / "work", "a")).labels
    whole = np.concatenate([band.labels for band in bands()])
    rows, columns = data.draw(st.slices(whole.shape[0])), data.draw(st.slices(whole.shape[1]))
    if min(rows.step or 1, columns.step or 1) > 0:
        np.testing.assert_array_equal(labels[rows, columns], whole[rows, columns])
        np.testing.assert_array_equal(labels[rows], whole[rows])


def test_a_run_goes_on_after_the_last_state(tmp_path):
    first, second, third = bands()
    store = DiskStore(tmp_path / "work", "a")
    assert store.state() is None
    store.put(first, {"x": np.arange(3)})
    store.put(third, None)  # no state: will be made again
    again = DiskStore(tmp_path / "work", "a")
    np.testing.assert_array_equal(again.state()["x"], np.arange(3))
    again.put(second, None)
    again.put(third, {"x": np.arange(4)})
    np.testing.assert_array_equal(again.maps().labels[:], np.concatenate([band.labels for band in bands()]))
    np.testing.assert_array_equal(DiskStore(tmp_path / "work", "a").state()["x"], np.arange(4))
    assert len(list((tmp_path / "work").glob("state-*"))) == 1


def test_the_mean_of_the_input_is_kept(tmp_path):
    mean = SlideMean(np.random.default_rng(0).random(300).astype(np.float32), 1 / 3)
    store = DiskStore(tmp_path / "work", "a")
    assert store.mean is None
    store.keep_mean(mean)
    first, second, _ = bands()
    store.put(first, {"x": np.arange(3)})
    for again in (DiskStore(tmp_path / "work", "a") for _ in range(2)):
        np.testing.assert_array_equal(again.mean.value, mean.value)
        assert (again.mean.value.dtype, again.mean.mm2) == (np.float32, mean.mm2)
        again.keep_mean(mean)
        np.testing.assert_array_equal(again.state()["x"], np.arange(3))
    again.put(second, {"x": np.arange(4)})
    np.testing.assert_array_equal(DiskStore(tmp_path / "work", "a").state()["x"], np.arange(4))
    assert DiskStore(tmp_path / "work", "b").mean is None


def test_windows_that_are_encoded_go_with_the_recipe(tmp_path):
    folder = tmp_path / "work"
    DiskStore(folder, "a")
    for name in ("kept-0-0_0_0.npz", "windows-0_0_0.npz"):
        (folder / name).write_bytes(b"x")
    DiskStore(folder, "a")
    assert len(list(folder.glob("*.npz"))) == 2
    DiskStore(folder, "b")
    assert not list(folder.glob("*.npz"))


def test_another_recipe_begins_anew(tmp_path):
    filled(DiskStore(tmp_path / "work", "a"))
    assert DiskStore(tmp_path / "work", "b").state() is None
    assert not list((tmp_path / "work").glob("band-*"))


def test_the_largest_weights_are_kept_on_request(tmp_path):
    disk, memory = DiskStore(tmp_path / "work", "a", keep_weights=True), MemoryStore()
    for store in (disk, memory):
        filled(store)
    for band, *kept in zip(bands(), disk.weights(), memory.weights(), strict=True):
        for rows in kept:
            np.testing.assert_allclose(restore(rows, 5), band.weights, atol=1e-4)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        DiskStore(tmp_path / "file" / "work", "a")


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """Work of which two bands are done, as file name → content."""
    folder = tmp_path_factory.mktemp("w") / "work"
    store = DiskStore(folder, "a", keep_weights=True)
    for band in list(bands())[:2]:
        store.put(band, {"x": np.arange(300)})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_all(files, folder):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def begins_anew(folder, named):
    """Whether a store finds damage, names the file, and then makes all bands again."""
    store = DiskStore(folder, "a", keep_weights=True)
    assert store.state() is None
    assert named in store.note
    assert [path.name for path in folder.iterdir()] == ["work.json"]
    np.testing.assert_array_equal(filled(store).labels[:], np.concatenate([band.labels for band in bands()]))
    again = DiskStore(folder, "a", keep_weights=True)
    assert again.note == ""
    assert int(again.state()["number"]) == 2


@settings(max_examples=80)
@given(st.data())
def test_a_byte_that_is_not_as_it_was_written_begins_anew(unfinished, tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(unfinished)))
    content = bytearray(unfinished[name])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("w") / "work"
    write_all(unfinished | {name: bytes(content)}, folder)
    store = DiskStore(folder, "a", keep_weights=True)
    if store.state() is None:
        assert name in store.note
    else:  # white space between the words of JSON says nothing
        assert (name, store.note) == ("work.json", "")
        assert unfinished[name][at : at + 1].isspace()


@pytest.mark.parametrize("name", ["band-000000.zip", "band-000001.zip", "state-000002.npz"])
def test_files_that_are_missing_or_cut_begin_anew(unfinished, tmp_path, name):
    without = {other: content for other, content in unfinished.items() if other != name}
    write_all(without, tmp_path / "missing")
    begins_anew(tmp_path / "missing", name)
    write_all(unfinished | {name: unfinished[name][:-1]}, tmp_path / "cut")
    begins_anew(tmp_path / "cut", name)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[1]", b"{}", b"\xff", b"[" * 100_000])
def test_an_index_that_is_none_begins_anew(unfinished, tmp_path, content):
    write_all(unfinished | {"work.json": content}, tmp_path / "work")
    begins_anew(tmp_path / "work", "work.json")


def test_a_band_too_few_begins_anew(unfinished, tmp_path):
    index = json.loads(unfinished["work.json"])
    index["bands"].pop()
    write_all(unfinished | {"work.json": json.dumps(index).encode()}, tmp_path / "work")
    begins_anew(tmp_path / "work", "work.json")


def test_work_of_one_input_cannot_pass_for_that_of_another(unfinished, tmp_path):
    write_all(unfinished, tmp_path / "work")
    DiskStore(tmp_path / "other", "b").put(next(bands(1)), {"x": np.arange(3)})
    (tmp_path / "work" / "band-000000.zip").write_bytes((tmp_path / "other" / "band-000000.zip").read_bytes())
    begins_anew(tmp_path / "work", "band-000000.zip")


def test_only_files_of_a_store_are_deleted(unfinished, tmp_path):
    write_all(unfinished | {"slide.svs": b"mine"}, tmp_path / "work")
    (tmp_path / "work" / "band-x.zip").symlink_to(tmp_path / "elsewhere.zip")
    (tmp_path / "elsewhere.zip").write_bytes(b"mine")
    assert DiskStore(tmp_path / "work", "b").note == ""
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"slide.svs", "work.json"}
    assert (tmp_path / "elsewhere.zip").read_bytes() == b"mine"
