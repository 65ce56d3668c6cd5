import errno
import os

import pytest

from histofactor.base.files import atomic, atomic_folder, stable_uuid
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
