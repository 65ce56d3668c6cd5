"""Readers with faults, which the harness must find."""

import os
import time
from pathlib import Path

from fuzz.case import Target
from histofactor.errors import ImageError

GOOD = b"good"


def make(folder: Path) -> None:
    """One file that every reader here reads."""
    (folder / "a.bin").write_bytes(GOOD)


def _read(path: Path) -> bool:
    """Whether a file is as it was made."""
    return path.read_bytes() == GOOD


def careful(path: Path) -> None:
    """Refuse what is spoiled."""
    if not _read(path):
        raise ImageError("spoiled")


def raises(path: Path) -> None:
    """Raise what nobody foresaw."""
    if not _read(path):
        raise ValueError("unforeseen")


def hangs(path: Path) -> None:
    """Never end."""
    while not _read(path):
        time.sleep(0.01)


def slow(path: Path) -> None:
    """End a moment too late."""
    if not _read(path):
        time.sleep(0.7)


def eats(path: Path) -> None:
    """Take more and more memory."""
    held = []
    while not _read(path):
        held.append(bytearray(b"\1" * 2**22))


def gulps(path: Path) -> None:
    """Take much memory for an instant."""
    if not _read(path):
        len(b"\1" * 300_000_000)


def crashes(path: Path) -> None:
    """End the process."""
    if not _read(path):
        os.abort()


def refuses_all(path: Path) -> None:
    """Read nothing, not even what is right."""
    raise ImageError("never")


READERS = (careful, raises, hangs, slow, eats, gulps, crashes, refuses_all)
TARGETS = tuple(Target(read.__name__, make, read) for read in READERS)
