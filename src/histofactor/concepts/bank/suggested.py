"""Suggested names beside a bank: a file of its own, which no name of the bank ever comes from by itself.

``NAME.suggested.json`` holds for every concept that names were suggested for what ``concepts.suggest`` found, and by
which model with which prompts. A concept is known by the SHA-256 of its features and its vector, not by its label: what
a merge, a split or new learning makes of it is another concept, of which the file knows nothing; what they leave alone
keeps its suggestion at whatever label it has now, and what is undone has it again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histofactor.base.files import write_json
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.record import check_name, is_a
from histofactor.concepts.suggest import BEST, Candidate, Suggestion
from histofactor.errors import BankError, OptionError
from histofactor.records import ConceptBank

_VERSION = 1
_MOST_BYTES = 2**24  # of such a file; one concept takes half a thousand
_LONGEST = 500  # characters of what tells the model or the prompts


@dataclass(frozen=True, slots=True)
class Suggested:
    """A suggestion and where it is from.

    Attributes:
        suggestion: for one concept.
        model: name and revision of the vision-language model.
        prompts: name and SHA-256 of the prompts.
    """

    suggestion: Suggestion
    model: str
    prompts: str


ByConcept = Mapping[str, Suggested]  # by ``concept_keys``
NONE: ByConcept = {}


def suggested_path(bank: Path) -> Path:
    """Where the suggestions for the concepts of a bank are kept."""
    return bank.with_suffix(".suggested.json")


def concept_keys(bank: ConceptBank) -> list[str]:
    """What tells each of the K concepts from any other, wherever it stands: 64 hexadecimal digits."""
    key = json.dumps([*asdict(bank.encoder).values()], separators=(",", ":")).encode() + b"\0"
    rows = np.ascontiguousarray(bank.vectors, dtype="<f4")
    return [hashlib.sha256(key + row.tobytes()).hexdigest() for row in rows]


def read_suggested(bank: Path) -> ByConcept:
    """Read the suggestions beside a bank; empty where there are none.

    Raises:
        BankError: the file cannot be read, or is of a newer version.
    """
    path = suggested_path(bank)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _damaged(path, f"a file of more than {_MOST_BYTES:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return NONE
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    version: Any = content.get("format_version") if is_a(dict, content) else None
    if is_a(int, version) and version > _VERSION:
        raise BankError(f"{path} is of a newer version of histofactor", got=f"{version}", mend="update histofactor")
    if version != _VERSION or not is_a(dict, content.get("concepts")):
        raise _damaged(path, "no suggestions by concept")
    try:
        return {key: _suggested(one) for key, one in content["concepts"].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def write_suggested(bank: Path, file: BankFile, made: ByConcept) -> None:
    """Write suggestions beside a bank, in the place of those for the same concepts; others that the bank has stay.

    Args:
        bank: its path.
        file: all that it holds.
        made: the new ones; those for concepts that the bank does not have are left out.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        before = read_suggested(bank)
    except BankError:
        before = NONE  # it makes no sense, and is made anew
    there = {key for one in file.banks.values() for key in concept_keys(one)}
    kept = {key: one for key, one in {**before, **made}.items() if key in there}
    write_json(
        {"format_version": _VERSION, "concepts": {key: _entry(one) for key, one in kept.items()}}, suggested_path(bank)
    )


def of_level(bank: ConceptBank, suggested: ByConcept) -> dict[int, Suggested]:
    """The suggestions for concepts of one level, by label from 1 on."""
    return {label: suggested[key] for label, key in enumerate(concept_keys(bank), 1) if key in suggested}


def _entry(one: Suggested) -> dict[str, Any]:
    return {"model": one.model, "prompts": one.prompts, **asdict(one.suggestion)}


def _suggested(entry: Mapping[str, Any]) -> Suggested:
    """A suggestion as the file tells it; raises KeyError, TypeError or ValueError where it makes no sense."""
    best = tuple(Candidate(_name(one["name"]), _share(one["cosine"]), _share(one["share"])) for one in entry["best"])
    votes, patches = entry["votes"], entry["patches"]
    if not 2 <= len(best) <= BEST or not (is_a(int, votes) and is_a(int, patches) and 0 <= votes <= patches):
        raise ValueError("names or votes that make no sense")
    suggestion = Suggestion(best, _share(entry["margin"]), votes, patches, _text(entry["unsure"]))
    return Suggested(suggestion, _text(entry["model"]), _text(entry["prompts"]))


def _name(value: Any) -> str:
    text = _text(value)
    try:
        check_name(text)
    except OptionError as error:
        raise ValueError(str(error)) from error
    return text


def _share(value: Any) -> float:
    if not is_a(int | float, value) or not math.isfinite(value) or abs(value) > 1:
        raise ValueError(f"{value!r:.40} is no share")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError(f"{value!r:.40} is no short text")
    return value


def _damaged(path: Path, got: str) -> BankError:
    return BankError(
        f"the suggested names in {path} cannot be read",
        expected="what `histofactor concepts name --suggest` wrote",
        got=f"{got:.200}",
        mend="suggest names again, or delete the file",
    )
