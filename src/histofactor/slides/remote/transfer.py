"""One file from a store to the disk: it grows under another name, goes on where it broke off, is whole or absent."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

from histofactor.base.files import output_error
from histofactor.errors import ImageError
from histofactor.records.urls import StoreFile, Url
from histofactor.slides.remote.store import refusal, status_of

PART = ".part"
TRIES = 5  # in a row that bring nothing
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
_CHUNK = 2**23  # bytes that are asked for at once
_PIECE = 2**20  # bytes that are taken at once from a store that gives no part of a file
_FINAL = range(400, 500)  # status of HTTP: asking again changes nothing
_TAKE_SIZE = {"http", "https", "s3", "s3a"}  # stores that need not be asked for a size that is known
_AGAIN = (408, 425, 429)  # but for these


class StoppedError(Exception):
    """The file is wanted no more."""


class _ShortError(Exception):
    """A store gave fewer bytes than it said."""


def bring(url: Url, fs: Any, file: StoreFile, path: Path, stop: Event, room: Callable[[int], None]) -> None:
    """Bring one file to the disk.

    What is there of it is gone on with where the store tells versions and gives parts of files.

    Args:
        url: the input that it is of.
        fs: the store.
        file: which.
        path: where to; the folder exists.
        stop: ends it when it is set.
        room: called before the file grows to so many bytes; may refuse it by an ``ImageError``.

    Raises:
        ImageError: the store does not give it, or gives something else.
        OutputError: the disk is full, or cannot be written.
        StoppedError: it was stopped.
    """
    if path.exists():
        return
    part = path.with_name(path.name + PART)
    if not file.version:
        part.unlink(missing_ok=True)
    failures, ranged = 0, file.size is not None
    while not _is_whole(part, file):
        before = _size(part)
        try:
            _advance(fs, file, part, (_ranges if ranged else _stream), stop, room)
            break
        except (StoppedError, ImageError):
            raise
        except _DiskError as error:
            raise output_error(path, error.cause) from error.cause
        except Exception as error:
            if ranged and isinstance(error, ValueError):  # how fsspec tells that a server gives no parts of files
                ranged = False
                continue
            failures = 1 if _size(part) > before else failures + 1
            if is_final(error) or failures >= TRIES:
                raise _broken(url, part, file, error) from error
            pause(failures, stop)
    if stop.is_set():
        raise StoppedError
    _check(url, part, file)
    try:
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise output_error(path, error) from error


def is_final(error: Exception) -> bool:
    """Whether asking a store again changes nothing."""
    status = status_of(error)
    gone = isinstance(error, FileNotFoundError) and error.__cause__ is None
    return gone or isinstance(error, PermissionError) or (status in _FINAL and status not in _AGAIN)


def pause(failures: int, stop: Event) -> None:
    """Wait before a store is asked again, the longer the more often in a row it failed."""
    wait = min(FIRST_WAIT_S * 2.0 ** (failures - 1), LONGEST_WAIT_S)
    stop.wait(wait * random.uniform(0.5, 1.0))


class _DiskError(Exception):
    """The disk, not the store."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


Blocks = Callable[[Any, StoreFile, int], Iterator[bytes]]


def _advance(fs: Any, file: StoreFile, part: Path, blocks: Blocks, stop: Event, room: Callable[[int], None]) -> None:
    """Bring a part on as far as the store goes."""
    start = _size(part) if blocks is _ranges else 0
    if file.size == 0:
        _write(part, 0, b"")
        return
    for block in blocks(fs, file, start):
        if stop.is_set():
            raise StoppedError
        room(start + len(block))
        _write(part, start, block)
        start += len(block)
        if file.size is not None and start > file.size:
            return
    if file.size is not None and start < file.size:
        raise _ShortError(f"{start:,} of {file.size:,} bytes")


def _ranges(fs: Any, file: StoreFile, start: int) -> Iterator[bytes]:
    """Bytes of a file from one on, asked for part by part."""
    size = file.size or 0
    known = {"size": size} if {fs.protocol, *fs.protocol} & _TAKE_SIZE else {}
    with closing(fs.open(file.path, "rb", block_size=_CHUNK, cache_type="none", **known, **_plain(fs))) as stream:
        while start < size:
            stream.seek(start)
            block = bytes(stream.read(min(_CHUNK, size - start)))
            if not block:
                return
            yield block
            start += len(block)


def _stream(fs: Any, file: StoreFile, _: int) -> Iterator[bytes]:
    """Bytes of a file from its first on."""
    how = {"block_size": 0, **_plain(fs)} if "http" in fs.protocol else {}
    with closing(fs.open(file.path, "rb", **how)) as stream:
        while block := bytes(stream.read(_PIECE)):
            yield block


def _plain(fs: Any) -> dict[str, Any]:
    """Ask a server of HTTP for the file as it lies there."""
    return {"headers": {"Accept-Encoding": "identity"}} if "http" in fs.protocol else {}


def _write(part: Path, start: int, block: bytes) -> None:
    try:
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            stream.write(block)
    except OSError as error:
        raise _DiskError(error) from error


def _check(url: Url, part: Path, file: StoreFile) -> None:
    """A file is as long as the store said, and no page that a store shows instead."""
    size = _size(part)
    with part.open("rb") as stream:
        head = stream.read(512).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        part.unlink()
        raise ImageError(
            f"{url} is a web page, not an image",
            expected="the file itself",
            got="what a store shows to those who are not signed in, or of a folder",
            mend="check the address; end it in / to name all in a folder",
        )
    if file.size is not None and size != file.size:
        part.unlink()
        raise ImageError(
            f"{url} is not as long as its store said", expected=f"{file.size:,} bytes", got=f"{size:,} or more",
            mend="check the store, and give the command again",
        )  # fmt: skip


def _broken(url: Url, part: Path, file: StoreFile, error: Exception) -> ImageError:
    if isinstance(error, _ShortError) or type(error).__name__ == "ClientPayloadError":
        size = "an unknown number of" if file.size is None else f"{file.size:,}"
        return ImageError(
            f"{url} breaks off", expected=f"{size} bytes", got=f"{_size(part):,}, {TRIES} times in a row",
            mend="give the command again later",
        )  # fmt: skip
    return refusal(url, error)


def _is_whole(part: Path, file: StoreFile) -> bool:
    return file.size is not None and part.exists() and _size(part) == file.size and file.size > 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
