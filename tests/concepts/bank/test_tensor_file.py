import json
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from histofactor.concepts.bank.tensor_file import MAX_HEADER, parse_json, read_tensors
from histofactor.errors import BankError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bank.safetensors"


def raw(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


def spans(*offsets, shape=(2, 2), dtype="F32", data=bytes(32)):
    """A file of one tensor for each pair of offsets."""
    header = {f"t{i}": {"dtype": dtype, "shape": shape, "data_offsets": span} for i, span in enumerate(offsets)}
    return raw(json.dumps(header).encode(), data)


class Trap:
    def __reduce__(self):
        return print, ("must not run",)


FOREIGN = {
    "empty": (b"", "an empty file"),
    "text": (b"concepts: 8\nencoder: uni\n", "a text file"),
    "pickle 4": (pickle.dumps(Trap(), 4), "concepts import FILE --encoder NAME"),
    "pickle 2": (pickle.dumps(Trap(), 2), "concepts import FILE --encoder NAME"),
    "npy": (b"\x93NUMPY\x01\x00v\x00{'descr'", "concepts import FILE --encoder NAME"),
    "npz": (b"PK\x03\x04" + b"\0" * 60, "concepts import FILE --encoder NAME"),
    "huge header": (struct.pack("<Q", 2**63) + b"{}", "damaged or foreign"),
    "long header": (struct.pack("<Q", 99_000_000) + b"{}", "damaged or foreign"),
    "short": (b"\x05\0", "damaged or foreign"),
    "noise": (np.random.default_rng(0).bytes(500), "damaged or foreign"),
}


@pytest.mark.parametrize(("content", "told"), FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_files_are_named(path, capsys, content, told):
    path.write_bytes(content)
    with pytest.raises(BankError) as error:
        read_tensors(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert capsys.readouterr().out == ""


def test_a_joblib_file_is_known_by_its_name(tmp_path):
    path = tmp_path / "uni.joblib"
    path.write_bytes(b"x\x9c" + bytes(range(60)))  # compressed
    with pytest.raises(BankError, match="concepts import FILE --encoder NAME"):
        read_tensors(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(BankError, match="no such file"):
        read_tensors(tmp_path / "none.safetensors")
    with pytest.raises(BankError, match="a folder"):
        read_tensors(tmp_path)


BIG = 2**63
HOSTILE = {
    "overlapping": spans([0, 16], [8, 24]),
    "the same": spans([0, 16], [0, 16]),
    "beyond the file": spans([0, 4096], [16, 32]),
    "backwards": spans([16, 0]),
    "negative": spans([-16, 0], [0, 16]),
    "with a hole": spans([0, 8], [16, 32], shape=[1, 2]),
    "overflowing offsets": spans([0, 2**64]),
    "offsets near the end of numbers": spans([2**64 - 17, 2**64 - 1]),
    "shape too large": spans([0, 16], [16, 32], shape=[2, 2**40]),
    "shape that overflows": spans([0, 16], [16, 32], shape=[BIG, BIG]),
    "shape that overflows to the right size": spans([0, 16], [16, 32], shape=[2**62 + 1, 4]),
    "shape that overflows to 0": spans([0, 0], shape=[BIG, 2], data=b""),
    "negative shape": spans([0, 16], [16, 32], shape=[-2, -2]),
    "fractional shape": spans([0, 16], [16, 32], shape=[2.0, 2]),
    "shape too small": spans([0, 16], [16, 32], shape=[1, 2]),
    "bytes left over": spans([0, 16]),
    "unknown type": spans([0, 16], [16, 32], dtype="OBJECT"),
    "no type": raw(b'{"t": {"shape": [2, 2], "data_offsets": [0, 16]}}', bytes(16)),
    "deep": raw(b'{"t": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep metadata": raw(b'{"__metadata__": ' + b'{"a": ' * 100_000 + b"1" + b"}" * 100_001),
    "metadata that is no text": raw(b'{"__metadata__": {"histofactor": {"banks": {}}}}'),
    "metadata twice": raw(b'{"__metadata__": {"a": "b"}, "__metadata__": {"a": "c"}}'),
    "a tensor twice": raw(
        b'{"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},'
        b' "t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        bytes(4),
    ),
    "not UTF-8": raw(b'{"\xff\xfe": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(4)),
    "half a surrogate": raw(b'{"__metadata__": {"a": "\\ud800"}}'),
    "a list": raw(b"[]"),
    "a number": raw(b"7"),
    "empty header": raw(b""),
    "not JSON": raw(b"{'t': 1}"),
    "long header": struct.pack("<Q", 90_000_000) + b'{"t": ' + bytes(300),
    "largest header": struct.pack("<Q", 2**64 - 1) + b'{"t": ' + bytes(300),
    "a type that NumPy lacks": spans([0, 8], shape=[2, 2], dtype="BF16", data=bytes(8)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_headers_are_refused_for_little_memory(path, content):
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(BankError, match="is not a concept bank"):
        read_tensors(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(content) + 1_000_000


def test_large_files_are_not_read(path, monkeypatch):
    monkeypatch.setattr("histofactor.concepts.bank.tensor_file.MAX_BYTES", 1000)
    path.write_bytes(bytes(1001))
    with pytest.raises(BankError, match="more than 1000"):
        read_tensors(path)


def test_tensors_and_metadata_as_they_were_written(path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, np.int8)}
    save_file(tensors, path, {"x": "µ"})
    metadata, found = read_tensors(path)
    assert metadata == {"x": "µ"}
    assert {name: (values.dtype, values.tolist()) for name, values in found.items()} == {
        name: (values.dtype, values.tolist()) for name, values in tensors.items()
    }
    save_file(tensors, path)
    assert read_tensors(path)[0] == {}


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", '{"a": 1, "a": 2}', "[" * 100_000, "", "{"])
def test_what_is_no_json(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_headers_have_a_limit(path):
    path.write_bytes(raw(b'{"__metadata__": {"a": "' + b" " * (MAX_HEADER + 1) + b'"}}', bytes(8)))
    with pytest.raises(BankError, match="more than 16777216"):
        read_tensors(path)
