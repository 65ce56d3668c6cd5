"""A file of a store of which only what is asked for travels: in blocks, which stay in a sparse file on the disk."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np

from histofactor.base.files import output_error
from histofactor.errors import ImageError
from histofactor.records.urls import StoreFile, Url
from histofactor.slides.remote.store import refusal, status_of
from histofactor.slides.remote.transfer import TRIES, StoppedError, is_final, pause

BLOCK = 2**18  # bytes
_MOST = 32  # blocks that are asked for at once
_PARTIAL, _SHORTER = 206, 416  # status of HTTP: a part of the file; it ends before that part
_VERSION = re.compile(r'(?:ETag|etag) ("[^"]*")')  # that an answer is held to; weak ones do not tell of every byte
_HTTP, _S3 = {"http", "https"}, {"s3", "s3a"}

Part = Callable[[int, int], bytes]  # bytes of a file, from one up to another


class ChangedError(Exception):
    """The file is not the one that it was when it was first asked for."""


class NoPartsError(Exception):
    """The store gives the whole file alone."""


class RangedFile:
    """A file that is read by range. Reads may run in several threads.

    Args:
        url: the input that it is of.
        part: gives bytes of it.
        size: all of them.
        path: the sparse file to make; its folder exists.
        stop: ends it when it is set.

    Attributes:
        path: the sparse file.
        size: bytes of the file.
        is_whole: whether all of it was brought.

    Raises:
        OutputError: the sparse file cannot be made.
    """

    def __init__(self, url: Url, part: Part, size: int, path: Path, stop: Event) -> None:
        self.path, self.size, self.is_whole = path, size, False
        self._url, self._part, self._stop, self._lock = url, part, stop, Lock()
        self._there = np.zeros(-(-size // BLOCK), bool)
        self._next = self._run = 0  # the block after the last ones that were asked for, and how many came in a row
        self._fault: ImageError | None = None
        try:
            self._kept = path.open("w+b")
            self._kept.truncate(size)
        except OSError as error:
            raise output_error(path, error) from error

    @property
    def fetched(self) -> int:
        """Bytes that travelled, at most."""
        return int(self._there.sum()) * BLOCK

    def read(self, start: int, count: int) -> bytes:
        """Bytes from one on, fewer where the file ends.

        Raises:
            ImageError: the store does not give them, or the file has changed.
            OutputError: the disk is full, or cannot be written.
        """
        end = min(start + count, self.size)
        if start >= end:
            return b""
        with self._lock:
            self._bring(start // BLOCK, -(-end // BLOCK))
            self._kept.seek(start)
            return self._kept.read(end - start)

    def open(self) -> io.BufferedReader:
        """The file, to read and to seek in."""
        return io.BufferedReader(_Stream(self))

    def fill(self) -> None:
        """Bring all that is not there yet; raises what ``read`` does."""
        for first in range(0, len(self._there), _MOST):
            with self._lock:
                self._bring(first, min(first + _MOST, len(self._there)))
        self.is_whole = True

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise what reads within the block raised, even where a decoder took it for damage."""
        self._fault = None
        try:
            yield
        finally:
            if self._fault is not None:
                raise self._fault

    def close(self) -> None:
        """Let the sparse file go."""
        with self._lock:
            self._kept.close()

    def _bring(self, first: int, last: int) -> None:
        """Bring blocks that are not there, and of what is read in a row half as many beyond it."""
        in_row = first in {self._next - 1, self._next}
        self._run, self._next = (self._run if in_row else 0) + last - first, last
        if self._there[first:last].all():
            return
        beyond = min(self._run // 2, _MOST) if in_row else 0
        missing = np.flatnonzero(~self._there[first : last + beyond]) + first
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            for at in range(int(run[0]), int(run[-1]) + 1, _MOST):
                self._put(at, min(at + _MOST, int(run[-1]) + 1))

    def _put(self, first: int, last: int) -> None:
        block = self._asked(first * BLOCK, min(last * BLOCK, self.size))
        try:
            self._kept.seek(first * BLOCK)
            self._kept.write(block)
            self._kept.flush()  # others may look at the file by its path
        except OSError as error:
            raise output_error(self.path, error) from error
        self._there[first:last] = True

    def _asked(self, start: int, end: int) -> bytes:
        """Bytes from the store, in several attempts; what cannot be had is remembered."""
        failures = 0
        while True:
            if self._stop.is_set():
                raise StoppedError
            try:
                return self._whole(start, end)
            except Exception as error:
                failures += 1
                if failures >= TRIES or is_final(error) or isinstance(error, ChangedError | NoPartsError):
                    self._fault = self._told(error)
                    raise self._fault from error
            pause(failures, self._stop)

    def _whole(self, start: int, end: int) -> bytes:
        block = self._part(start, end)
        if len(block) != end - start:
            raise EOFError(f"{len(block):,} of {end - start:,} bytes")
        return block

    def _told(self, error: Exception) -> ImageError:
        if isinstance(error, ChangedError) or status_of(error) == _SHORTER:
            return ImageError(f"{self._url} has changed on its store while it was read", mend="give the command again")
        if isinstance(error, NoPartsError):
            return ImageError(f"the store of {self._url} gives no parts of files", expected="answers to Range")
        return refusal(self._url, error)


class _Stream(io.RawIOBase):
    """A ranged file as a file."""

    def __init__(self, file: RangedFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        found = self._file.read(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def part_of(fs: Any, file: StoreFile) -> Part | None:
    """What gives parts of a file, each held to the version that is known; None where the store tells none, or no size.

    Args:
        fs: the store.
        file: which.
    """
    match, kinds = _VERSION.fullmatch(file.version), {fs.protocol, *fs.protocol}
    get = _from_http if kinds & _HTTP else _from_s3 if kinds & _S3 else None
    if match is None or file.size is None or get is None:
        return None
    version = match[1]
    return lambda start, end: get(fs, file.path, version, (start, end))


def _from_http(fs: Any, path: str, version: str, span: tuple[int, int]) -> bytes:
    """A part of a file; what is none of it raises before it travels."""
    from fsspec.asyn import sync

    async def get() -> bytes:
        session = await fs.set_session()
        how = dict(fs.kwargs)
        headers = {**how.pop("headers", {}), **_range(span), "Accept-Encoding": "identity"}
        async with session.get(fs.encode_url(path), headers=headers, **how) as answer:
            answer.raise_for_status()
            is_part = answer.status == _PARTIAL and answer.headers.get("Content-Range", "").startswith(
                f"bytes {span[0]}-"
            )
            _check_part(is_part, answer.headers.get("ETag"), version)
            return bytes(await answer.read())

    return bytes(sync(fs.loop, get))


def _from_s3(fs: Any, path: str, version: str, span: tuple[int, int]) -> bytes:
    from fsspec.asyn import sync

    async def get() -> bytes:
        bucket, key, which = fs.split_path(path)
        of = {"Bucket": bucket, "Key": key} | ({"VersionId": which} if which else {})
        answer = await fs._call_s3("get_object", **of, **_range(span), **fs.req_kw)
        async with answer["Body"] as body:
            is_part = answer["ResponseMetadata"]["HTTPStatusCode"] == _PARTIAL
            _check_part(is_part, answer.get("ETag"), version)
            return bytes(await body.read())

    return bytes(sync(fs.loop, get))


def _range(span: tuple[int, int]) -> dict[str, str]:
    return {"Range": f"bytes={span[0]}-{span[1] - 1}"}


def _check_part(is_part: bool, of: str | None, version: str) -> None:
    """Raise ``NoPartsError`` where an answer is no part, or tells no version, and ``ChangedError`` for another one."""
    if not is_part or of is None:
        raise NoPartsError
    if of != version:
        raise ChangedError
