"""Manifests survive, and bad ones are refused before anything is written."""

import time

import numpy as np
import pytest

from histofactor.errors import HistofactorError, OptionError
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
        ({"size": "9" * 5000}, "size"),
        ({"size": "٧"}, "size"),
        ({"filename": "a\x1b[31m"}, "filename"),
        ({"filename": "a" * 201}, "filename"),
        ({"filename": "a.part"}, "filename"),
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


def test_names_that_spreadsheets_would_work_out_and_that_the_terminal_would_obey(tmp_path):
    file = GdcFile("a", "=cmd' C.svs", "0" * 32, 5, '@TCGA\t\r\n"', "'-1\x1b[31m")
    write_manifest([file], tmp_path / "m.tsv")
    assert read_manifest(tmp_path / "m.tsv") == [file]
    fields = (tmp_path / "m.tsv").read_bytes().split(b"\n", 1)[1].split(b"\t")
    assert fields[1] == b"'=cmd' C.svs"
    assert fields[5].startswith(b"\"'@TCGA")
    write_manifest([GdcFile("a", "b.svs", "0" * 32, 5, "\udcff")], tmp_path / "m.tsv")
    assert read_manifest(tmp_path / "m.tsv")[0].project == r"\udcff"


def test_many_rows_take_time_in_proportion(tmp_path):
    files = [GdcFile(f"a-{i}", f"{i}.svs", "0" * 32, 5, "TCGA-A", "c") for i in range(30_000)]
    start = time.monotonic()
    write_manifest(files, tmp_path / "m.tsv")
    assert read_manifest(tmp_path / "m.tsv") == files
    assert time.monotonic() - start < 10  # 1 s; quadratic it was a minute


def test_a_manifest_that_is_too_large(tmp_path):
    with (tmp_path / "m.tsv").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(OptionError, match="the most that is read"):
        read_manifest(tmp_path / "m.tsv")


def test_mutants(tmp_path):
    write_manifest(FILES, tmp_path / "m.tsv")
    content, rng, read = (tmp_path / "m.tsv").read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, len(changed)))
            match rng.integers(0, 3):
                case 0:
                    changed[at] ^= 1 << int(rng.integers(0, 8))
                case 1:
                    del changed[at : at + int(rng.integers(1, 12))]
                case 2:
                    changed[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 5)), np.uint8))
        (tmp_path / "m.tsv").write_bytes(changed)
        try:
            files = read_manifest(tmp_path / "m.tsv")
        except HistofactorError:
            continue
        read += 1
        for file in files:
            assert (tmp_path / file.name).resolve().parent == tmp_path.resolve()
            assert file.name.isprintable()
    assert read > 20
