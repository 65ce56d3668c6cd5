"""Concept banks on disk: one safetensors file holds a ``ConceptBank`` for every K.

Layout, version 2: a float32 tensor ``k8/vectors`` (K, d) per K, ``k8/leaves`` (M, d) where concepts are unions of finer
ones, and one metadata entry ``histofactor`` with JSON: ``format_version``, ``encoder`` (name, revision, layer,
transform), ``mpp``, ``card`` (what is true of all K), and in ``banks`` per K ``names``, ``colors``, ``parents``,
``provenance`` and ``owners`` of the leaves. Version 1 had neither leaves nor a card. Fields that this version does not
know survive reading and writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from histofactor.concepts.bank import invalid, is_a, validate_bank
from histofactor.errors import BankError, OptionError
from histofactor.export.files import atomic
from histofactor.records import ConceptBank, EncoderKey, Float, Leaves

FORMAT_VERSION = 2
DEFAULT_K = 16
_ENTRY = "histofactor"
_FIELDS = ("names", "colors", "parents", "provenance")
_KNOWN = ("format_version", "encoder", "mpp", "card", "banks")
_IMPORT = "convert it with: histofactor concepts import FILE --encoder NAME -o BANK"
_GIVE = "give the path of a bank that histofactor wrote"
_REWRITE = "write the bank again, or get a fresh copy"


@dataclass(frozen=True, slots=True)
class BankFile:
    """All that a file holds.

    Attributes:
        banks: by K, ascending.
        card: what is true of all K: data, counts, hashes, seeds, licence; JSON types only.
        unknown: fields that this version does not know, kept for those that do.
        unknown_by_k: the same within the entry of a K.
    """

    banks: dict[int, ConceptBank]
    card: Mapping[str, Any] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)
    unknown_by_k: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def save_bank(banks: Sequence[ConceptBank], path: str | Path, card: Mapping[str, Any] | None = None) -> None:
    """Write banks of one encoder and one resolution, one for every K, to one file.

    Args:
        banks: at least one, each of another K, with equal ``encoder`` and ``mpp``; in any order.
        path: the file, by custom ``NAME.safetensors``; replaced if it exists.
        card: what is true of all of them; JSON types only.

    Raises:
        BankError: a bank is not valid or the banks do not belong together.
        OutputError: the file cannot be written.
    """
    by_k = {len(bank.names): bank for bank in sorted(banks, key=lambda bank: len(bank.names))}
    if not banks or len(by_k) < len(banks):
        got = f"K = {[len(bank.names) for bank in banks]}"
        raise invalid("file", "one bank for every K, at least one", got)
    write_bank_file(BankFile(by_k, card or {}), path)


def write_bank_file(file: BankFile, path: str | Path) -> None:
    """Write all that a file holds.

    Args:
        file: with at least one bank, all of equal ``encoder`` and ``mpp``.
        path: the file; replaced if it exists.

    Raises:
        BankError: a bank is not valid or the banks do not belong together.
        OutputError: the file cannot be written.
    """
    banks = list(file.banks.values())
    for bank in banks:
        validate_bank(bank)
    if len({(bank.encoder, bank.mpp, bank.vectors.shape[1]) for bank in banks}) > 1:
        raise invalid("file", "banks of one encoder, mpp and dimension", f"{[bank.encoder for bank in banks]}")
    header = {
        **file.unknown,
        "format_version": FORMAT_VERSION,
        "encoder": asdict(banks[0].encoder),
        "mpp": banks[0].mpp,
        "card": dict(file.card),
        "banks": {k: {**file.unknown_by_k.get(k, {}), **_entry_of(bank)} for k, bank in file.banks.items()},
    }
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid("provenance or card", "JSON types only", str(error)) from error
    tensors = {f"k{k}/vectors": np.ascontiguousarray(bank.vectors) for k, bank in file.banks.items()}
    leaves = {f"k{k}/leaves": bank.leaves for k, bank in file.banks.items()}
    tensors |= {name: np.ascontiguousarray(one.vectors) for name, one in leaves.items() if one is not None}
    with atomic(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={_ENTRY: text}))


def load_bank(path: str | Path, k: int | None = None) -> ConceptBank:
    """Read the bank of one K.

    Args:
        path: a file that ``save_bank`` wrote.
        k: number of concepts; None takes the only K, else 16 if the file has it, else the smallest.

    Returns:
        The bank.

    Raises:
        OptionError: ``k`` is not a positive integer.
        BankError: the file is not a valid bank or lacks this K.
    """
    if k is not None and not (is_a(int, k) and k > 0):
        raise OptionError("k is not a number of concepts", expected="an integer ≥ 1", got=f"{k!r}")
    banks = load_banks(path)
    if k is None:
        k = DEFAULT_K if DEFAULT_K in banks else min(banks)
    if k not in banks:
        has = ", ".join(map(str, banks))
        raise BankError(f"{path} has no bank of K = {k}", mend=f"choose K from {has}")
    return banks[k]


def load_banks(path: str | Path) -> dict[int, ConceptBank]:
    """Read every bank of a file, by K, ascending; errors as ``read_bank_file``."""
    return read_bank_file(path).banks


def read_bank_file(path: str | Path) -> BankFile:
    """Read all that a file holds.

    Args:
        path: a file that ``save_bank`` wrote.

    Raises:
        BankError: the file is missing, not a bank, of a newer version, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise _not_a_bank(path, "a folder" if path.is_dir() else "no such file", _GIVE)
    if not path.stat().st_size:
        raise _not_a_bank(path, "an empty file", _REWRITE)
    try:
        with safe_open(path, framework="numpy") as file:
            header = _parse(path, (file.metadata() or {}).get(_ENTRY))
            vectors = {k: _read_tensor(path, file, f"k{k}/vectors", k) for k in sorted(header["banks"])}
            merged = [k for k in vectors if f"k{k}/leaves" in file.keys()]  # noqa: SIM118 (the handle is no mapping)
            leaves = {k: _read_tensor(path, file, f"k{k}/leaves", None) for k in merged}
    except SafetensorError as error:
        raise _not_a_bank(path, *_diagnose(path, error)) from error
    except OSError as error:
        raise _not_a_bank(path, f"{error.strerror or error}", "check that the file can be read") from error
    try:
        encoder = EncoderKey(*(header["encoder"][field] for field in ("name", "revision", "layer", "transform")))
        entries = header["banks"]
        banks = {k: _build(vectors[k], encoder, header["mpp"], entries[k]) for k in vectors}
        banks = {k: _with_leaves(bank, leaves.get(k), entries[k].get("owners")) for k, bank in banks.items()}
        unknown = {k: _without(entry, (*_FIELDS, "owners")) for k, entry in entries.items()}
        return BankFile(banks, dict(header.get("card") or {}), _without(header, _KNOWN), unknown)
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_bank(path, f"damaged metadata ({type(error).__name__}: {error})", _REWRITE) from error
    except BankError as error:
        raise BankError(f"{path}: {error.what}", expected=error.expected, got=error.got, mend=_REWRITE) from error


def _build(vectors: Float, encoder: EncoderKey, mpp: float | None, entry: dict[str, Any]) -> ConceptBank:
    colors = tuple(tuple(color) for color in entry["colors"])
    parents = None if entry["parents"] is None else tuple(entry["parents"])
    bank = ConceptBank(vectors, encoder, tuple(entry["names"]), colors, mpp, parents, dict(entry["provenance"]))
    validate_bank(bank)
    return bank


def _with_leaves(bank: ConceptBank, vectors: Float | None, owners: list[int] | None) -> ConceptBank:
    if vectors is None and owners is None:
        return bank
    if vectors is None or owners is None:
        raise invalid("leaves", "vectors and owners", "one without the other")
    bank = replace(bank, leaves=Leaves(vectors, tuple(owners)))
    validate_bank(bank)
    return bank


def _without(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


def _entry_of(bank: ConceptBank) -> dict[str, Any]:
    owners = None if bank.leaves is None else bank.leaves.owners
    return {**{field: getattr(bank, field) for field in _FIELDS}, "owners": owners}


def _parse(path: Path, text: str | None) -> dict[str, Any]:
    """Read the metadata entry; the keys of ``banks`` become integers."""
    if text is None:
        raise _not_a_bank(path, "a safetensors file of something else (weights?)", "give a concept bank")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_a_bank(path, "metadata that is not JSON", _REWRITE) from error
    if not isinstance(header, dict) or not is_a(int, header.get("format_version")):
        raise _not_a_bank(path, "metadata without format_version", _REWRITE)
    if header["format_version"] not in range(1, FORMAT_VERSION + 1):
        got = f"format_version {header['format_version']}, where this histofactor reads up to {FORMAT_VERSION}"
        raise _not_a_bank(path, got, "update histofactor")
    entries = header.get("banks")
    if not isinstance(entries, dict) or not entries or not all(re.fullmatch("[1-9][0-9]{0,5}", k) for k in entries):
        raise _not_a_bank(path, "metadata that lists no banks by K", _REWRITE)
    return {**header, "banks": {int(k): entry for k, entry in entries.items()}}


def _read_tensor(path: Path, file: Any, name: str, rows: int | None) -> Float:
    if name not in file.keys():  # noqa: SIM118 (the handle is no mapping)
        raise _not_a_bank(path, f"no tensor {name}", _REWRITE)
    tensor = file.get_slice(name)
    shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
    if dtype != "F32" or len(shape) != 2 or rows not in (None, shape[0]):
        raise _not_a_bank(path, f"tensor {name} of {dtype} {shape}, not F32 ({rows or 'M'}, d)", _REWRITE)
    return np.asarray(file.get_tensor(name), np.float32)


def _diagnose(path: Path, error: SafetensorError) -> tuple[str, str]:
    """Say what a file that is not safetensors is instead, and what to do about it."""
    with path.open("rb") as file:
        head = file.read(256)
    if (head[0] == 0x80 and head[1:2] <= b"\x05") or path.suffix in {".joblib", ".pkl", ".pickle"}:
        return "a pickle, which could run code and is not opened here", _IMPORT
    if head.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return "a NumPy file", _IMPORT
    if all(byte >= 0x20 or byte in b"\t\r\n" for byte in head):
        return "a text file", _GIVE
    return f"a damaged or foreign file ({error})", _REWRITE


def _not_a_bank(path: Path, got: str, mend: str) -> BankError:
    return BankError(f"{path} is not a concept bank", expected="a safetensors file of histofactor", got=got, mend=mend)
