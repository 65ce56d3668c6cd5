import io
import pickle
import struct
import zipfile

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper

from histofactor.concepts.legacy import import_legacy, read_legacy
from histofactor.errors import BankError, BankMismatch
from histofactor.records import EncoderKey

KEY = EncoderKey("uni", None, "blocks[-1]", "relu")


def table(k, channels=5, dtype=np.float32):
    return (np.random.default_rng(k).random((k, channels)) * 100).astype(dtype)


def equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for k, values in ours.items():
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert values.flags.writeable
        np.testing.assert_array_equal(values, theirs[k].astype(np.float32))


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


def test_files_of_old_joblib_have_no_padding(tmp_path):
    path = tmp_path / "bank.joblib"
    path.write_bytes(joblib_bytes(alignment=None))
    equal(read_legacy(path), joblib.load(path))


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


def joblib_bytes(shape=(2, 3), code="f4", order="C", alignment=16, byteorder="<", data=None):
    """A joblib file put together by hand, so that it can be wrong in one place."""

    def text(value):
        return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()

    def number(value):
        return pickle.dumps(value, 2)[2:-1]

    def name(module, attribute):
        return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    dtype = name("numpy", "dtype") + text(code) + pickle.NEWFALSE + pickle.NEWTRUE + pickle.TUPLE3 + pickle.REDUCE
    dtype += pickle.MARK + number(3) + text(byteorder) + pickle.NONE * 3 + number(-1) * 2 + number(0)
    dtype += pickle.TUPLE + pickle.BUILD
    sides = pickle.MARK + b"".join(number(side) for side in shape) + pickle.TUPLE
    head = pickle.PROTO + b"\4" + pickle.EMPTY_DICT + number(2)
    head += name("joblib.numpy_pickle", "NumpyArrayWrapper") + pickle.EMPTY_TUPLE + pickle.NEWOBJ + pickle.EMPTY_DICT
    head += pickle.MARK + text("subclass") + name("numpy", "ndarray") + text("shape") + sides
    head += text("order") + text(order) + text("dtype") + dtype + text("allow_mmap") + pickle.NEWFALSE
    if alignment is not None:
        head += text("numpy_array_alignment_bytes") + number(alignment)
    head += pickle.SETITEMS + pickle.BUILD
    padding = b"" if alignment is None else b"\3\xff\xff\xff"
    body = np.arange(1, 7, dtype="<f4").tobytes() if data is None else data
    return head + padding + body + pickle.SETITEM + pickle.STOP


def test_the_file_put_together_by_hand_is_right(tmp_path):
    path = tmp_path / "bank.joblib"
    path.write_bytes(joblib_bytes())
    equal(read_legacy(path), {2: np.arange(1, 7).reshape(2, 3)})
    assert joblib.load(path)[2].tolist() == [[1, 2, 3], [4, 5, 6]]


HANDMADE = {
    "huge": {"shape": (2, 2**40)},
    "overflowing": {"shape": (2, 2**63)},
    "overflowing to 0": {"shape": (2**32, 2**32)},
    "enormous": {"shape": (2, 2**2000)},
    "negative": {"shape": (-2, -3)},
    "minus one": {"shape": (2, -1)},
    "zero": {"shape": (2, 0)},
    "many sides": {"shape": (1,) * 1000},
    "float side": {"shape": (2.0, 3)},
    "no shape": {"shape": ()},
    "object": {"code": "O8"},
    "void": {"code": "V8"},
    "text": {"code": "U8"},
    "longdouble": {"code": "f16"},
    "expression": {"code": "f4,f4"},
    "order": {"order": "K"},
    "byte order": {"byteorder": "?"},
    "data short": {"data": b"1234"},
    "data missing": {"data": b""},
}


@pytest.mark.parametrize("changes", HANDMADE.values(), ids=HANDMADE.keys())
def test_arrays_that_cannot_be_are_refused_before_they_are_made(tmp_path, changes):
    (tmp_path / "bank.joblib").write_bytes(joblib_bytes(**changes))
    with pytest.raises(BankError, match="cannot be imported"):
        read_legacy(tmp_path / "bank.joblib")


def hostile(sentinel):
    """Pickles that create the file ``sentinel`` when a common unpickler loads them, or try to."""
    command = f"open({str(sentinel)!r}, 'w').close()"
    text = pickle.BINUNICODE + struct.pack("<I", len(command)) + command.encode()
    quoted = repr(command).encode() + b"\n"
    proto = pickle.PROTO + b"\2"

    def reduced(function, *arguments):
        class Trap:
            def __reduce__(self):
                return function, arguments

        return Trap()

    class State:
        def __reduce__(self):
            return NumpyArrayWrapper, (np.ndarray, (2, 3), "C", np.dtype("f4")), {"dtype": reduced(exec, command)}

    def call(module, name):
        return pickle.GLOBAL + f"{module}\n{name}\n".encode() + text + pickle.TUPLE1 + pickle.REDUCE

    yield "exec", pickle.dumps(reduced(exec, command))
    yield "exec in a dict", pickle.dumps({8: reduced(exec, command)})
    yield "exec as a key", proto + pickle.EMPTY_DICT + call("builtins", "exec") + b"K\1" + pickle.SETITEM + b"."
    yield "exec protocol 0", pickle.dumps(reduced(exec, command), 0)
    yield "exec protocol 0 with a header", proto + pickle.dumps(reduced(exec, command), 0)
    yield "eval", pickle.dumps(reduced(eval, command))
    yield "system", proto + call("os", "system") + b"."
    yield "posix", proto + call("posix", "system") + b"."
    yield "subprocess", proto + call("subprocess", "getoutput") + b"."
    yield "numpy runs text", proto + call("numpy.testing._private.utils", "runstring") + b"."
    yield "numpy f2py", proto + call("numpy.f2py.crackfortran", "getlincoef") + b"."
    yield "numpy dotted", proto + call("numpy", "f2py.os.system") + b"."
    yield "joblib loads", proto + call("joblib", "load") + b"."
    yield "joblib dotted", proto + call("joblib.numpy_pickle", "os.system") + b"."
    yield "called wrapper", proto + call("joblib.numpy_pickle", "NumpyArrayWrapper") + b"."
    yield "called ndarray", proto + call("numpy", "ndarray") + b"."
    yield "called dtype", proto + call("numpy", "dtype") + b"."
    yield "state of a wrapper", pickle.dumps(State())
    yield "stack global", proto + b"\x8c\2os\x8c\6system\x93" + text + pickle.TUPLE1 + pickle.REDUCE + b"."
    yield "stack global of numbers", proto + b"K\1K\2\x93" + text + pickle.TUPLE1 + pickle.REDUCE + b"."
    yield "inst", proto + pickle.MARK + text + pickle.INST + b"builtins\nexec\n."
    yield "obj", proto + pickle.MARK + pickle.GLOBAL + b"builtins\nexec\n" + text + pickle.OBJ + b"."
    yield "newobj", proto + pickle.GLOBAL + b"builtins\nexec\n" + text + pickle.TUPLE1 + pickle.NEWOBJ + b"."
    yield "newobj_ex", proto + pickle.GLOBAL + b"builtins\nexec\n" + text + pickle.TUPLE1 + b"}\x92."
    yield "ext", proto + pickle.EXT1 + b"\1" + text + pickle.TUPLE1 + pickle.REDUCE + b"."
    yield "ext4", proto + pickle.EXT4 + b"\1\0\0\0" + text + pickle.TUPLE1 + pickle.REDUCE + b"."
    yield "persistent", proto + text + pickle.BINPERSID + b"."
    yield "persistent text", proto + pickle.PERSID + quoted + b"."
    yield "build on text", proto + text + pickle.EMPTY_DICT + pickle.BUILD + b"."
    yield "build on a dict", proto + pickle.EMPTY_DICT + pickle.EMPTY_DICT + pickle.BUILD + b"."
    yield "getattr", proto + pickle.GLOBAL + b"builtins\ngetattr\n" + text + text + pickle.TUPLE2 + pickle.REDUCE + b"."
    yield "buffer", proto + pickle.NEXT_BUFFER + b"."
    yield (
        "set state",
        proto + pickle.GLOBAL + b"numpy\nndarray\n)\x81}\x8c\x0c__setstate__" + call("os", "system") + b"sb.",
    )


def test_nothing_in_a_file_runs(tmp_path):
    sentinel = tmp_path / "ran"
    path = tmp_path / "bank.joblib"
    seen = 0
    for name, content in hostile(sentinel):
        path.write_bytes(content)
        with pytest.raises(BankError, match=r"cannot be imported") as error:
            read_legacy(path)
        assert not sentinel.exists(), name
        assert "damaged" not in str(error.value), name
        seen += 1
    assert seen == 33


def test_the_traps_do_spring_elsewhere(tmp_path):
    sentinel = tmp_path / "ran"
    for name, content in hostile(sentinel):
        if name in {"exec", "exec in a dict", "exec protocol 0 with a header", "inst", "obj", "state of a wrapper"}:
            pickle.loads(content)
            assert sentinel.exists(), name
            sentinel.unlink()


def test_hostile_names_after_an_array_are_refused(tmp_path):
    raw = joblib_bytes()
    (tmp_path / "bank.joblib").write_bytes(raw[:-2] + pickle.GLOBAL + b"os\nsystem\n" + raw[-2:])
    with pytest.raises(BankError, match=r"names os\.system, which could run code"):
        read_legacy(tmp_path / "bank.joblib")


DAMAGED = {
    "memo": b"h\5.",
    "empty stack": b"\x86.",
    "empty at stop": b".",
    "no mark": b"t.",
    "items without dict": b"K\1K\2K\3s.",
    "odd items": b"}(K\1u.",
    "tuple as key": b"})K\1s.",
    "long text": b"X\xff\xff\xff\xffab.",
    "bad text": b"X\2\0\0\0\xff\xfe.",
    "unknown opcode": b"\xff.",
    "no stop": b"K\1",
    "doubling tuples as key": b"})" + b"q\0h\0\x86" * 500 + b"K\1s.",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_pickles(tmp_path, content):
    (tmp_path / "bank.joblib").write_bytes(b"\x80\4" + content)
    with pytest.raises(BankError, match="damaged pickle"):
        read_legacy(tmp_path / "bank.joblib")


def test_doubling_tuples_cost_nothing(tmp_path):
    bomb = b")" + b"q\0h\0\x86" * 5000
    dtype = b"cnumpy\ndtype\n\x8c\2f4\x89\x88\x87R"
    for content in (bomb, b"}K\1" + bomb + b"s", dtype + b"(K\3" + bomb + b"tb", b"cnumpy\ndtype\n" + bomb + b"R"):
        (tmp_path / "bank.joblib").write_bytes(b"\x80\4" + content + b".")
        with pytest.raises(BankError):
            read_legacy(tmp_path / "bank.joblib")


def test_long_programs_are_stopped(tmp_path):
    (tmp_path / "bank.joblib").write_bytes(b"\x80\4)" + b"\x94" * 200_000 + b".")
    with pytest.raises(BankError, match="more than 100000 steps"):
        read_legacy(tmp_path / "bank.joblib")


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "bank.joblib"
    files = [joblib_bytes()]
    for save in (
        joblib.dump,
        lambda tables, file: np.savez(file, tables[3]),
        lambda tables, file: np.save(file, tables[3]),
    ):
        file = io.BytesIO()
        save({3: table(3)}, file)
        files.append(file.getvalue())
    for raw in files:
        for end in range(len(raw)):
            path.write_bytes(raw[:end])
            with pytest.raises(BankError):
                read_legacy(path)


def test_every_flipped_byte_gives_numbers_or_a_bank_error(tmp_path):
    path = tmp_path / "bank.joblib"
    file = io.BytesIO()
    joblib.dump({3: table(3)}, file)
    for raw in (file.getvalue(), joblib_bytes()):
        for place in range(len(raw)):
            for flip in (1, 0xFF):
                path.write_bytes(raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :])
                try:
                    tables = read_legacy(path)
                except BankError:
                    continue
                assert all(values.dtype == np.float32 for values in tables.values())
