"""Who works on what, among processes of any number of machines that share a folder: leases.

A lease is a folder ``PATH`` that holds one file, whose name is a random token and which says who holds it. All rests
on four operations that a file server does one at a time, whatever its clients have cached (RFC 7530, RFC 1813; Lustre
does them at its metadata server), while ``flock`` is local to a node on Lustre by default and on NFS where it is
mounted so:

- *Take*: a private folder with the token in it is renamed to ``PATH``. That fails where ``PATH`` holds anything, so of
  all who try one gets it, and it is never seen half made. Where the answer of a server was lost, the token tells.
- *Renew*: the times of ``PATH/token`` are set, by a thread. Nobody else's lease can be renewed by mistake, and a disk
  that is full does not matter.
- *Check*: the same; a token that is gone, since another took over, is told. It is asked before every change of what
  the lease is for (``base.fences``): a holder that was stopped for long leaves all to the new one.
- *Release* and *take over*: ``PATH/token`` is deleted, then ``PATH`` if it is empty. Only the lease that was judged can
  be hit: one that was taken since has another token, and a folder that is not empty is not deleted.

Files are read by opening them anew, at which clients of NFS ask their server ("close to open"). They are not synced:
after a power cut the holder is dead, whatever is on the disk.

A holder is dead, known at once, where this machine (host name, boot, PID namespace) has no process of that number and
start. A living one of this machine keeps its lease, also while it is stopped. Of any other, and of containers, whose
PIDs mean nothing here, it is dead once its file has not changed for ``lease_state.EXPIRY_S`` by the clock of whoever
looks; clocks of machines are not compared, and of a time in which nobody looked no more than a third of that counts, so
that a server that hung for all is not taken for the holder's silence. No lease can stop a process between its last
check and its rename: then two write the same bytes, each file whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from histofactor.base import lease_state
from histofactor.base.files import make_folder, output_error
from histofactor.base.lease_state import MINE, clear_dead, content_of
from histofactor.base.owner import me
from histofactor.errors import LeaseLost, OutputError

BEAT_S = 5.0  # between two renewals
_GONE = {errno.ENOENT, errno.ESTALE, errno.ENOTDIR}
_HELD = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR} | ({errno.EACCES} if os.name == "nt" else set())

Told = Callable[[], Mapping[str, Any]]


class Lease:
    """A lease; once it is taken it is held until ``release``, and renewed by a thread.

    Args:
        path: of the lease.
        token: its own.
        told: gives what is told of the work, in JSON types; asked before each renewal.
    """

    def __init__(self, path: Path, token: str, told: Told | None = None) -> None:
        self._path, self._file, self._token, self._told = path, path / token, token, told
        self._private = path.with_name(f".{token}")  # where it is made
        self._over, self._written, self._writing = threading.Event(), b"", threading.Lock()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")

    def take(self) -> bool:
        """Take it; False where another holds it. Then, and whatever else comes of it, ``withdraw``.

        Raises:
            OutputError: the folder cannot be written.
        """
        MINE.add(self._token)
        try:
            _make(self._private, self._token, content_of(me(), {} if self._told is None else self._told()))
            taken = _move(self._private, self._path, self._token)
        except OSError as error:
            raise output_error(self._path, error) from error
        if taken:
            self._thread.start()
        return taken

    def check(self) -> None:
        """Renew the lease.

        Raises:
            LeaseLost: another process has taken over what it was for.
            OutputError: the folder cannot be reached.
        """
        try:
            os.utime(self._file)
        except OSError as error:
            if error.errno in _GONE:
                raise LeaseLost(
                    f"{self._path} was taken over by another process",
                    expected=f"signs of life within {lease_state.EXPIRY_S:.0f} s of each other",
                    got="none for longer, as of a process that was stopped or a machine that slept",
                    mend="what it was for is left to the other process",
                ) from error
            raise output_error(self._file, error) from error

    def release(self) -> None:
        """Give the lease back; one that was lost stays with its new holder.

        Raises:
            OutputError: it cannot be deleted.
        """
        self._over.set()
        try:
            if self._thread.is_alive():
                self._thread.join()
        finally:
            MINE.discard(self._token)
            try:
                _drop(self._path, self._token)
            except OSError as error:
                raise output_error(self._path, error) from error

    def withdraw(self) -> None:
        """Undo what ``take`` came to, where it did not succeed or was interrupted, as far as that can be done."""
        shutil.rmtree(self._private, ignore_errors=True)
        with suppress(OutputError):  # a folder that cannot be written is told by ``take``
            self.release()

    def tell(self) -> None:
        """Renew the lease, with what is told of the work where that has changed; as far as that can be done now."""
        with suppress(OSError), self._writing:  # asked again soon; who writes is told by ``check``
            self._tell()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            self.tell()

    def _tell(self) -> None:
        if self._told is not None and (content := content_of(me(), self._told())) != self._written:
            with suppress(OSError):  # a full disk: the lease is held nevertheless
                _rewrite(self._file, content)
                self._written = content
        os.utime(self._file)


def take(path: Path, told: Told | None = None) -> Lease | None:
    """Take a lease; None where another holds it, in this process or any other.

    Args:
        path: of the lease; folders above it are made.
        told: as for ``Lease``.

    Raises:
        OutputError: the folder cannot be written.
    """
    lease, taken = Lease(path, uuid.uuid4().hex, told), False
    try:
        taken = lease.take()
    finally:
        if not taken:
            lease.withdraw()
    return lease if taken else None


def clear_folders(folder: Path) -> None:
    """Delete the folder of leases and the one above it, where they are empty."""
    with suppress(OSError):  # others are under way
        folder.rmdir()
        folder.parent.rmdir()


def _rewrite(file: Path, content: bytes) -> None:
    """Write a file that is there; one that is gone stays so. Readers may see half of it, and look again."""
    handle = os.open(file, os.O_WRONLY)
    try:
        os.write(handle, content)
        os.ftruncate(handle, len(content))
    finally:
        os.close(handle)


def _make(private: Path, token: str, content: bytes) -> None:
    """Make the folder that becomes a lease."""
    make_folder(private)
    (private / token).write_bytes(content)


def _move(private: Path, path: Path, token: str) -> bool:
    """Whether a folder could take the place of a lease that nobody holds."""
    for attempt in range(2):
        with suppress(OSError):  # not there, or not empty; only Windows needs it
            path.rmdir()
        try:
            private.rename(path)
        except OSError as error:
            if (path / token).exists():  # it was done, and the answer of the server was lost
                return True
            if error.errno not in _HELD:
                raise
        else:
            return True
        if not attempt:
            clear_dead(path)
    return False


def _drop(path: Path, token: str) -> None:
    (path / token).unlink(missing_ok=True)
    with suppress(OSError):  # held by another
        path.rmdir()
    clear_folders(path.parent)
