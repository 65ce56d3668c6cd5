"""Joblib files: arrays are read as joblib reads them, nothing runs, and damage is told."""

import io
import pickle
import resource
import struct
import time
from contextlib import suppress

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper

from bank_tables import equal, table
from histofactor.concepts.legacy import read_legacy
from histofactor.errors import BankError
from spoiled import mutated

LETTERS = b"0123456789(),'<>:{}[]xL\\\n\x00\xff"


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


def test_damaged_files_give_numbers_or_a_bank_error(tmp_path):
    rng, path = np.random.default_rng(11), tmp_path / "bank"
    files = [joblib_bytes()]
    for save in (
        joblib.dump,
        lambda tables, file: np.savez(file, tables[3]),
        lambda tables, file: np.savez_compressed(file, tables[3]),
        lambda tables, file: np.save(file, tables[3]),
    ):
        file = io.BytesIO()
        save({3: table(3)}, file)
        files.append(file.getvalue())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(3000):
        path.write_bytes(mutated(files[number % len(files)], rng, head=150, longest=20, letters=LETTERS))
        started = time.perf_counter()
        with suppress(BankError):
            assert all(values.dtype == np.float32 for values in read_legacy(path).values())
        assert time.perf_counter() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 500_000


def test_files_of_old_joblib_have_no_padding(tmp_path):
    path = tmp_path / "bank.joblib"
    path.write_bytes(joblib_bytes(alignment=None))
    equal(read_legacy(path), joblib.load(path))
