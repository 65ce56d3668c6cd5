"""Foreign concept banks: the paper's joblib files, ``.npy`` and ``.npz``, read without running anything in them."""

from __future__ import annotations

import hashlib
import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.joblib_file import not_importable, read_joblib
from histofactor.errors import BankMismatch
from histofactor.records import ConceptBank, EncoderKey, Float

MAX_BYTES = 1 << 25  # of a file, and of what it holds; 256 concepts of 16,384 channels take 2^24
_LICENCE = "not stated in the file; the paper's banks come from an Apache-2.0 repository"
# What NumPy raises on headers that are not its own: they are Python source, and directories of archives.
_DAMAGED = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, SyntaxError),
    *(OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
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
        tables = read_joblib(path, content)
    elif content.startswith(_COMPRESSED):
        mend = "load it where you trust it and write it again with joblib.dump(..., compress=0) or np.savez"
        raise not_importable(path, "a compressed file", mend)
    else:
        raise not_importable(path, "a file of another kind")
    if isinstance(tables, np.ndarray):
        tables = {len(tables) if tables.ndim else 0: tables}
    if not isinstance(tables, dict) or not tables:
        raise not_importable(path, "an empty dict" if isinstance(tables, dict) else f"a {type(tables).__name__}")
    return {k: _table(path, k, tables[k]) for k in tables}


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise not_importable(
            path, "a folder" if path.is_dir() else "no such file", "give the path of the file to import"
        )
    if path.stat().st_size > MAX_BYTES:
        raise not_importable(path, f"{path.stat().st_size} bytes, more than {MAX_BYTES}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise not_importable(path, error.strerror or str(error), "check that the file can be read") from error


def _read_numpy(path: Path, content: bytes) -> NDArray[Any] | dict[int, NDArray[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2, and source that damage has made odd
            if content.startswith(b"\x93NUMPY"):
                array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
                return array
            arrays = _unpacked(path, content)
    except _DAMAGED as error:
        raise not_importable(path, f"a damaged NumPy file, or one of objects ({error!s:.200})") from error
    tables = {len(array) if array.ndim else 0: array for array in arrays}
    if len(tables) < len(arrays):
        raise not_importable(path, "two arrays of the same number of rows")
    return tables


def _unpacked(path: Path, content: bytes) -> list[NDArray[Any]]:
    """The arrays of a ``.npz``, whose sizes are looked at before any is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise not_importable(path, f"arrays of more than {MAX_BYTES} bytes")
    if not all(entry.compress_type in _PACKED for entry in entries):
        raise not_importable(path, "arrays packed otherwise than NumPy packs them")
    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        arrays = [loaded[name] for name in loaded.files]
    if not all(isinstance(array, np.ndarray) for array in arrays):  # a file of another kind is its bytes
        raise not_importable(path, "an archive of something else than arrays")
    return arrays


def _table(path: Path, k: Any, table: Any) -> Float:
    if not isinstance(k, int) or isinstance(k, bool) or not isinstance(table, np.ndarray):
        raise not_importable(path, f"an entry of {type(k).__name__} to {type(table).__name__}")
    if table.ndim != 2 or len(table) != k or not table.size or table.dtype.kind not in "fiu":
        raise not_importable(path, f"an array of {table.dtype} {table.shape} for K = {k}")
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        values = np.array(table, np.float32, order="C")
    if not np.isfinite(values).all():
        raise not_importable(path, f"NaN, infinite or too large entries for K = {k}")
    return values
