"""What others see of a lease: who holds it, what that tells of its work, and whether it has ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from histofactor.base.files import output_error
from histofactor.base.owner import Owner, is_near, lives, me, owner_of

EXPIRY_S = 60.0  # of silence, after which a holder that cannot be asked for is dead
_LOOKS = 3  # silences that count, at least, until then
_READS, _READ_S = 3, 0.01  # of a file that is just being written

MINE = set[str]()  # tokens that this process holds
_Seen = tuple[object, float, float]  # content and time of a file, when it was looked at, seconds of silence until then
_silent: dict[Path, _Seen] = {}


@dataclass(frozen=True, slots=True)
class Holder:
    """What is seen of a lease.

    Attributes:
        owner: who holds it.
        told: what it tells of its work.
        dead: whether it is known to have ended; False also where that cannot be known at once.
        silent_s: seconds since it was renewed by the clocks of its disk and of this machine: to be told, not relied on.
    """

    owner: Owner
    told: Mapping[str, Any]
    dead: bool
    silent_s: float


def look(path: Path) -> Holder | None:
    """Who holds a lease; None where nobody does, or it cannot be read just now. Nothing is changed."""
    for file in files_in(path):
        for _ in range(_READS):
            read = _read(file)
            if read is None:
                break
            owner, told = _parsed(read[0])
            if owner.pid:
                break
            time.sleep(_READ_S)
        if read is not None:
            return Holder(owner, told, _has_ended(owner, file.name), max(0.0, time.time() - read[1] / 1e9))
    return None


def sweep_leases(folder: Path, pattern: str = "*") -> None:
    """Delete leases of dead holders, and what they left on the way to one.

    Args:
        folder: of the leases.
        pattern: of the names of those that are looked at.

    Raises:
        OutputError: they cannot be deleted.
    """
    try:
        for path in folder.glob(pattern):
            clear_dead(path)
            with suppress(OSError):  # held, or gone already
                path.rmdir()
    except OSError as error:
        raise output_error(folder, error) from error


def content_of(owner: Owner, told: Mapping[str, Any]) -> bytes:
    """What the file of a lease holds."""
    return json.dumps({**asdict(owner), "told": dict(told)}).encode()


def _parsed(content: bytes) -> tuple[Owner, Mapping[str, Any]]:
    """Owner and what is told; an unknown one, and nothing, where that cannot be read."""
    try:
        found = json.loads(content)
        owner, told = owner_of(found), found["told"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Owner(), {}
    return owner, told if isinstance(told, dict) else {}


def clear_dead(path: Path) -> None:
    """Delete what dead holders left of a lease.

    Raises:
        OSError: it cannot be deleted.
    """
    files = files_in(path)
    for file in files:
        if _is_dead(file):
            with suppress(FileNotFoundError):
                file.unlink()
            _silent.pop(file, None)
    for gone in [file for file in list(_silent) if file.parent == path and file not in files]:
        _silent.pop(gone, None)


def _is_dead(file: Path) -> bool:
    """Whether a holder has ended, as is known of this machine's, or has been silent for too long."""
    read = _read(file)
    if read is None:
        _silent.pop(file, None)
        return False
    owner, _ = _parsed(read[0])
    if is_near(owner):
        return _has_ended(owner, file.name)
    now = time.monotonic()
    before, looked, silence = _silent.get(file, (None, now, 0.0))
    silence = silence + min(now - looked, EXPIRY_S / _LOOKS) if before == read else 0.0
    _silent[file] = read, now, silence
    return silence >= EXPIRY_S


def _has_ended(owner: Owner, token: str) -> bool:
    """Whether a holder is known to have ended, or is this process and could not delete what it gave back."""
    if not is_near(owner):
        return False
    return token not in MINE if owner == me() else not lives(owner)


def _read(file: Path) -> tuple[bytes, int] | None:
    """Content of a lease and when it was renewed, by its disk's clock in ns; None where it is gone."""
    try:
        with file.open("rb") as opened:
            return opened.read(), os.fstat(opened.fileno()).st_mtime_ns
    except OSError:
        return None


def files_in(path: Path) -> list[Path]:
    """What is in the folder of a lease; where a file is in its place, as an earlier version made them, that file."""
    return [path] if path.is_file() else _listed(path)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
