"""The study of an output folder: one bank for all its slides, the sample it was learned from, and a journal of changes.

OUT/concepts.safetensors                 the bank
OUT/concepts.html                        a page to look at
OUT/concepts.safetensors.sample.npz      the sample: other K and sub-clusters need no encoding
OUT/concepts.journal.jsonl               what was done to the bank, a line each
OUT/concepts.field.safetensors           a field to see at every K, see ``runs.field``
OUT/concepts.suggested.json              names that a model suggests, see ``concepts.bank.suggested``
OUT/concepts.history/                    the bank as it was before each of the last changes, see ``runs.history``
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import histofactor
from histofactor.base.digests import path_digest
from histofactor.base.files import atomic, check_folder, copy, sweep
from histofactor.base.lease_state import look
from histofactor.base.text import utf8
from histofactor.concepts.bank.cut import cut
from histofactor.concepts.bank.file import BankFile, bank_bytes, default_k, read_bank_file, write_bank_file
from histofactor.concepts.bank.nesting import moved
from histofactor.concepts.bank.provenance import origin_of
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.bank.suggested import suggested_path
from histofactor.errors import BankError, OptionError, OutputError
from histofactor.export.bank_page import Beside, write_bank_page
from histofactor.records.urls import Input
from histofactor.runs.examples import read_examples
from histofactor.runs.field import field_of, load_field
from histofactor.runs.place import CONCEPTS, LOCKS, locked
from histofactor.runs.source import Opening

BANK = "concepts.safetensors"
LEVEL = "level"  # what the journal tells of slides that go to another K
_DIGITS = 12  # of a hash that tells what a bank was


@dataclass(frozen=True, slots=True)
class Study:
    """The bank of a study, or one that stands on its own.

    Attributes:
        path: of the bank.
        file: all that it holds.
        k: the level that slides are segmented with.
        learned: whether it was learned here, as its journal tells; else it is a bank on its own.
    """

    path: Path
    file: BankFile
    k: int
    learned: bool


def find_bank(path: Path) -> Path:
    """The bank that is meant by the output folder of a study, or by its own path.

    Raises:
        OptionError: the folder is no study.
    """
    if not path.is_dir():
        return path
    if not (path / BANK).exists():
        raise OptionError(
            f"{path} holds no concepts of its own",
            expected=f"an output folder of `histofactor segment` with {BANK}, or a bank",
            mend="segment without --concepts, or name the bank itself",
        )
    return path / BANK


def sample_of(bank: Path) -> Path:
    """Where the sample of a bank is kept."""
    return bank.with_name(f"{bank.name}.sample.npz")


def page_of(bank: Path) -> Path:
    """The page of a bank, to look at."""
    return bank.with_suffix(".html")


def journal_of(bank: Path) -> Path:
    """Where it is written what was done to a bank."""
    return bank.with_suffix(".journal.jsonl")


@contextmanager
def study_lock(out: Path, *, blocking: bool = True) -> Iterator[bool]:
    """Hold the lock of the concepts of an output folder; yields False where another process holds it.

    What a process that was killed left of their files is cleared.

    Raises:
        OutputError: the folder cannot be written, or a link in it leads elsewhere.
    """
    check_folder(out / LOCKS, inside=out)
    bank = out / BANK
    files = bank, sample_of(bank), page_of(bank), journal_of(bank), suggested_path(bank), field_of(bank)
    with locked(out / CONCEPTS, blocking=blocking, guards=(*files, history_of(bank))) as mine:
        if mine:
            sweep(out, {path.name for path in files})
        yield mine


@contextmanager
def bank_lock(bank: Path) -> Iterator[None]:
    """Hold the lock of a bank that is learned on its own; its sample and its page are the holder's alone too.

    Raises:
        OutputError: another process learns to this file, or the folder cannot be written.
    """
    check_folder(bank.parent / LOCKS, inside=bank.parent)
    path = bank.parent / LOCKS / f"{bank.name}.train"
    with locked(path, blocking=False, guards=(bank, sample_of(bank), page_of(bank))) as mine:
        if not mine:
            holder = look(path)
            raise OutputError(
                f"{bank} is being learned already",
                expected="one run at a time to a file",
                got="another process" if holder is None else f"process {holder.owner.pid} of {holder.owner.host}",
                mend="wait for it, or name another file with -o",
            )
        yield


def open_study(path: Path) -> Study:
    """Read a bank and what its journal says of it.

    Args:
        path: of the bank, see ``find_bank``.

    Raises:
        BankError: it is no bank, or was learned here and now holds other concepts than histofactor wrote last.
    """
    file, entries = read_bank_file(path), read_journal(path)
    if not entries:
        return Study(path, file, default_k(file), learned=False)
    vectors = _vectors(file)
    for entry in reversed(entries):  # a change that was cut short is in the journal, not yet in the bank
        if entry["vectors"] == vectors:
            return Study(path, file, int(entry["k"]), learned=True)
    raise BankError(
        f"{path} holds other concepts than histofactor wrote there",
        expected=f"those of a change in {journal_of(path).name}",
        got="a file that was changed or replaced since",
        mend="copy it elsewhere and give it by --concepts to use it as it is, or learn anew with --relearn",
    )


def write_study(file: BankFile, path: Path, k: int, did: str, arguments: Sequence[str] = ()) -> None:
    """Write the bank of a study, and in its journal what was done to it; a bank without a journal gets none.

    Args:
        file: the bank.
        path: where.
        k: the level that slides are segmented with from now on.
        did: ``learned``, ``named``, ``merged``, ``split``, ``excluded`` …
        arguments: with what.

    Raises:
        BankError, OutputError: as ``write_bank_file``.
    """
    entries = read_journal(path)
    if entries or did == "learned":
        before = None if did == "learned" else {"bank": kept(path), "k": int(entries[-1]["k"])}
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "histofactor": histofactor.__version__,
            "did": did,
            "arguments": list(arguments),
            "k": k,
            "vectors": _vectors(file),
            "bank": hashlib.sha256(bank_bytes(file)).hexdigest(),
            "before": before,
        }
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in (*entries, entry)]
        with atomic(journal_of(path)) as temporary:
            temporary.write_bytes(utf8("".join(lines)))
    write_bank_file(file, path)


def digest_of(bank: Path) -> str:
    """SHA-256 of the file of a bank, which tells its content from any other.

    Raises:
        BankError: it cannot be read.
    """
    try:
        return path_digest(bank)
    except OSError as error:
        raise BankError(f"{bank} cannot be read", got=error.strerror or str(error)) from error


def keep_aside(path: Path) -> Path:
    """Copy the bank of a study to a name of its own, told by what it holds; returns that.

    Raises:
        OutputError: it cannot be written.
    """
    aside = path.with_name(f"{path.stem}-{path_digest(path)[:_DIGITS]}{path.suffix}")
    copy(path, aside)
    return aside


def history_of(bank: Path) -> Path:
    """The folder that keeps a bank as it was before each of its last changes, each under its SHA-256."""
    return bank.with_suffix(".history")


def kept(bank: Path) -> str:
    """Keep a bank as it is in its history; returns its SHA-256.

    Raises:
        BankError: it cannot be read.
        OutputError: the folder cannot be written.
    """
    try:
        content = bank.read_bytes()
    except OSError as error:
        raise BankError(f"{bank} cannot be read", got=error.strerror or str(error)) from error
    digest = hashlib.sha256(content).hexdigest()
    path = history_of(bank) / f"{digest}{bank.suffix}"
    if not path.exists():
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return digest


def at_level(study: Study, k: int, arguments: Sequence[str]) -> Study:
    """A study whose slides are segmented with another level from now on; one that it lacks is cut from its tree.

    Args:
        study: as it is; whoever calls holds its lock.
        k: the level.
        arguments: what the journal says of it.

    Raises:
        OptionError: there are not so many concepts.
        BankError, OutputError: as ``write_study``.
    """
    file = study.file if k in study.file.banks else cut(study.file, k)
    if k != study.k:
        file = moved(file, study.k, k)
        write_study(file, study.path, k, LEVEL, arguments)
    return replace(study, file=file, k=k)


def write_page(study: Study, inputs: Sequence[Input], opening: Opening | None = None) -> None:
    """Write the page of a study's concepts, with patches from its slides, and a field at every K where one is kept.

    Raises:
        BankError: what the bank tells of itself, or the field, cannot be read.
        OutputError: the file cannot be written.
    """
    patches, _ = read_examples(study.file, inputs, opening)
    field = load_field(field_of(study.path), next(iter(study.file.banks.values())).encoder)
    beside = Beside(patches=patches, used=study.k, field=field)
    write_bank_page(study.file, page_of(study.path), study.path.parent.resolve().name, beside)


def origin(study: Study) -> str:
    """Where the concepts of a study come from, as reports say it."""
    return f"{origin_of(study.file.banks[study.k].provenance)} ({study.path.name})"


def read_journal(bank: Path) -> list[Mapping[str, Any]]:
    """What was done to a bank, the oldest first; lines that cannot be read are left out."""
    try:
        lines = journal_of(bank).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BankError(f"{journal_of(bank)} cannot be read", got=error.strerror or str(error)) from error
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: str) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(entry, dict) and isinstance(entry.get("vectors"), dict) and type(entry.get("k")) is int
    return entry if known else None


def _vectors(file: BankFile) -> dict[str, str]:
    """What the concepts of every K do, by K; names and colours may be changed by anyone."""
    return {str(k): bank_hash(bank) for k, bank in file.banks.items()}
