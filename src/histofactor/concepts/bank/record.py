"""What a concept bank promises: made, checked, fingerprinted, and matched to features."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from histofactor.base.colors import palette
from histofactor.concepts.bank.unnamed import default_name
from histofactor.errors import BankError, BankMismatch, OptionError
from histofactor.masks import unlike
from histofactor.records import Centring, ConceptBank, EncoderKey, Float, Leaves

_JOINER = re.compile(r"(?<=[^\x00-\x7f\w\u200d])\u200d(?=[^\x00-\x7f\w\u200d])")  # between parts of an emoji
MAX_NAME = 200  # characters of the name of a concept


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
    names = tuple(default_name(label) for label in range(1, len(vectors) + 1))
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
        raise invalid("vectors", "a float32 array (K, d)", f"{getattr(vectors, 'dtype', type(vectors))}")
    if vectors.shape[0] != k or not vectors.size or not all(is_a(str, name) and name for name in bank.names):
        raise invalid("names", f"{vectors.shape[0]} ≥ 1 names, none empty", f"{k}: {bank.names!r:.200}")
    if (longest := max(map(len, bank.names))) > MAX_NAME:
        raise invalid("names", f"names of at most {MAX_NAME} characters", f"one of {longest:,}")
    if not np.isfinite(vectors).all():
        raise invalid("vectors", "finite numbers", f"{np.sum(~np.isfinite(vectors))} NaN or infinite entries")
    if vectors.min() < 0:
        raise invalid("vectors", "entries ≥ 0", f"{np.sum(vectors < 0)} negative entries")
    if not vectors.any(axis=1).all():
        zero = np.flatnonzero(~vectors.any(axis=1)) + 1
        raise invalid("vectors", "no concept that is all zero", f"zeros in concept {', '.join(map(str, zero))}")
    if len(bank.colors) != k or not all(is_color(color) for color in bank.colors):
        raise invalid("colors", f"{k} triples of 0…255", f"{len(bank.colors)}: {bank.colors!r:.200}")
    parents = (0,) * k if bank.parents is None else bank.parents
    if len(parents) != k or not all(is_a(int, parent) and parent >= 0 for parent in parents):
        raise invalid("parents", f"{k} concept indices ≥ 0, or none", f"{parents!r:.200}")
    _validate_excluded(bank.excluded, k)
    for parts in filter(None, (bank.leaves, bank.parts)):
        _validate_leaves(parts, vectors)
    if bank.centring is not None:
        _validate_centring(bank.centring, vectors.shape[1])
    if bank.mpp is not None and not (is_a(int | float, bank.mpp) and 0 < bank.mpp <= sys.float_info.max):
        raise invalid("mpp", "µm/px > 0, or none", f"{bank.mpp!r:.80}")
    stated = (key.name, key.layer, key.transform, "none" if key.revision is None else key.revision)
    if not all(is_a(str, text) and text for text in stated):
        raise invalid("encoder", "a name, a layer, a transform and a revision or none", f"{key}")


def _validate_excluded(excluded: tuple[int, ...], k: int) -> None:
    if not all(is_a(int, one) and 0 <= one < k for one in excluded) or list(excluded) != sorted({*excluded}):
        raise invalid("excluded", f"ascending concept indices of 0 … {k - 1}", f"{excluded!r:.200}")


def _validate_leaves(leaves: Leaves, vectors: Float) -> None:
    finest, owners, k = leaves.vectors, leaves.owners, len(vectors)
    expected = f"a float32 array (M, {vectors.shape[1]}), M ≥ {k}, finite, ≥ 0, no row all zero"
    if not isinstance(finest, np.ndarray) or finest.dtype != np.float32 or finest.ndim != 2:
        raise invalid("leaves", expected, f"{getattr(finest, 'dtype', type(finest))}")
    if len(finest) < k or finest.shape[1] != vectors.shape[1]:
        raise invalid("leaves", expected, f"shape {finest.shape}")
    if not (np.isfinite(finest).all() and finest.min() >= 0 and finest.any(axis=1).all()):
        raise invalid("leaves", expected, "NaN, infinite or negative entries, or zero rows")
    if len(owners) != len(finest) or not all(is_a(int, owner) for owner in owners) or set(owners) != set(range(k)):
        raise invalid("owners", f"{len(finest)} concept indices, each of 0 … {k - 1} at least once", f"{owners!r:.200}")


def _validate_centring(centring: Centring, dim: int) -> None:
    mean, share = centring.mean, centring.share
    if not (is_a(int | float, share) and 0 < share <= 1):
        raise invalid("centring", "a share above 0, at most 1", f"{share!r:.80}")
    if (
        not isinstance(mean, np.ndarray)
        or mean.dtype != np.float32
        or mean.shape != (dim,)
        or not np.isfinite(mean).all()
    ):
        raise invalid("centring", f"a mean of {dim} finite float32", f"{getattr(mean, 'shape', type(mean))}")


def bank_hash(bank: ConceptBank) -> str:
    """Fingerprint what a bank does: its vectors and the features they belong to, not names, colours or artefacts.

    Args:
        bank: the bank.

    Returns:
        64 hexadecimal digits (SHA-256), the same for every version of the file format.
    """
    key = json.dumps([*asdict(bank.encoder).values(), *bank.vectors.shape], separators=(",", ":"))
    digest = hashlib.sha256(key.encode() + b"\0" + np.ascontiguousarray(bank.vectors, dtype="<f4").tobytes())
    if bank.leaves is not None:
        digest.update(json.dumps([bank.leaves.owners], separators=(",", ":")).encode() + b"\0")
        digest.update(np.ascontiguousarray(bank.leaves.vectors, dtype="<f4").tobytes())
    if bank.centring is not None:
        digest.update(json.dumps(["centring", float(bank.centring.share)]).encode() + b"\0")
        digest.update(np.ascontiguousarray(bank.centring.mean, dtype="<f4").tobytes())
    if bank.parts is not None:
        digest.update(json.dumps(["parts", bank.parts.owners]).encode() + b"\0")
        digest.update(np.ascontiguousarray(bank.parts.vectors, dtype="<f4").tobytes())
    return digest.hexdigest()


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


def check_name(name: str) -> None:
    """Check a name that a user gives a concept.

    Raises:
        OptionError: it is empty or too long, begins or ends with a space, holds line ends or other characters that do
            not print, but for a joiner between two symbols, or is what tissue unlike the bank is called.
    """
    if name == unlike.NAME:
        raise OptionError(
            "a concept cannot have this name",
            expected="another name than that of tissue which --unlike tells",
            got=f"{name!r}",
        )
    if not _JOINER.sub("", name).isprintable() or name != name.strip() or not name:
        raise OptionError(
            "a concept cannot have this name",
            expected="letters, digits, signs and spaces between them",
            got=f"{name!r:.200}",
            mend="leave out line ends and control characters",
        )
    if len(name) > MAX_NAME:
        raise OptionError(
            "the name of a concept is too long",
            expected=f"{MAX_NAME} characters at most",
            got=f"{len(name):,}: {name[:40]}…",
        )


def invalid(field: str, expected: str, got: str) -> BankError:
    """The error for a field that is not as a bank promises."""
    return BankError(f"the concept bank's {field} is not valid", expected=expected, got=got)


def _describe(key: EncoderKey) -> str:
    return f"{key.name} (revision {key.revision or 'not stated'}, layer {key.layer}, transform {key.transform})"


def is_color(color: Any) -> bool:
    """Whether a value is a tuple of three integers from 0 to 255."""
    return is_a(tuple, color) and len(color) == 3 and all(is_a(int, value) and 0 <= value <= 255 for value in color)


def is_a(kind: Any, value: Any) -> bool:
    """Whether a value is of a type; ``True`` and ``False`` are no numbers here."""
    return isinstance(value, kind) and not isinstance(value, bool)
