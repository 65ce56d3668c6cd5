"""Foreign concept banks: the paper's joblib files, ``.npy`` and ``.npz``, read without running anything in them.

A joblib file is a pickle with raw array bytes between its opcodes, and a pickle is a program. The reader here is an
interpreter of the few opcodes that a dict of arrays needs. It imports no name and calls no object that the file
names: the three names it knows stand for inert records, and everything else is refused before it takes effect.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.record import new_bank
from histofactor.errors import BankError, BankMismatch
from histofactor.records import ConceptBank, EncoderKey, Float

MAX_BYTES = 1 << 30
MAX_STEPS = 100_000  # a bank of six K takes 150
_LICENCE = "not stated in the file; the paper's banks come from an Apache-2.0 repository"
_DAMAGED = (ValueError, TypeError, OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\0\0", b"\x04\x22M\x18", b"x\x01", b"x^", b"x\x9c", b"x\xda")


def import_legacy(path: str | Path, encoder: EncoderKey, *, dim: int, mpp: float | None = None) -> list[ConceptBank]:
    """Turn a foreign file into banks of the features that it is said to belong to.

    Negative entries become 0, as in the F-SEG reference package; ``provenance`` says how many.

    Args:
        path: a file as ``read_legacy`` takes it.
        encoder: the features the vectors were learned on; a foreign file does not say.
        dim: channels of those features.
        mpp: µm/px of those features, or None if not known.

    Returns:
        One bank per K, ascending.

    Raises:
        BankError: the file is not as ``read_legacy`` takes it, or its vectors do not make a bank.
        BankMismatch: its vectors have another dimension than the encoder's features.
    """
    path = Path(path)
    tables = read_legacy(path)
    banks = []
    for k, table in sorted(tables.items()):
        if table.shape[1] != dim:
            raise BankMismatch(
                f"{path} belongs to other features than those of {encoder.name}",
                expected=f"vectors of {dim} channels",
                got=f"{table.shape[1]} for K = {k}",
                mend="name the encoder that the file was made with",
            )
        provenance = {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "format": "as the banks published with arXiv 2409.05697",
            "licence": _LICENCE,
            "negative_entries_set_to_0": int((table < 0).sum()),
        }
        banks.append(new_bank(np.maximum(table, 0), encoder, mpp=mpp, provenance=provenance))
    return banks


def read_legacy(path: str | Path) -> dict[int, Float]:
    """Read the concept vectors of a joblib, ``.npy`` or ``.npz`` file, running nothing in it.

    Args:
        path: an uncompressed joblib file with an array (K, C) or, as the paper's, a dict of K to such arrays;
            a ``.npy`` with (K, C); or a ``.npz`` with such arrays, each of another K.

    Returns:
        K to (K, C) float32; values as in the file.

    Raises:
        BankError: the file cannot be read, holds anything but such arrays, or would run code.
    """
    path = Path(path)
    content = _content(path)
    if content.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        tables = _read_numpy(path, content)
    elif content.startswith(b"\x80"):
        tables = _Reader(path, content).read()
    elif content.startswith(_COMPRESSED):
        mend = "load it where you trust it and write it again with joblib.dump(..., compress=0) or np.savez"
        raise _refuse(path, "a compressed file", mend)
    else:
        raise _refuse(path, "a file of another kind")
    if isinstance(tables, np.ndarray):
        tables = {len(tables) if tables.ndim else 0: tables}
    if not isinstance(tables, dict) or not tables:
        raise _refuse(path, "an empty dict" if isinstance(tables, dict) else f"a {type(tables).__name__}")
    return {k: _table(path, k, tables[k]) for k in tables}


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise _refuse(path, "a folder" if path.is_dir() else "no such file", "give the path of the file to import")
    if path.stat().st_size > MAX_BYTES:
        raise _refuse(path, f"{path.stat().st_size} bytes, more than {MAX_BYTES}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refuse(path, error.strerror or str(error), "check that the file can be read") from error


def _read_numpy(path: Path, content: bytes) -> NDArray[Any] | dict[int, NDArray[Any]]:
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        if sum(entry.file_size for entry in loaded.zip.filelist) > MAX_BYTES:
            raise _refuse(path, f"arrays of more than {MAX_BYTES} bytes")
        arrays = [loaded[name] for name in loaded.files]
    except _DAMAGED as error:
        raise _refuse(path, f"a damaged NumPy file, or one of objects ({error})") from error
    tables = {len(array) if array.ndim else 0: array for array in arrays}
    if len(tables) < len(arrays):
        raise _refuse(path, "two arrays of the same number of rows")
    return tables


def _table(path: Path, k: Any, table: Any) -> Float:
    if not isinstance(k, int) or isinstance(k, bool) or not isinstance(table, np.ndarray):
        raise _refuse(path, f"an entry of {type(k).__name__} to {type(table).__name__}")
    if table.ndim != 2 or len(table) != k or not table.size or table.dtype.kind not in "fiu":
        raise _refuse(path, f"an array of {table.dtype} {table.shape} for K = {k}")
    with np.errstate(over="ignore"):  # refused below
        values = np.array(table, np.float32, order="C")
    if not np.isfinite(values).all():
        raise _refuse(path, f"NaN, infinite or too large entries for K = {k}")
    return values


def _refuse(path: Path, got: str, mend: str = "") -> BankError:
    return BankError(
        f"{path} cannot be imported as a concept bank",
        expected="a joblib, .npy or .npz file with arrays (K, channels)",
        got=got,
        mend=mend or "write the arrays to a .npz with np.savez and import that",
    )


@dataclass(frozen=True, slots=True)
class _Name:
    """Stands for what the pickle names; never imported, never called."""

    module: str
    name: str


@dataclass(slots=True)
class _DType:
    """Stands for a NumPy number type."""

    code: str
    order: str = "<"


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """Stands for joblib's wrapper, whose state says what array the following bytes are."""


_WRAPPER = _Name("joblib.numpy_pickle", "NumpyArrayWrapper")
_NDARRAY = _Name("numpy", "ndarray")
_DTYPE = _Name("numpy", "dtype")
_MARK = object()
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
_BY_CODE = {opcode.code: opcode for opcode in pickletools.opcodes}


class _Reader:
    """An interpreter of joblib files that knows ints, strings, tuples, dicts, arrays and the records above.

    Opcodes: https://docs.python.org/3/library/pickletools.html. Array bytes: after the BUILD of a wrapper come,
    where its state has ``numpy_array_alignment_bytes``, one byte n and n bytes of padding, then the array.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        self.file = io.BytesIO(content)
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """Run to STOP and return the value on top."""
        try:
            for _ in range(MAX_STEPS):
                opcode = _BY_CODE.get(self.file.read(1).decode("latin-1"))
                if opcode is None:
                    raise _refuse(self.path, "a truncated or damaged pickle")
                if opcode.name == "STOP":
                    return self.stack.pop()
                if opcode.name not in _OPCODES:
                    raise _refuse(self.path, f"a pickle with {opcode.name}, which could run code and was refused")
                argument = opcode.arg.reader(self.file) if opcode.arg else None
                _OPCODES[opcode.name](self, argument)
        except (ValueError, IndexError, KeyError) as error:
            raise _refuse(self.path, f"a truncated or damaged pickle ({error})") from error
        raise _refuse(self.path, f"a pickle of more than {MAX_STEPS} steps")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_to_mark(self) -> list[Any]:
        items = []
        while (value := self.stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def tuple_of(self, size: int) -> None:
        self.push(tuple([self.stack.pop() for _ in range(size)][::-1]))

    def memoize(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, int | str) for key in items[::2]):
            raise ValueError("items of something else than a dict of ints or strings")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def name(self, module: Any, name: Any) -> None:
        found = _Name(module, name) if isinstance(module, str) and isinstance(name, str) else None
        if found not in (_WRAPPER, _NDARRAY, _DTYPE):
            told = f"{module}.{name}" if found else "no name"
            raise _refuse(self.path, f"a pickle that names {told:.100}, which could run code and was refused")
        self.push(found)

    def make(self) -> None:
        """NEWOBJ and REDUCE: a wrapper without arguments, or the type of a number."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if name == _WRAPPER and arguments == ():
            self.push(_Wrapper())
        elif name == _DTYPE and isinstance(arguments, tuple) and arguments[0] in _NUMBERS:
            self.push(_DType(arguments[0]))
        else:
            raise _refuse(self.path, "a pickle that makes objects other than arrays of numbers, which was refused")

    def build(self) -> None:
        """BUILD: the byte order of a number type, or the array that a wrapper announces."""
        state, target = self.stack.pop(), self.stack.pop()
        if isinstance(target, _Wrapper) and isinstance(state, dict):
            self.push(self.array(state))
        elif isinstance(target, _DType) and isinstance(state, tuple) and state[1] in ("<", ">", "|"):
            target.order = state[1]
            self.push(target)
        else:
            raise _refuse(self.path, "a pickle that sets the state of other objects than arrays, which was refused")

    def array(self, state: dict[Any, Any]) -> NDArray[Any]:
        shape, dtype, order = state["shape"], state["dtype"], state["order"]
        if state["subclass"] != _NDARRAY or not isinstance(dtype, _DType) or order not in ("C", "F"):
            raise ValueError("an array without type or order")
        if not isinstance(shape, tuple) or len(shape) != 2 or not all(type(side) is int and side > 0 for side in shape):
            raise ValueError("an array that is not of shape (K, channels)")
        if state.get("numpy_array_alignment_bytes") is not None:
            self.file.seek(self.file.read(1)[0], io.SEEK_CUR)
        number, count, start = np.dtype(dtype.order + dtype.code), math.prod(shape), self.file.tell()
        end = start + count * number.itemsize
        if end > len(self.content):
            raise ValueError(f"an array of {count} numbers, longer than the file")
        self.file.seek(end)
        return np.frombuffer(self.content, number, count, start).reshape(shape, order=order)


_OPCODES: dict[str, Callable[[_Reader, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda reader, value: None),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"), _Reader.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Reader.memoize),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda reader, place: reader.push(reader.memo[place])),
    **dict.fromkeys(("NEWOBJ", "REDUCE"), lambda reader, _: reader.make()),
    "MEMOIZE": lambda reader, _: reader.memoize(len(reader.memo)),
    "MARK": lambda reader, _: reader.push(_MARK),
    "NONE": lambda reader, _: reader.push(None),
    "NEWTRUE": lambda reader, _: reader.push(True),
    "NEWFALSE": lambda reader, _: reader.push(False),
    "EMPTY_DICT": lambda reader, _: reader.push({}),
    "EMPTY_TUPLE": lambda reader, _: reader.push(()),
    "TUPLE1": lambda reader, _: reader.tuple_of(1),
    "TUPLE2": lambda reader, _: reader.tuple_of(2),
    "TUPLE3": lambda reader, _: reader.tuple_of(3),
    "TUPLE": lambda reader, _: reader.push(tuple(reader.pop_to_mark())),
    "SETITEM": lambda reader, _: reader.set_items([reader.stack.pop(-2), reader.stack.pop()]),
    "SETITEMS": lambda reader, _: reader.set_items(reader.pop_to_mark()),
    "GLOBAL": lambda reader, line: reader.name(*line.partition(" ")[::2]),
    "STACK_GLOBAL": lambda reader, _: reader.name(reader.stack.pop(-2), reader.stack.pop()),
    "BUILD": lambda reader, _: reader.build(),
}
