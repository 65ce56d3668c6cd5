"""Files that are either whole or not there: every writer of histofactor goes through ``atomic``."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from histofactor.errors import OutputError

_NAMESPACE = uuid.UUID("6f1d2c5e-3f0b-5b0a-9a53-7e0c8b1f4d21")

_TEMPORARY = re.compile(r"\.[0-9a-f]{12}-")
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


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place once the block ends well.

    The temporary name ends like ``path``, so that libraries that look at the suffix see the right one.
    Missing folders are made. A block that fails leaves neither the temporary file nor a change to ``path``.

    Args:
        path: the file to write; replaced if it exists.

    Yields:
        The path to write to, in the folder of ``path``.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or ``path`` is a folder; any
            ``OSError`` of the block is taken for such a failure, so do nothing but write in it.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # gone already, or its folder cannot be touched, which is told above
            temporary.unlink()


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a temporary folder beside ``path`` that takes its place once the block ends well.

    As ``atomic`` for results that are folders; a folder of that name is deleted just before.

    Args:
        path: the folder to write; replaced if it exists.

    Yields:
        An empty folder to write into, in the folder of ``path``.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or ``path`` is a file; any ``OSError`` of
            the block is taken for such a failure.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.rename(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already, or its folder cannot be touched: told above


def write_json(content: Any, path: Path) -> None:
    """Write JSON in UTF-8.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sweep(folder: Path) -> None:
    """Delete what writers that were killed left behind in a folder; nobody else may be writing there.

    Raises:
        OutputError: a file cannot be deleted.
    """
    for left in (path for path in folder.glob(".*") if _TEMPORARY.match(path.name)):
        remove(left)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, if it is there.

    Raises:
        OutputError: it cannot be deleted.
    """
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def stable_uuid(*parts: object) -> uuid.UUID:
    """Return a UUID (version 5, RFC 9562) that depends on ``parts`` alone, so that equal results give equal bytes."""
    text = "\n".join(map(str, parts)).encode("utf-8", "surrogateescape")  # file names need not be Unicode
    return uuid.uuid5(_NAMESPACE, hashlib.sha256(text).hexdigest())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex[:12]}-{path.name[-32:]}")


def output_error(path: Path, error: OSError) -> OutputError:
    """The error for a path that cannot be written, and how to mend it."""
    return OutputError(
        f"cannot write {path}",
        expected="a writable folder with room for the file",
        got=error.strerror or str(error),
        mend=_MEND.get(error.errno or 0, "choose another output folder"),
    )
