"""The folder that each process has of its own in that of the cache, and the lease that tells whether it is alive."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import uuid
from pathlib import Path

from histofactor.base.files import output_error
from histofactor.base.lease import Lease, take
from histofactor.errors import OutputError

_NAME = "histofactor-"  # begins the names of these folders


def make(folder: Path) -> None:
    """Make a folder, unless it is there; raises ``OutputError``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def default_folder() -> Path:
    """A folder for temporary files that is this user's own.

    Raises:
        OutputError: another one has taken its name.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""  # on Windows that folder is the user's own
    folder = Path(tempfile.gettempdir()) / f"histofactor-cache-{user}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise output_error(folder, error) from error
    if not stat.S_ISDIR(found.st_mode) or user not in {"", found.st_uid}:
        raise OutputError(f"{folder} is not yours", expected="a folder of your own", mend="name one with --cache")
    return folder


def begin(top: Path) -> tuple[Path, Lease]:
    """A new folder of this process, and the lease that it holds on it."""
    folder = top / f"{_NAME}{uuid.uuid4().hex[:12]}"
    lease = take(_lease_of(folder))
    if lease is None:
        raise OutputError(f"{folder} is held by another process", mend="give the command again")
    folder.mkdir()
    return folder, lease


def take_over(top: Path) -> tuple[Path, Lease] | None:
    """The folder of a process that is no more, and a lease on it; others of such processes are deleted."""
    found = None
    names = {path.name for place in (top, _lease_of(top / _NAME).parent) for path in place.glob(f"{_NAME}*")}
    for folder in sorted(top / name for name in names):
        lease = take(_lease_of(folder))
        if lease is None:  # its process is at work
            continue
        there = folder.is_dir() and not folder.is_symlink()
        if found is None and there:
            found = folder, lease
            continue
        if there:
            shutil.rmtree(folder)
        lease.release()
    return found


def _lease_of(folder: Path) -> Path:
    return folder.parent / ".histofactor" / "leases" / folder.name


def bytes_in(folder: Path) -> int:
    """What all files below a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
