"""Joblib files of unknown origin, read without running anything in them.

A joblib file is a pickle with raw array bytes between its opcodes, and a pickle is a program. The reader here is an
interpreter of the few opcodes that a dict of arrays needs. It imports no name and calls no object that the file
names: the three names it knows stand for inert records, and everything else is refused before it takes effect.
"""

from __future__ import annotations

import io
import math
import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import BankError

MAX_STEPS = 100_000  # a bank of six K takes 150
# What opcodes raise whose arguments are not what they should be.
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)


def not_importable(path: Path, got: str, mend: str = "") -> BankError:
    """The error for a file that cannot be imported."""
    return BankError(
        f"{path} cannot be imported as a concept bank",
        expected="a joblib, .npy or .npz file with arrays (K, channels)",
        got=got,
        mend=mend or "write the arrays to a .npz with np.savez and import that",
    )


def read_joblib(path: Path, content: bytes) -> Any:
    """What an uncompressed joblib file holds, as far as it is made of numbers, texts, tuples, dicts and arrays.

    Args:
        path: of the file, for messages.
        content: all its bytes, which the arrays share.

    Raises:
        BankError: it is damaged, holds anything else, or would run code.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes that damage has made of other text
        return _Reader(path, content).read()


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
                    raise not_importable(self.path, "a truncated or damaged pickle")
                if opcode.name == "STOP":
                    return self.stack.pop()
                if opcode.name not in _OPCODES:
                    raise not_importable(self.path, f"a pickle with {opcode.name}, which could run code")
                argument = opcode.arg.reader(self.file) if opcode.arg else None
                _OPCODES[opcode.name](self, argument)
        except _DAMAGED as error:
            raise not_importable(self.path, f"a truncated or damaged pickle ({error})") from error
        raise not_importable(self.path, f"a pickle of more than {MAX_STEPS} steps")

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
            raise not_importable(self.path, f"a pickle that names {told:.100}, which could run code and was refused")
        self.push(found)

    def make(self) -> None:
        """NEWOBJ and REDUCE: a wrapper without arguments, or the type of a number."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if name == _WRAPPER and arguments == ():
            self.push(_Wrapper())
        elif name == _DTYPE and isinstance(arguments, tuple) and arguments[0] in _NUMBERS:
            self.push(_DType(arguments[0]))
        else:
            raise not_importable(self.path, "a pickle that makes objects other than arrays of numbers")

    def build(self) -> None:
        """BUILD: the byte order of a number type, or the array that a wrapper announces."""
        state, target = self.stack.pop(), self.stack.pop()
        if isinstance(target, _Wrapper) and isinstance(state, dict):
            self.push(self.array(state))
        elif isinstance(target, _DType) and isinstance(state, tuple) and state[1] in ("<", ">", "|"):
            target.order = state[1]
            self.push(target)
        else:
            raise not_importable(self.path, "a pickle that sets the state of other objects than arrays")

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
