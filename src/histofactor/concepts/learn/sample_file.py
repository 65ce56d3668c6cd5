"""The file of a sample: columns and a note in an archive of NumPy, and a digest that tells if all is as written."""

from __future__ import annotations

import errno
import hashlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.digests import DamagedError
from histofactor.base.files import atomic

_NOTE, _DIGEST = "note", "sha256"
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, SyntaxError, RuntimeError, ArithmeticError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip

Columns = Mapping[str, NDArray[Any]]


def write_columns(path: Path, note: str, columns: Columns) -> None:
    """Write columns with a note.

    Args:
        path: the file.
        note: any text.
        columns: by name.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic(path) as temporary, ThreadPoolExecutor(1) as beside, zipfile.ZipFile(temporary, "w") as members:
        digest = beside.submit(_digest, note, columns)
        for name, values in {_NOTE: np.array(note), **columns}.items():
            _write(members, name, values)
        _write(members, _DIGEST, np.array(digest.result()))


def read_columns(path: Path, names: Sequence[str]) -> tuple[str, dict[str, NDArray[Any]]]:
    """The note of a file that ``write_columns`` wrote, and its columns.

    Args:
        path: the file.
        names: all that it may hold, in their order.

    Returns:
        The note, and columns by name; those that it lacks are left out.

    Raises:
        DamagedError: the file is not as it was written.
    """
    with _opened(path) as file:
        note, digest = str(file[_NOTE]), str(file[_DIGEST])
        columns = {name: file[name] for name in names if name in file}
        if digest != _digest(note, columns):
            raise ValueError("its digest")
    return note, columns


def read_note(path: Path) -> str:
    """The note in a file that ``write_columns`` wrote.

    Raises:
        DamagedError: the file is not as it was written.
    """
    with _opened(path) as file:
        return str(file[_NOTE])


@contextmanager
def read_as_damage(path: Path) -> Iterator[None]:
    """Whatever reading what a file holds can fail with is damage.

    Raises:
        DamagedError: the block failed so.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the beginning of the file, as its directory says
            raise DamagedError(f"{path.name} is not as it was written") from error
        raise DamagedError(f"{path.name} cannot be read ({error.strerror or error})") from error
    except _UNREADABLE as error:
        raise DamagedError(f"{path.name} is not as it was written") from error


@contextmanager
def _opened(path: Path) -> Iterator[Columns]:
    with read_as_damage(path), path.open("rb") as file, np.load(file, allow_pickle=False) as held:
        yield held


def _write(members: zipfile.ZipFile, name: str, values: NDArray[Any]) -> None:
    with members.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, values, allow_pickle=False)


def _digest(note: str, columns: Columns) -> str:
    """SHA-256 of a note and of columns: names, kinds and values."""
    digest = hashlib.sha256(repr(note).encode())
    for name, values in columns.items():
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    return digest.hexdigest()
