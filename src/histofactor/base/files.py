"""Files that are either whole or not there: every writer of histofactor goes through ``atomic``."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from histofactor.base.fences import ask
from histofactor.base.text import utf8
from histofactor.errors import OutputError

_NAMESPACE = uuid.UUID("6f1d2c5e-3f0b-5b0a-9a53-7e0c8b1f4d21")

_TRIES = 100  # to make a folder while others take away empty ones
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}-")
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}  # of network disks that keep folders in their own way
_MEND = {
    errno.ENOSPC: "free some disk space or choose another output folder",
    errno.EDQUOT: "free some of your quota or choose another output folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that is not read-only",
    errno.EISDIR: "move the folder of that name away or choose another name",
    errno.ENOTDIR: "choose a path whose folders are not files",
    errno.EEXIST: "choose a path whose folders are not files",
    errno.ENAMETOOLONG: "choose a shorter name",
}

Stamp = tuple[int, int, int, int]


@contextmanager
def atomic(path: str | os.PathLike[str], *, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place once the block ends well.

    The temporary name ends like ``path``, so that libraries that look at the suffix see the right one.
    Missing folders are made. A block that fails leaves neither the temporary file nor a change to ``path``; a power
    cut leaves the old file or the new one, whole.

    Args:
        path: the file to write; replaced if it exists.
        synced: wait until it is on the disk. Else a power cut may leave it in any state: for files that tell by their
            checksums whether they are whole, and that are made again where they are not.

    Yields:
        The path to write to, in the folder of ``path``.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or ``path`` is a folder; any
            ``OSError`` of the block is taken for such a failure, so do nothing but write in it.
        LeaseLost: the folder is fenced, and another process has it now.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        _make_folder(path.parent)
        yield temporary
        if synced:
            _sync(temporary)
        ask(path)
        temporary.replace(path)
        if synced:
            _sync(path.parent)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # gone already, or its folder cannot be touched, which is told above
            temporary.unlink()


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a temporary folder beside ``path`` that takes its place once the block ends well.

    As ``atomic`` for results that are folders. A folder of that name is moved aside just before, and deleted once the
    new one is in its place; a power cut between these two moves leaves both, whole, under temporary names.

    Args:
        path: the folder to write; replaced if it exists.

    Yields:
        An empty folder to write into, in the folder of ``path``.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or ``path`` is a file; any ``OSError`` of
            the block is taken for such a failure.
        LeaseLost: as for ``atomic``.
    """
    path = Path(path)
    temporary, aside = _temporary(path), _temporary(path)
    try:
        _make_folder(temporary)
        yield temporary
        _sync_all(temporary)
        ask(path)
        replaces = path.is_dir()
        if replaces:
            path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            if replaces:
                aside.rename(path)
            raise
        _sync(path.parent)
        remove(aside, inside=path.parent)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OutputError):  # its folder cannot be touched, which is told above
            remove(temporary, inside=path.parent)


def write_json(content: Any, path: Path) -> None:
    """Write JSON in UTF-8; bytes of file names that are no Unicode are written as the escapes that JSON reads.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_bytes(utf8(text))


def copy(source: Path, path: Path) -> None:
    """Copy a file.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic(path) as temporary:
        shutil.copyfile(source, temporary)


def sweep(folder: Path, names: Container[str] | None = None) -> None:
    """Delete what writers that were killed left behind in a folder; nobody else may be writing there.

    Args:
        folder: where.
        names: of the files that nobody else may be writing; None for all of the folder.

    Raises:
        OutputError: a file cannot be deleted.
    """
    for leftover in folder.glob(".*"):
        found = _TEMPORARY.match(leftover.name)
        if found and (names is None or leftover.name[found.end() :] in names):
            remove(leftover, inside=folder)


def remove(path: Path, *, inside: Path) -> None:
    """Delete a file, or a folder with all that is in it, if it is there; a link goes, what it points at stays.

    It is gone for good, even after a power cut, before anything else is written.

    Args:
        path: what to delete; begins with ``inside`` and leads there without links and without ``..``.
        inside: the folder that owns it, which itself is never deleted.

    Raises:
        OutputError: it does not lie inside that folder, or cannot be deleted.
        LeaseLost: it is fenced, and another process has it now.
    """
    ask(path)
    if path.name in {"", ".."}:
        raise OutputError(f"will not delete {path}", expected="the name of a file or folder", got=repr(str(path)))
    check_folder(path.parent, inside=inside, what=f"will not delete {path}")
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
        else:
            return
        with suppress(FileNotFoundError):  # another process took the folder away, which is empty now
            _sync(path.parent)
    except OSError as error:
        raise output_error(path, error) from error


def check_folder(folder: Path, *, inside: Path, what: str = "") -> None:
    """Make sure that a folder is another one, or lies below it, and is reached from there without links.

    Args:
        folder: it need not exist.
        inside: the other one, which may be reached however.
        what: what is not done otherwise, as the message tells it.

    Raises:
        OutputError: it lies elsewhere.
    """
    below = folder.relative_to(inside).parts if folder.is_relative_to(inside) else ("..",)
    real = inside.resolve().joinpath(*below)
    if ".." in below or real.resolve() != real:
        raise OutputError(
            what or f"cannot write to {folder}",
            expected=f"what lies inside {inside}, reached without links",
            got=f"{folder.resolve()}",
            mend="choose another output folder, or rename the input",
        )


def stamp_of(path: Path) -> Stamp | None:
    """What changes with a file, at hand without reading it; None where it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino, state.st_dev


def stable_uuid(*parts: object) -> uuid.UUID:
    """Return a UUID (version 5, RFC 9562) that depends on ``parts`` alone, so that equal results give equal bytes."""
    text = "\n".join(map(str, parts)).encode("utf-8", "surrogateescape")  # file names need not be Unicode
    return uuid.uuid5(_NAMESPACE, hashlib.sha256(text).hexdigest())


def _temporary(path: Path) -> Path:
    if path.name in {"", ".."}:
        raise OutputError(f"cannot write {path}", expected="the name of a file or folder", got=repr(str(path)))
    return path.with_name(f".{uuid.uuid4().hex[:12]}-{path.name[-32:]}")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where others may take away the ones above it while these are empty.

    Raises:
        OSError: it cannot be made.
    """
    for attempt in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:  # taken away after it was made, and before the next one was
            if attempt == _TRIES - 1:
                raise
        else:
            return


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each written to its disk."""
    missing = [made for made in (folder, *folder.parents) if not made.exists()]
    make_folder(folder)
    for made in missing:
        _sync(made.parent)


def _sync_all(folder: Path) -> None:
    """Wait until a folder and all that is in it are on the disk."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(place, name))
        _sync(Path(place))


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: they cannot be written to it.
    """
    if path.is_dir() and os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC or not path.is_dir():
            raise
    finally:
        os.close(handle)


def output_error(path: Path, error: OSError) -> OutputError:
    """The error for a path that cannot be written, and how to mend it."""
    return OutputError(
        f"cannot write {path}",
        expected="a writable folder with room for the file",
        got=error.strerror or str(error),
        mend=_MEND.get(error.errno or 0, "choose another output folder"),
    )
