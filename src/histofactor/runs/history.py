"""Changes of a study's concepts taken back and made again, as its journal tells them, also by a later process.

Every change tells the SHA-256 of the bank before and after it, and the bank before it is kept. To take a change back
is to put that bank in the place of the one that is there, and a line of its own in the journal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histofactor.base.files import remove
from histofactor.concepts.bank.file import read_bank_file
from histofactor.errors import OptionError
from histofactor.runs.study import (
    LEVEL,
    digest_of,
    find_bank,
    history_of,
    open_study,
    read_journal,
    study_lock,
    write_study,
)  # fmt: skip

KEPT = 100  # changes that can be taken back
_SHA256 = re.compile("[0-9a-f]{64}")
UNDONE, REDONE = "undone", "redone"
_Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A change that can be taken back, or made again.

    Attributes:
        did: what was done, as the journal tells it.
        arguments: with what.
        bank: SHA-256 of the bank that takes the place of the one that is there.
        k: the level that slides are segmented with then.
    """

    did: str
    arguments: tuple[str, ...]
    bank: str
    k: int


@dataclass(frozen=True, slots=True)
class History:
    """What can be taken back and made again, the next one last."""

    undo: tuple[Step, ...]
    redo: tuple[Step, ...]


def history(bank: Path) -> History:
    """What can be taken back of the changes of a bank.

    Changes end where the bank was learned, changed by something else, or by a version that kept none; and where slides
    went to another K, which is no change of the concepts.

    Raises:
        BankError: bank or journal cannot be read.
    """
    undo, redo = _replay(read_journal(bank), digest_of(bank))
    here = history_of(bank)

    def known(steps: Sequence[Step]) -> tuple[Step, ...]:
        kept = list[Step]()
        for step in reversed(steps[-KEPT:]):  # beyond one that is gone none can be reached
            if not (here / f"{step.bank}{bank.suffix}").exists():
                break
            kept.append(step)
        return tuple(reversed(kept))

    return History(known(undo), known(redo))


def step(target: Path, *, back: bool) -> Step:
    """Take the last change of a study's concepts back, or make the one last taken back again.

    Args:
        target: the output folder of a study, or its bank.
        back: which of the two.

    Returns:
        What was taken back or made again.

    Raises:
        OptionError: there is none, or the folder is no study.
        BankError: the bank was changed by something else.
        OutputError: it cannot be written.
    """
    path = find_bank(target)
    with study_lock(path.parent):
        open_study(path)
        found = history(path)
        steps = found.undo if back else found.redo
        if not steps:
            raise OptionError(f"there is nothing to {'undo' if back else 'redo'} in {path}")
        last = steps[-1]
        file = read_bank_file(history_of(path) / f"{last.bank}{path.suffix}")
        write_study(file, path, last.k, UNDONE if back else REDONE, (last.did, *last.arguments))
        forget(path)
    return last


def _replay(entries: Sequence[_Entry], now: str) -> tuple[list[Step], list[Step]]:
    """Changes to take back and to make again, told by a journal up to the bank of this SHA-256."""
    entries = _made(entries, now)
    if not entries or entries[-1].get("bank") != now:
        return [], []
    undo, redo = list[Step](), list[Step]()
    for number, entry in enumerate(entries):
        before, last = _before(entry), entries[number - 1].get("bank") if number else None
        if before is None or before[0] != last:  # learned, or after a change from outside
            undo, redo = [], []
        if entry.get("did") == LEVEL:
            undo, redo = [], []
            continue
        if before is None:
            continue
        was, k = before
        did, arguments = str(entry.get("did")), tuple(map(str, entry.get("arguments") or ()))
        if did == UNDONE and undo:
            taken = undo.pop()
            redo.append(Step(taken.did, taken.arguments, was, k))
        elif did == REDONE and redo:
            made = redo.pop()
            undo.append(Step(made.did, made.arguments, was, k))
        else:
            undo.append(Step(did, arguments, was, k))
            redo = []
    return undo, redo


def _made(entries: Sequence[_Entry], now: str) -> list[_Entry]:
    """The changes of a journal without those that were cut short: told, and not made, as the next one tells."""
    made = list[_Entry]()
    for entry in (*entries, None):
        before = now if entry is None else (_before(entry) or ("", 0))[0]
        while made and made[-1].get("bank") != before and (_before(made[-1]) or ("", 0))[0] == before:
            made.pop()
        if entry is not None:
            made.append(entry)
    return made


def _before(entry: _Entry) -> tuple[str, int] | None:
    """SHA-256 and K of the bank before a change; None where the journal does not tell them."""
    before = entry.get("before")
    bank, k = (before.get("bank"), before.get("k")) if isinstance(before, dict) else (None, None)
    return (bank, k) if isinstance(bank, str) and _SHA256.fullmatch(bank) and type(k) is int else None


def forget(bank: Path) -> None:
    """Delete what is kept of a bank and no change leads to any more; whoever calls holds its lock.

    Raises:
        BankError: bank or journal cannot be read.
        OutputError: a file cannot be deleted.
    """
    found = history(bank)
    needed = {step.bank for step in (*found.undo, *found.redo)}
    for path in history_of(bank).glob(f"*{bank.suffix}"):
        if path.name.removesuffix(bank.suffix) not in needed:
            remove(path, inside=bank.parent)
