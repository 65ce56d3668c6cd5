"""Concept banks on disk: one safetensors file holds a ``ConceptBank`` for every K.

Layout, version 3: a float32 tensor ``k8/vectors`` (K, d) per K, ``k8/leaves`` (M, d) where concepts are unions of finer
ones, and one metadata entry ``histofactor`` with JSON: ``format_version``, ``encoder`` (name, revision, layer,
transform), ``mpp``, ``card`` (what is true of all K), and in ``banks`` per K ``names``, ``colors``, ``parents``,
``provenance``, ``owners`` of the leaves, and ``excluded`` where there are artefacts. Concepts that are weighed by parts
have a tensor ``k8/parts`` (P, d) and ``part_owners``; where features are centred there are ``centring``, the share, and
a tensor ``centring/mean`` (1, d). Version 2 had neither, and is still written where there is neither; version 1 had
neither leaves nor a card. Fields, tensors and metadata that this version does not know survive reading and writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from histofactor.base.files import atomic
from histofactor.concepts.bank.record import invalid, is_a, validate_bank
from histofactor.concepts.bank.tensor_file import REWRITE, not_a_bank, parse_json, read_tensors
from histofactor.errors import BankError, OptionError
from histofactor.records import Centring, ConceptBank, EncoderKey, Float, Leaves
from histofactor.records.shown import Shown

FORMAT_VERSION = 3
_USUAL_K = 16
_ENTRY = "histofactor"
_FIELDS = ("names", "colors", "parents", "provenance")
_OPTIONAL = ("owners", "excluded", "part_owners")  # fields that need not be there
_MEAN = "centring/mean"
_KNOWN = ("format_version", "encoder", "mpp", "card", "banks", "centring")


@dataclass(frozen=True, slots=True, repr=False)
class BankFile(Shown):
    """All that a file holds.

    Attributes:
        banks: by K, ascending.
        card: what is true of all K: data, counts, hashes, seeds, licence; JSON types only.
        unknown: fields that this version does not know, kept for those that do.
        unknown_by_k: the same within the entry of a K.
        unknown_tensors: tensors that this version does not know; those of a K are called ``k8/…``.
        metadata: entries of the safetensors header beside histofactor's own.
    """

    banks: dict[int, ConceptBank]
    card: Mapping[str, Any] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)
    unknown_by_k: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    unknown_tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


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
    if len(by_k) < len(banks):
        raise invalid("file", "one bank for every K", f"K = {[len(bank.names) for bank in banks]}")
    write_bank_file(BankFile(by_k, card or {}), path)


def write_bank_file(file: BankFile, path: str | Path) -> None:
    """Write all that a file holds.

    Args:
        file: with at least one bank, each by its K, all of equal ``encoder`` and ``mpp``.
        path: the file; replaced if it exists.

    Raises:
        BankError: a bank is not valid or the banks do not belong together.
        OutputError: the file cannot be written.
    """
    content = bank_bytes(file)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def bank_bytes(file: BankFile) -> bytes:
    """What ``write_bank_file`` writes.

    Raises:
        BankError: a bank is not valid or the banks do not belong together.
    """
    banks = list(file.banks.values())
    for bank in banks:
        validate_bank(bank)
    if not banks or [len(bank.names) for bank in banks] != list(file.banks):
        raise invalid("file", "at least one bank, each by its K", f"K = {list(file.banks)}")
    if len({(bank.encoder, bank.mpp, bank.vectors.shape[1], _centring_key(bank)) for bank in banks}) > 1:
        raise invalid(
            "file", "banks of one encoder, mpp, dimension and centring", f"{[bank.encoder for bank in banks]}"
        )
    centring = banks[0].centring
    header = {
        **file.unknown,
        "format_version": FORMAT_VERSION if centring is not None or any(bank.parts for bank in banks) else 2,
        "encoder": asdict(banks[0].encoder),
        "mpp": banks[0].mpp,
        "card": dict(file.card),
        "banks": {k: {**file.unknown_by_k.get(k, {}), **_entry_of(bank)} for k, bank in file.banks.items()},
    }
    tensors = {**file.unknown_tensors}
    tensors |= {f"k{k}/vectors": np.ascontiguousarray(bank.vectors) for k, bank in file.banks.items()}
    if centring is not None:
        header["centring"] = float(centring.share)
        tensors[_MEAN] = np.ascontiguousarray(centring.mean[None])
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid("provenance or card", "JSON types only", str(error)) from error
    leaves = {f"k{k}/leaves": bank.leaves for k, bank in file.banks.items()}
    leaves |= {f"k{k}/parts": bank.parts for k, bank in file.banks.items()}
    tensors |= {name: np.ascontiguousarray(one.vectors) for name, one in leaves.items() if one is not None}
    return save(tensors, metadata={**file.metadata, _ENTRY: text})


def load_bank(path: str | Path, k: int | None = None) -> ConceptBank:
    """Read the bank of one K.

    Args:
        path: a file that ``save_bank`` wrote.
        k: number of concepts; None takes that of ``default_k``.

    Returns:
        The bank.

    Raises:
        OptionError: ``k`` is not a positive integer.
        BankError: the file is not a valid bank or lacks this K.
    """
    if k is not None and not (is_a(int, k) and k > 0):
        raise OptionError("k is not a number of concepts", expected="an integer ≥ 1", got=f"{k!r}")
    file = read_bank_file(path)
    banks, k = file.banks, default_k(file) if k is None else k
    if k not in banks:
        has = ", ".join(map(str, banks))
        raise BankError(
            f"{path} has no bank of K = {k}",
            mend=f"choose K from {has}, or learn it with: histofactor concepts train INPUT... -o BANK -k {k}",
        )
    return banks[k]


def recommended_k(file: BankFile) -> int | None:
    """The K that was recommended when the bank was learned; None where none was, or it is not there any more."""
    choice = file.card.get("choice") or {}
    k = choice.get("recommended")
    return k if is_a(int, k) and k in file.banks else None


def default_k(file: BankFile) -> int:
    """The K that is taken where none is asked for: the recommended one, else 16 if it is there, else the smallest."""
    return recommended_k(file) or (_USUAL_K if _USUAL_K in file.banks else min(file.banks))


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
    metadata, tensors = read_tensors(path)
    header = _parse(path, metadata.pop(_ENTRY, None))
    vectors = {k: _take(path, tensors, f"k{k}/vectors", k) for k in sorted(header["banks"])}
    leaves = {k: _take(path, tensors, f"k{k}/leaves", None) for k in vectors if f"k{k}/leaves" in tensors}
    parts = {k: _take(path, tensors, f"k{k}/parts", None) for k in vectors if f"k{k}/parts" in tensors}
    mean = _take(path, tensors, _MEAN, 1)[0] if header.get("centring") is not None else None
    try:
        encoder = EncoderKey(*(header["encoder"][field] for field in ("name", "revision", "layer", "transform")))
        entries = header["banks"]
        centring = None if mean is None else Centring(header["centring"], mean)
        banks = {}
        for k, concepts in vectors.items():
            bank = _build(concepts, encoder, header["mpp"], entries[k])
            found = _leaves("leaves", leaves.get(k), entries[k].get("owners"))
            of_parts = _leaves("parts", parts.get(k), entries[k].get("part_owners"))
            banks[k] = replace(bank, leaves=found, parts=of_parts, centring=centring)
            validate_bank(banks[k])
        unknown = {k: _without(entry, (*_FIELDS, *_OPTIONAL)) for k, entry in entries.items()}
        return BankFile(banks, header["card"], _without(header, _KNOWN), unknown, tensors, metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_bank(path, f"damaged metadata ({type(error).__name__}: {error})", REWRITE) from error
    except BankError as error:
        raise BankError(
            f"{path}: {error.what}", expected=error.expected, got=error.got, mend=error.mend or REWRITE
        ) from error


def _build(vectors: Float, encoder: EncoderKey, mpp: float | None, entry: dict[str, Any]) -> ConceptBank:
    colors = tuple(tuple(color) for color in entry["colors"])
    parents = None if entry["parents"] is None else tuple(entry["parents"])
    bank = ConceptBank(vectors, encoder, tuple(entry["names"]), colors, mpp, parents, dict(entry["provenance"]))
    return replace(bank, excluded=tuple(entry.get("excluded", ())))


def _centring_key(bank: ConceptBank) -> tuple[float, bytes] | None:
    return None if bank.centring is None else (bank.centring.share, bank.centring.mean.tobytes())


def _leaves(what: str, vectors: Float | None, owners: list[int] | None) -> Leaves | None:
    if vectors is None and owners is None:
        return None
    if vectors is None or owners is None:
        raise invalid(what, "vectors and owners", "one without the other")
    return Leaves(vectors, tuple(owners))


def _without(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


def _entry_of(bank: ConceptBank) -> dict[str, Any]:
    owners = None if bank.leaves is None else bank.leaves.owners
    seldom = {"excluded": bank.excluded, "part_owners": bank.parts and bank.parts.owners}
    told = {name: value for name, value in seldom.items() if value}  # else the file is as it was before there were any
    return {**{field: getattr(bank, field) for field in _FIELDS}, "owners": owners, **told}


def _parse(path: Path, text: str | None) -> dict[str, Any]:
    """Read the metadata entry; the keys of ``banks`` become integers, and the card is there."""
    if text is None:
        raise not_a_bank(path, "a safetensors file of something else (weights?)", "give a concept bank")
    try:
        header = parse_json(text)
    except ValueError as error:
        raise not_a_bank(path, f"metadata that is not JSON ({error})", REWRITE) from error
    if not isinstance(header, dict) or not is_a(int, header.get("format_version")):
        raise not_a_bank(path, "metadata without format_version", REWRITE)
    if (version := header["format_version"]) > FORMAT_VERSION:
        got = f"format_version {version}, where this histofactor reads up to {FORMAT_VERSION}"
        raise BankError(f"{path} is of a newer version of histofactor", got=got, mend="update histofactor")
    if version < 1:
        raise not_a_bank(path, f"format_version {version}", REWRITE)
    entries, card = header.get("banks"), header.get("card", {})
    if not isinstance(entries, dict) or not entries or not all(re.fullmatch("[1-9][0-9]{0,5}", k) for k in entries):
        raise not_a_bank(path, "metadata that lists no banks by K", REWRITE)
    if not isinstance(card, dict):
        raise not_a_bank(path, "metadata with a card that is no JSON object", REWRITE)
    return {**header, "card": card, "banks": {int(k): entry for k, entry in entries.items()}}


def _take(path: Path, tensors: dict[str, NDArray[Any]], name: str, rows: int | None) -> Float:
    """Remove a tensor from those that were read, and check its shape."""
    if name not in tensors:
        raise not_a_bank(path, f"no tensor {name}", REWRITE)
    tensor = tensors.pop(name)
    if tensor.dtype != np.float32 or tensor.ndim != 2 or rows not in (None, len(tensor)):
        got = f"tensor {name} of {tensor.dtype} {tensor.shape}, not float32 ({rows or 'M'}, d)"
        raise not_a_bank(path, got, REWRITE)
    return np.array(tensor)  # writeable
