"""Concept banks on disk: one safetensors file holds a ``ConceptBank`` for every K.

Layout, version 1: a float32 tensor ``k8/vectors`` (K, d) per K, and one metadata entry ``histofactor``
with JSON: ``format_version``, ``encoder`` (name, revision, layer, transform), ``mpp``, and in ``banks`` per K
``names``, ``colors``, ``parents``, ``provenance``. Everything free-form belongs in ``provenance``; other fields are
ignored on reading and not kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from histofactor.errors import BankError, BankMismatch, OptionError
from histofactor.export.colors import palette
from histofactor.export.files import atomic
from histofactor.records import ConceptBank, EncoderKey, Float

FORMAT_VERSION = 1
DEFAULT_K = 16
_ENTRY = "histofactor"
_FIELDS = ("names", "colors", "parents", "provenance")
_IMPORT = "convert it with: histofactor concepts import FILE --encoder NAME -o BANK"
_GIVE = "give the path of a bank that histofactor wrote"
_REWRITE = "write the bank again, or get a fresh copy"


def new_bank(
    vectors: Float,
    encoder: EncoderKey,
    *,
    mpp: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> ConceptBank:
    """Make a valid bank with default names ("Concept 1", …) and colours.

    Args:
        vectors: (K, d) float32, ≥ 0, no zero rows.
        encoder: the features the concepts were learned on.
        mpp: µm/px of those features, or None if not stated.
        provenance: data, counts, seeds, licence; JSON types only.

    Returns:
        The bank.

    Raises:
        BankError: a value is not as stated.
        OptionError: more than 256 concepts, for which there are no colours.
    """
    names = tuple(f"Concept {i + 1}" for i in range(len(vectors)))
    bank = ConceptBank(vectors, encoder, names, palette(len(vectors)), mpp, None, dict(provenance or {}))
    validate_bank(bank)
    return bank


def validate_bank(bank: ConceptBank) -> None:
    """Check everything that a bank promises.

    Args:
        bank: the bank.

    Raises:
        BankError: a field has the wrong type, shape or range.
    """
    vectors, k, key = bank.vectors, len(bank.names), bank.encoder
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32 or vectors.ndim != 2:
        raise _invalid("vectors", "a float32 array (K, d)", f"{getattr(vectors, 'dtype', type(vectors))}")
    if vectors.shape[0] != k or not vectors.size or not all(_is(str, name) and name for name in bank.names):
        raise _invalid("names", f"{vectors.shape[0]} ≥ 1 names, none empty", f"{k}: {bank.names!r:.200}")
    if not np.isfinite(vectors).all():
        raise _invalid("vectors", "finite numbers", f"{np.sum(~np.isfinite(vectors))} NaN or infinite entries")
    if vectors.min() < 0:
        raise _invalid("vectors", "entries ≥ 0", f"{np.sum(vectors < 0)} negative entries")
    if not vectors.any(axis=1).all():
        zero = np.flatnonzero(~vectors.any(axis=1)) + 1
        raise _invalid("vectors", "no concept that is all zero", f"zeros in concept {', '.join(map(str, zero))}")
    if len(bank.colors) != k or not all(_is_color(color) for color in bank.colors):
        raise _invalid("colors", f"{k} triples of 0…255", f"{len(bank.colors)}: {bank.colors!r:.200}")
    parents = (0,) * k if bank.parents is None else bank.parents
    if len(parents) != k or not all(_is(int, parent) and parent >= 0 for parent in parents):
        raise _invalid("parents", f"{k} concept indices ≥ 0, or none", f"{parents!r:.200}")
    if bank.mpp is not None and not (_is(int | float, bank.mpp) and 0 < bank.mpp < math.inf):
        raise _invalid("mpp", "µm/px > 0, or none", f"{bank.mpp!r}")
    stated = (key.name, key.layer, key.transform, key.revision or "none")
    if not all(_is(str, text) and text for text in stated):
        raise _invalid("encoder", "a name, a layer, a transform and a revision or none", f"{key}")


def bank_hash(bank: ConceptBank) -> str:
    """Fingerprint what a bank does: its vectors and the features they belong to, not names or colours.

    Args:
        bank: the bank.

    Returns:
        64 hexadecimal digits (SHA-256), the same for every version of the file format.
    """
    key = json.dumps([*asdict(bank.encoder).values(), *bank.vectors.shape], separators=(",", ":"))
    vectors = np.ascontiguousarray(bank.vectors, dtype="<f4")
    return hashlib.sha256(key.encode() + b"\0" + vectors.tobytes()).hexdigest()


def check_features(bank: ConceptBank, encoder: EncoderKey) -> None:
    """Check that a bank was learned on these features.

    Name, layer and transform must be equal. Revisions must be equal where both are stated in one scheme:
    a hub commit and the ``sha256:…`` of a local file cannot be compared.

    Args:
        bank: the bank.
        encoder: the features at hand.

    Raises:
        BankMismatch: they differ.
    """
    ours, theirs = bank.encoder, encoder
    revisions = {ours.revision, theirs.revision}
    schemes = {revision and revision.startswith("sha256:") for revision in revisions}
    differ = len(revisions) == 2 and len(schemes) == 1  # None is a scheme of its own
    if not differ and replace(ours, revision=None) == replace(theirs, revision=None):
        return
    raise BankMismatch(
        "the concept bank belongs to other features than the encoder's",
        expected=f"features of {_describe(ours)}, which the bank was learned on",
        got=f"features of {_describe(theirs)}",
        mend="choose the encoder of the bank, or a bank of this encoder",
    )


def save_bank(banks: Sequence[ConceptBank], path: str | Path) -> None:
    """Write banks of one encoder and one resolution, one for every K, to one file.

    Args:
        banks: at least one, each of another K, with equal ``encoder`` and ``mpp``.
        path: the file, by custom ``NAME.safetensors``; replaced if it exists.

    Raises:
        BankError: a bank is not valid or the banks do not belong together.
        OutputError: the file cannot be written.
    """
    for bank in banks:
        validate_bank(bank)
    ks = [len(bank.names) for bank in banks]
    if not banks or len(set(ks)) < len(ks):
        raise _invalid("file", "one bank for every K, at least one", f"K = {ks}")
    if len({(bank.encoder, bank.mpp, bank.vectors.shape[1]) for bank in banks}) > 1:
        raise _invalid("file", "banks of one encoder, mpp and dimension", f"{[bank.encoder for bank in banks]}")
    header = {
        "format_version": FORMAT_VERSION,
        "encoder": asdict(banks[0].encoder),
        "mpp": banks[0].mpp,
        "banks": {k: {field: getattr(bank, field) for field in _FIELDS} for k, bank in zip(ks, banks, strict=True)},
    }
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _invalid("provenance", "JSON types only", str(error)) from error
    tensors = {f"k{k}/vectors": np.ascontiguousarray(bank.vectors) for k, bank in zip(ks, banks, strict=True)}
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
    if k is not None and not (_is(int, k) and k > 0):
        raise OptionError("k is not a number of concepts", expected="an integer ≥ 1", got=f"{k!r}")
    banks = load_banks(path)
    if k is None:
        k = DEFAULT_K if DEFAULT_K in banks else min(banks)
    if k not in banks:
        has = ", ".join(map(str, banks))
        raise BankError(f"{path} has no bank of K = {k}", mend=f"choose K from {has}")
    return banks[k]


def load_banks(path: str | Path) -> dict[int, ConceptBank]:
    """Read every bank of a file.

    Args:
        path: a file that ``save_bank`` wrote.

    Returns:
        The banks by K, ascending.

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
            vectors = {k: _read_vectors(path, file, k) for k in sorted(header["banks"])}
    except SafetensorError as error:
        raise _not_a_bank(path, *_diagnose(path, error)) from error
    except OSError as error:
        raise _not_a_bank(path, f"{error.strerror or error}", "check that the file can be read") from error
    try:
        encoder = EncoderKey(*(header["encoder"][field] for field in ("name", "revision", "layer", "transform")))
        return {k: _build(vectors[k], encoder, header["mpp"], header["banks"][k]) for k in vectors}
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


def _parse(path: Path, text: str | None) -> dict[str, Any]:
    """Read the metadata entry; the keys of ``banks`` become integers."""
    if text is None:
        raise _not_a_bank(path, "a safetensors file of something else (weights?)", "give a concept bank")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_a_bank(path, "metadata that is not JSON", _REWRITE) from error
    if not isinstance(header, dict) or not _is(int, header.get("format_version")):
        raise _not_a_bank(path, "metadata without format_version", _REWRITE)
    if header["format_version"] != FORMAT_VERSION:
        got = f"format_version {header['format_version']}, where this histofactor reads {FORMAT_VERSION}"
        raise _not_a_bank(path, got, "update histofactor")
    entries = header.get("banks")
    if not isinstance(entries, dict) or not entries or not all(re.fullmatch("[1-9][0-9]{0,5}", k) for k in entries):
        raise _not_a_bank(path, "metadata that lists no banks by K", _REWRITE)
    return {**header, "banks": {int(k): entry for k, entry in entries.items()}}


def _read_vectors(path: Path, file: Any, k: int) -> Float:
    name = f"k{k}/vectors"
    if name not in file.keys():  # noqa: SIM118 (the handle is no mapping)
        raise _not_a_bank(path, f"no tensor {name}", _REWRITE)
    tensor = file.get_slice(name)
    shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
    if dtype != "F32" or len(shape) != 2 or shape[0] != k:
        raise _not_a_bank(path, f"tensor {name} of {dtype} {shape}, not F32 ({k}, d)", _REWRITE)
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


def _invalid(field: str, expected: str, got: str) -> BankError:
    return BankError(f"the concept bank's {field} is not valid", expected=expected, got=got)


def _describe(key: EncoderKey) -> str:
    return f"{key.name} (revision {key.revision or 'not stated'}, layer {key.layer}, transform {key.transform})"


def _is_color(color: Any) -> bool:
    return _is(tuple, color) and len(color) == 3 and all(_is(int, value) and 0 <= value <= 255 for value in color)


def _is(kind: Any, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
