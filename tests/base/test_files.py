import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from histofactor.base.files import (
    atomic,
    atomic_folder,
    make_folder,
    remove,
    stable_uuid,
    stamp_of,
    sweep,
    write_json,
)
from histofactor.errors import OutputError


def test_a_finished_block_leaves_only_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "labels.ome.tif"
    with atomic(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith("labels.ome.tif")
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_the_file_gets_the_permissions_of_any_other_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic(tmp_path / "ours") as temporary:
        temporary.write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def _write_then_fail(path, failure):
    with atomic(path) as temporary:
        temporary.write_text("half")
        raise failure


@pytest.mark.parametrize("failure", [ValueError("bad"), KeyboardInterrupt()])
def test_a_failed_block_keeps_the_old_file_and_its_own_exception(tmp_path, failure):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(type(failure)):
        _write_then_fail(path, failure)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_output_error_that_says_how_to_mend_it(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(OutputError, match=r"table\.csv") as caught:
        _write_then_fail(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert "disk space" in caught.value.mend
    assert caught.value.got == os.strerror(errno.ENOSPC)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_an_output_error(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write") as caught, atomic(tmp_path / "out" / "x.csv"):
        pass
    assert "not files" in caught.value.mend


def test_a_folder_of_the_same_name_is_an_output_error(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="cannot write"), atomic(tmp_path / "out") as temporary:
        temporary.write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may write"), atomic(tmp_path / "x.csv") as temporary:
        temporary.write_text("x")


def test_long_names_are_written(tmp_path):
    path = tmp_path / ("n" * 250 + ".csv")
    with atomic(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_a_stable_uuid_depends_on_its_parts_alone():
    assert stable_uuid("region", "a.svs", 1) == stable_uuid("region", "a.svs", 1)
    assert stable_uuid("region", "a.svs", 1).version == 5
    others = {stable_uuid("region", name, label) for name in ("a.svs", "b.svs", "\udcff.svs") for label in (1, 2)}
    assert len(others) == 6


def test_a_finished_folder_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "labels.ome.zarr"
    for text in ("first", "second"):
        with atomic_folder(path) as temporary:
            assert temporary.name.endswith("labels.ome.zarr")
            assert list(temporary.iterdir()) == []
            (temporary / text).write_text(text)
        assert [file.name for file in path.iterdir()] == [text]
    assert list(path.parent.iterdir()) == [path]


def _write_half_a_folder(path):
    with atomic_folder(path) as temporary:
        (temporary / "half").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_block_keeps_the_old_folder(tmp_path):
    path = tmp_path / "labels.ome.zarr"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(OutputError) as caught:
        _write_half_a_folder(path)
    assert "disk space" in caught.value.mend
    assert [file.name for file in tmp_path.iterdir()] == ["labels.ome.zarr"]
    assert [file.name for file in path.iterdir()] == ["old"]


def test_a_file_in_the_place_of_a_folder_is_kept(tmp_path):
    (tmp_path / "labels").write_text("a file")
    with pytest.raises(OutputError, match="not files"), atomic_folder(tmp_path / "labels"):
        pass
    assert (tmp_path / "labels").read_text() == "a file"


@pytest.fixture
def events(monkeypatch):
    """What is synced, renamed and deleted, by name and in order."""
    seen, names = [], {}

    def spy(name, told):
        real = getattr(os, name)

        def call(*args, **options):
            seen.append((name, told(*args)))
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    def opened(path, *args, real=os.open, **options):
        handle = real(path, *args, **options)
        names[handle] = plain(path)
        return handle

    def plain(path):
        name = Path(path).name
        return "temporary " + name[14:] if len(name) > 14 and name[0] == "." and name[13] == "-" else name

    monkeypatch.setattr(os, "open", opened)
    spy("fsync", lambda handle: names[handle])
    for name in ("replace", "rename"):
        spy(name, lambda old, new: (plain(old), plain(new)))
    return seen


def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_the_end(tmp_path, events):
    with atomic(tmp_path / "run.json") as temporary:
        temporary.write_text("new")
        assert events == []
    assert events == [
        ("fsync", "temporary run.json"),
        ("replace", ("temporary run.json", "run.json")),
        ("fsync", tmp_path.name),
    ]


def test_folders_that_are_made_are_on_the_disk_too(tmp_path, events):
    write_json({}, tmp_path / "out" / "case 1" / "segmentation.json")
    assert sorted(events[:2]) == sorted([("fsync", tmp_path.name), ("fsync", "out")])
    assert [name for name, _ in events[2:]] == ["fsync", "replace", "fsync"]


def test_all_of_a_folder_is_on_the_disk_before_its_name_and_the_old_one_goes_last(tmp_path, events, monkeypatch):
    for text in ("old", "new"):
        events.clear()
        with atomic_folder(tmp_path / "w.zarr") as temporary:
            (temporary / "c").mkdir()
            (temporary / "c" / "0").write_text(text)
            (temporary / "zarr.json").write_text(text)
            monkeypatch.setattr(shutil, "rmtree", deleting(shutil.rmtree, events))
    place = events.index(("rename", ("w.zarr", "temporary w.zarr")))
    assert set(events[1:place]) == {
        ("fsync", name) for name in ("temporary w.zarr", "zarr.json", "c", "0")
    }  # fmt: skip
    before = [name for _, name in events[1:place]]
    assert before.index("0") < before.index("c") < before.index("temporary w.zarr") == len(before) - 1
    assert events[place + 1 : place + 4] == [
        ("rename", ("temporary w.zarr", "w.zarr")),
        ("fsync", tmp_path.name),
        ("rmtree", ""),
    ]
    assert (tmp_path / "w.zarr" / "zarr.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["w.zarr"]


def deleting(real, events):
    def call(path):
        events.append(("rmtree", ""))
        real(path)

    return call


def test_an_old_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path = tmp_path / "labels.ome.zarr"
    path.mkdir()
    (path / "old").write_text("old")
    real, calls = os.rename, []

    def fails_once(old, new):
        calls.append(old)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(old, new)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(OutputError), atomic_folder(path) as temporary:
        (temporary / "new").write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["labels.ome.zarr"]
    assert [file.name for file in path.iterdir()] == ["old"]


def test_a_disk_that_cannot_be_written_to_is_told_and_the_old_file_stays(tmp_path, monkeypatch):
    def fails(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "run.json").write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError, match=os.strerror(errno.EIO)):
        write_json({}, tmp_path / "run.json")
    assert (tmp_path / "run.json").read_text() == "old"


def test_folders_that_network_disks_do_not_sync_are_written_all_the_same(tmp_path, monkeypatch):
    def fails(handle, real=os.fsync):
        if os.fstat(handle).st_mode & 0o040000:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(handle)

    monkeypatch.setattr(os, "fsync", fails)
    write_json({}, tmp_path / "run.json")
    assert (tmp_path / "run.json").read_text() == "{}\n"


@pytest.fixture
def owned(tmp_path):
    """An output folder in which only ``bands/mine`` may be deleted from, and all that is around it."""
    for path in ("out/bands/mine/a/b", "out/bands/theirs/a", "out/results/a", "beside/a"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    mine = tmp_path / "out/bands/mine"
    (mine / "folder link").symlink_to(tmp_path / "beside")
    (mine / "inner link").symlink_to(mine / "a")
    (mine / "file link").symlink_to(tmp_path / "beside/a")
    (mine / "dead link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link to mine").symlink_to(mine)
    return mine


def tree(folder):
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "./.", "..", "../", "../theirs", "../../results", "../mine", "a/..", "a/../..", "a/../../theirs"),
        *("folder link/a", "folder link/..", "folder link/../out", "inner link/b", "/", "/etc", "{root}/beside"),
        *("{root}/out", "{root}/out/bands/mine", "{root}/out/bands/mine/../theirs", "{root}/link to mine"),
        *("{root}/link to mine/a", "a/./../../theirs", "../mine/a"),
    ],
)
def test_nothing_is_deleted_but_what_a_folder_owns(owned, tmp_path, name):
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="will not delete"):
        remove(owned / name.format(root=tmp_path), inside=owned)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["folder link", "file link", "dead link", "inner link"])
def test_links_go_and_what_they_point_at_stays(owned, tmp_path, name):
    before = tree(tmp_path)
    remove(owned / name, inside=owned)
    assert before - tree(tmp_path) == {str(owned / name)}
    assert (tmp_path / "beside/a").read_text() == "beside/a"


def test_what_a_folder_owns_is_deleted_however_it_is_called(owned, tmp_path, monkeypatch):
    remove(owned / "a" / "b", inside=owned)
    assert tree(owned / "a") == set()
    remove(tmp_path / "link to mine" / "a", inside=tmp_path / "link to mine")
    assert not (owned / "a").exists()
    remove(owned / "never there", inside=owned)
    monkeypatch.chdir(tmp_path / "out")
    remove(Path("bands/theirs"), inside=Path("bands"))
    assert {path.name for path in (tmp_path / "out/bands").iterdir()} == {"mine"}
    remove(Path("results"), inside=Path())
    assert (tmp_path / "beside/a").exists()


def test_sweeping_follows_no_link(owned, tmp_path):
    (owned / ".0123456789ab-x").symlink_to(tmp_path / "beside")
    (owned / ".ba9876543210-y").mkdir()
    (owned / ".hidden").write_text("not ours")
    before = tree(tmp_path)
    sweep(owned)
    gone = {str(owned / name) for name in (".0123456789ab-x", ".ba9876543210-y")}
    assert before - tree(tmp_path) == gone


def test_what_others_may_be_writing_is_not_swept(owned):
    for name in (".0123456789ab-mine", ".0123456789ab-theirs", ".0123456789ab-not-mine"):
        (owned / name).write_text("half")
    sweep(owned, {"mine"})
    assert [path.name for path in sorted(owned.glob(".0*"))] == [".0123456789ab-not-mine", ".0123456789ab-theirs"]


def test_a_link_to_a_folder_is_replaced_and_what_it_points_at_stays(owned, tmp_path):
    with atomic_folder(owned / "folder link") as temporary:
        (temporary / "new").write_text("new")
    assert not (owned / "folder link").is_symlink()
    assert tree(tmp_path / "beside") == {str(tmp_path / "beside/a")}


@pytest.mark.parametrize("name", ["..", "a/..", "/"])
def test_paths_that_name_nothing_are_not_written(owned, tmp_path, name):
    before = tree(tmp_path)
    for writer in (atomic, atomic_folder):
        with pytest.raises(OutputError, match="cannot write"), writer(owned / name):
            pass
    assert tree(tmp_path) == before


def test_json_survives_names_that_are_no_unicode(tmp_path):
    write_json({"input": "\udcff µ"}, tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == {"input": "\udcff µ"}
    assert "µ" in (tmp_path / "run.json").read_text(encoding="utf-8")


def test_a_folder_is_made_again_as_often_as_it_is_taken_away(tmp_path, monkeypatch):
    taken, make = [], os.mkdir

    def mkdir(path, mode=0o777):
        if Path(path).name == "mine" and (tmp_path / "bands").exists() and len(taken) < 3:
            taken.append((tmp_path / "bands").rmdir())
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    make_folder(tmp_path / "bands" / "mine")
    assert (tmp_path / "bands" / "mine").is_dir()
    assert len(taken) == 3


def test_the_folder_of_what_is_deleted_may_be_taken_away_meanwhile(tmp_path, monkeypatch):
    mine, delete = tmp_path / "bands" / "mine", shutil.rmtree
    mine.mkdir(parents=True)

    def rmtree(path):
        delete(path)
        path.parent.rmdir()  # by another process, that is done too

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    remove(mine, inside=tmp_path)
    assert not (tmp_path / "bands").exists()


def test_what_is_not_waited_for_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", None)
    with atomic(tmp_path / "b.bin", synced=False) as temporary:
        temporary.write_bytes(b"new")
        assert not (tmp_path / "b.bin").exists()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_a_stamp_tells_of_a_change_and_of_another_file(tmp_path):
    path = tmp_path / "a"
    assert stamp_of(path) is None
    path.write_text("one")
    before = stamp_of(path)
    assert stamp_of(path) == before
    os.utime(path, (1, 1))
    touched = stamp_of(path)
    assert touched != before
    other = tmp_path / "b"
    other.write_text("two")
    os.utime(other, (1, 1))
    other.replace(path)  # as long, and as old
    assert stamp_of(path) not in {None, touched}
