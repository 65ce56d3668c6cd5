"""Manifests survive, and bad ones are refused before anything is written."""

import pytest

from histofactor.errors import OptionError
from histofactor.tcga.gdc import GdcFile
from histofactor.tcga.manifest import read_manifest, write_manifest

FILES = [
    GdcFile("a-1", "x y.svs", "0" * 32, 5, "TCGA-A", "case 1"),
    GdcFile("a-2", "z.svs", "f" * 32, 10**10, "TCGA-B", "case 2"),
]


def test_round_trip(tmp_path):
    write_manifest(FILES, tmp_path / "m.tsv")
    assert read_manifest(tmp_path / "m.tsv") == FILES
    assert (tmp_path / "m.tsv").read_text().splitlines()[0].startswith("id\tfilename\tmd5\tsize\tstate")


def test_a_manifest_of_the_gdc(tmp_path):
    (tmp_path / "m.txt").write_text(f"id\tfilename\tmd5\tsize\tstate\na-1\tx.svs\t{'0' * 32}\t7\treleased\n")
    assert read_manifest(tmp_path / "m.txt") == [GdcFile("a-1", "x.svs", "0" * 32, 7)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"filename": "../x.svs"}, "filename"),
        ({"filename": "/etc/x"}, "filename"),
        ({"filename": "a\\b"}, "filename"),
        ({"filename": ".hidden"}, "filename"),
        ({"filename": ".."}, "filename"),
        ({"filename": ""}, "filename"),
        ({"md5": "x" * 32}, "md5"),
        ({"md5": "0" * 31}, "md5"),
        ({"size": "-4"}, "size"),
        ({"size": "0"}, "size"),
        ({"size": "1e9"}, "size"),
        ({"id": "../files"}, "id"),
        ({"id": ""}, "id"),
    ],
)
def test_rows_that_are_not_valid(tmp_path, changes, told):
    row = {"id": "a-1", "filename": "x.svs", "md5": "0" * 32, "size": "7"} | changes
    (tmp_path / "m.tsv").write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n")
    with pytest.raises(OptionError, match=f"row 2: the {told}"):
        read_manifest(tmp_path / "m.tsv")


def test_twice_the_same(tmp_path):
    for files in ([FILES[0]] * 2, [FILES[0], GdcFile("b", "x y.svs", "0" * 32, 5)]):
        write_manifest(files, tmp_path / "m.tsv")
        with pytest.raises(OptionError, match="two files"):
            read_manifest(tmp_path / "m.tsv")


def test_files_that_are_no_manifest(tmp_path):
    (tmp_path / "a.tsv").write_text("id\tfilename\n1\tx\n")
    with pytest.raises(OptionError, match="no md5, size"):
        read_manifest(tmp_path / "a.tsv")
    (tmp_path / "b.tsv").write_text("")
    with pytest.raises(OptionError, match="no rows"):
        read_manifest(tmp_path / "b.tsv")
    (tmp_path / "c.tsv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "c.tsv", tmp_path / "none.tsv", tmp_path):
        with pytest.raises(OptionError, match="cannot read the manifest"):
            read_manifest(path)
