import io
import resource
import struct
import zipfile

import joblib
import numpy as np
import pytest

from bank_tables import equal, table
from histofactor.concepts.legacy import import_legacy, read_legacy
from histofactor.errors import BankError, BankMismatch
from histofactor.records import EncoderKey

KEY = EncoderKey("uni", None, "blocks[-1]", "relu")


@pytest.mark.parametrize("name", ["uni", "resnet", "prov_gigapath"])
def test_published_banks_are_read_as_joblib_reads_them(shared, name):
    path = shared / "banks" / f"{name}.joblib"
    equal(read_legacy(path), joblib.load(path))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">i4", "i1", "u2", "<u8"])
def test_joblib_is_read_as_joblib_reads_it(tmp_path, protocol, dtype):
    path = tmp_path / "bank.joblib"
    joblib.dump({k: table(k, dtype=dtype) for k in (300, 3, 8)}, path, protocol=protocol)
    equal(read_legacy(path), joblib.load(path))


def test_fortran_order_and_one_array_alone(tmp_path):
    path = tmp_path / "bank.joblib"
    joblib.dump({4: np.asfortranarray(table(4)), 3: table(3)}, path)
    equal(read_legacy(path), joblib.load(path))
    joblib.dump(table(6), path)
    equal(read_legacy(path), {6: joblib.load(path)})


def test_numpy_files(tmp_path):
    np.save(tmp_path / "a.npy", table(7, dtype=np.float64))
    equal(read_legacy(tmp_path / "a.npy"), {7: table(7, dtype=np.float64)})
    np.savez(tmp_path / "a.npz", table(7), other=table(3))
    equal(read_legacy(tmp_path / "a.npz"), {7: table(7), 3: table(3)})
    np.savez_compressed(tmp_path / "a.npz", table(7))
    equal(read_legacy(tmp_path / "a.npz"), {7: table(7)})


def test_import_clips_and_says_where_banks_come_from(tmp_path):
    path = tmp_path / "bank.joblib"
    values = table(3)
    values[0, :2] = -1e-9
    joblib.dump({3: values, 2: table(2)}, path)
    two, three = import_legacy(path, KEY, dim=5, mpp=0.5)
    np.testing.assert_array_equal(two.vectors, table(2))
    np.testing.assert_array_equal(three.vectors, np.where(values < 0, 0, values))
    assert (three.encoder, three.mpp, len(three.names)) == (KEY, 0.5, 3)
    assert three.provenance["negative_entries_set_to_0"] == 2
    assert two.provenance["negative_entries_set_to_0"] == 0
    assert three.provenance["file"] == "bank.joblib"
    assert len(three.provenance["sha256"]) == 64
    assert "arXiv 2409.05697" in three.provenance["format"]
    assert "Apache-2.0" in three.provenance["licence"]


def test_import_needs_the_dimension_of_the_encoder(tmp_path):
    path = tmp_path / "bank.joblib"
    joblib.dump({3: table(3)}, path)
    with pytest.raises(BankMismatch, match=r"uni.*expected vectors of 1024 channels.*got 5"):
        import_legacy(path, KEY, dim=1024)


WRONG = {
    "rows": {4: table(3)},
    "text key": {"3": table(3)},
    "bool key": {True: table(1)},
    "one dimension": {5: table(5)[:, 0]},
    "NaN": {3: table(3) * np.float32(np.nan)},
    "too large": {3: table(3, dtype=np.float64) * 1e300},
    "complex": {3: table(3).astype(np.complex64)},
    "bools": {3: table(3) > 1},
    "dates": {3: table(3).astype("M8[s]")},
    "objects": {3: table(3).astype(object)},
    "records": {3: np.zeros((3, 2), [("a", "f4")])},
    "masked": {3: np.ma.masked_array(table(3))},
    "empty": {3: table(3)[:, :0]},
    "nothing": {},
    "list": [table(3)],
    "number": 3,
    "nested": {3: {3: table(3)}},
    "tuple": {3: (1, 2, 3)},
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_other_contents_are_refused(tmp_path, content):
    path = tmp_path / "bank.joblib"
    joblib.dump(content, path)
    with pytest.raises(BankError, match="cannot be imported"):
        read_legacy(path)


@pytest.mark.parametrize("array", [table(3).astype(object), table(3)[0], np.float32(3), table(3)[:0]])
def test_other_numpy_files_are_refused(tmp_path, array):
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        np.save(path, array) if path.suffix == ".npy" else np.savez(path, array)
        with pytest.raises(BankError, match="cannot be imported"):
            read_legacy(path)


def test_npz_of_two_tables_of_one_size_or_none(tmp_path):
    np.savez(tmp_path / "a.npz", table(3), table(3))
    with pytest.raises(BankError, match="same number of rows"):
        read_legacy(tmp_path / "a.npz")
    zipfile.ZipFile(tmp_path / "b.npz", "w").close()
    with pytest.raises(BankError, match="cannot be imported"):
        read_legacy(tmp_path / "b.npz")


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("histofactor.concepts.legacy.MAX_BYTES", 10_000)
    np.savez_compressed(tmp_path / "a.npz", np.zeros((3, 10_000), np.float32))
    with pytest.raises(BankError, match="more than 10000 bytes"):
        read_legacy(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.zeros((3, 10_000), np.float32))
    with pytest.raises(BankError, match="more than 10000"):
        read_legacy(tmp_path / "a.npy")


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_compressed_files_are_named(tmp_path, compress):
    joblib.dump({3: table(3)}, tmp_path / "bank.joblib", compress=compress)
    with pytest.raises(BankError, match=r"compressed.*compress=0"):
        read_legacy(tmp_path / "bank.joblib")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 50])
def test_files_of_other_kinds(tmp_path, content):
    (tmp_path / "bank.joblib").write_bytes(content)
    with pytest.raises(BankError, match="another kind"):
        read_legacy(tmp_path / "bank.joblib")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(BankError, match="no such file"):
        read_legacy(tmp_path / "none.joblib")
    with pytest.raises(BankError, match="a folder"):
        read_legacy(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }x(",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 5L), ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), 'a': '''",
        "{'descr': [('a', '<f4', (10**6,))], 'fortran_order': False, 'shape': (3, 5), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 99999999999999999999), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -5), }",
        "{'descr': '<U99999999', 'fortran_order': False, 'shape': (3, 5), }",
        "{'descr': {'names': 3}, 'fortran_order': False, 'shape': (3, 5), }",
        "{'descr': ('<f4', 7), 'fortran_order': False, 'shape': (3, 5), }",
        "  \n\t {",
        "-" * 9000,
        "(" * 9000,
        "{'descr': '<f4', 'fortran_order': 0 if 1else 2, 'shape': (3, 5), }",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_are_other_source(tmp_path, header, packed):
    text = header.encode()
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(60)
    path = tmp_path / "a"
    path.write_bytes(content)
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", content)
    with pytest.raises(BankError, match="cannot be imported"):
        read_legacy(path)


def test_small_archives_become_no_large_ones(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", np.zeros((3, 100 << 20), np.int8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BankError, match="arrays of more than"):
        read_legacy(tmp_path / "a.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 50_000


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_archives_are_packed_as_numpy_packs_them(tmp_path, packing):
    file = io.BytesIO()
    np.save(file, table(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", packing) as archive:
        archive.writestr("a.npy", file.getvalue())
    with pytest.raises(BankError, match="packed otherwise"):
        read_legacy(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(BankError, match="something else than arrays"):
        read_legacy(tmp_path / "b.npz")
