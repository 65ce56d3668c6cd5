"""Safetensors files of unknown origin: read whole, or refused with what they are instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from histofactor.errors import BankError

MAX_BYTES = 1 << 27  # 256 concepts of 1536 channels take 1.5 MB
MAX_HEADER = 1 << 24  # bytes; a note of a slide takes 150, and so does a typical token
REWRITE = "write the bank again, or get a fresh copy"
_IMPORT = "convert it with: histofactor concepts import FILE --encoder NAME -o BANK"
_GIVE = "give the path of a bank that histofactor wrote"


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Read metadata and tensors; nothing is allocated beyond the size of the file.

    Args:
        path: the file.

    Returns:
        The metadata by name, and the tensors by name.

    Raises:
        BankError: it is missing, too large, damaged, or something else.
    """
    content = _content(path)
    size = int.from_bytes(content[:8], "little")
    if MAX_HEADER < size < len(content):
        raise not_a_bank(path, f"a header of {size} bytes, more than {MAX_HEADER}", REWRITE)
    try:
        tensors = load(content)
        metadata = parse_json(content[8 : 8 + size]).get("__metadata__")
    except SafetensorError as error:
        raise not_a_bank(path, *_diagnose(path, content, error)) from error
    except KeyError as error:
        raise not_a_bank(path, f"a tensor of type {error}, which NumPy lacks", REWRITE) from error
    except ValueError as error:
        raise not_a_bank(path, f"a damaged header ({error})", REWRITE) from error
    return metadata or {}, tensors


def parse_json(text: str | bytes) -> Any:
    """Parse JSON in which no key is there twice (of two banks of one K, which is it?) and every number is one.

    Raises:
        ValueError: it is no such JSON, or too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("too deep") from error


def not_a_bank(path: Path, got: str, mend: str) -> BankError:
    """The error for a file that is not a concept bank."""
    return BankError(f"{path} is not a concept bank", expected="a safetensors file of histofactor", got=got, mend=mend)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise not_a_bank(path, "a folder" if path.is_dir() else "no such file", _GIVE)
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise not_a_bank(path, f"{size} bytes, more than {MAX_BYTES}" if size else "an empty file", REWRITE)
    try:
        return path.read_bytes()
    except OSError as error:
        raise not_a_bank(path, f"{error.strerror or error}", "check that the file can be read") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.80} is there twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _diagnose(path: Path, content: bytes, error: SafetensorError) -> tuple[str, str]:
    """Say what a file that is not safetensors is instead, and what to do about it."""
    head = content[:256]
    if (head[0] == 0x80 and head[1:2] <= b"\x05") or path.suffix in {".joblib", ".pkl", ".pickle"}:
        return "a pickle, which could run code and is not opened here", _IMPORT
    if head.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return "a NumPy file", _IMPORT
    if all(byte >= 0x20 or byte in b"\t\r\n" for byte in head):
        return "a text file", _GIVE
    return f"a damaged or foreign file ({error})", REWRITE
