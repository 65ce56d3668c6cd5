"""Downloads that go on where they stopped and are right when they are done.

A file grows under ``NAME.part`` and gets its name only once its size and MD5 are those of the manifest.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event

from histofactor.base.files import output_error
from histofactor.base.workers import map_ahead
from histofactor.errors import HistofactorError, ImageError
from histofactor.tcga.gdc import ENDPOINT, GdcFile, address_of, wrong_field

_CHUNK = 1 << 20  # bytes at a time
_LONGEST_RETRY_S = 300.0  # that a server is granted


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How files are fetched.

    Attributes:
        endpoint: address of the API.
        tries: attempts in a row that bring nothing before a file is given up.
        first_wait_s, longest_wait_s: the wait after a failure; it doubles with every further one, with some chance.
        timeout_s: seconds without a byte after which a connection counts as broken.
        on_bytes: called with the number of bytes that have come in.
        on_note: called with a sentence where a server asks for a longer wait than is granted; from any thread.
    """

    endpoint: str = ENDPOINT
    tries: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0
    timeout_s: float = 60.0
    on_bytes: Callable[[int], None] = lambda count: None
    on_note: Callable[[str], None] = lambda sentence: None


def fetch(file: GdcFile, folder: Path, options: FetchOptions | None = None, stop: Event | None = None) -> Path:
    """Fetch one file, unless it is there already.

    What an earlier run left is gone on with. A file whose checksum is wrong is fetched again from the start.

    Args:
        file: what to fetch.
        folder: where to; made if missing.
        options: how.
        stop: ends the download at once when it is set.

    Returns:
        The file, complete and checked.

    Raises:
        ImageError: it cannot be had, or the download was stopped.
        OutputError: the folder cannot be written, or the disk is full.
    """
    options, stop = options or FetchOptions(), stop or Event()
    if wrong := wrong_field(file.file_id, file.name, file.md5, str(file.size)):
        raise ImageError(f"the {wrong.field} of a file is not valid", expected=wrong.expected, got=wrong.got)
    path, part = folder / file.name, folder / f"{file.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and _is_right(path, file):
            options.on_bytes(file.size)
            return path
        if part.exists():
            options.on_bytes(min(part.stat().st_size, file.size))
        reason = _bring(file, part, options, stop)
        if reason is None:
            part.replace(path)
            return path
    except OSError as error:
        raise output_error(path, error) from error
    raise ImageError(f"cannot fetch {file.name}", got=reason, mend="run the command again later")


def _bring(file: GdcFile, part: Path, options: FetchOptions, stop: Event) -> str | None:
    """Bring a part to what the file is, checked and on the disk; returns why that cannot be, else None."""
    failures, reason = 0, ""
    while failures < options.tries and not stop.is_set():
        before = _size(part)
        try:
            _advance(file, part, options, stop)
        except _BrokenError as error:
            reason = str(error)
            failures = 1 if _size(part) > before else failures + 1
            stop.wait(_wait(file, failures, error.retry_after_s, options))
            continue
        if _is_right(part, file):
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            return None
        reason, failures = "a wrong checksum", failures + 1
        options.on_bytes(-_size(part))
        part.unlink()
    return f"{'stopped' if stop.is_set() else reason}, {failures} times in a row"


def fetched(
    files: Sequence[GdcFile], folder: Path, options: FetchOptions | None = None, *, ahead: int = 2, keep: bool = False
) -> Generator[Path | HistofactorError, None, None]:
    """Fetch files one after another, a few ahead of whoever works on them, and delete each once it was worked on.

    No more than about twice ``ahead`` + 1 files are on the disk at a time. Closing the generator stops the downloads;
    what is there of them stays, to be gone on with.

    Args:
        files: what to fetch.
        folder: where to.
        options: how.
        ahead: downloads side by side.
        keep: keep the files.

    Yields:
        For every file its path, or why it cannot be had.
    """
    stop = Event()

    def get(file: GdcFile) -> Path | HistofactorError:
        try:
            return fetch(file, folder, options, stop)
        except HistofactorError as error:
            return error

    results = map_ahead(get, files, threads=ahead)
    try:
        for result in results:
            yield result
            if isinstance(result, Path) and not keep:
                result.unlink(missing_ok=True)
    finally:
        stop.set()
        results.close()


class _BrokenError(Exception):
    """A connection that failed or broke off; some of the file may have come in."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def _advance(file: GdcFile, part: Path, options: FetchOptions, stop: Event) -> None:
    """Bring a part to its full size, or as far as the connection lasts."""
    start = _size(part)
    if start > file.size:
        options.on_bytes(-file.size)
        part.unlink()
        start = 0
    if start == file.size:
        return
    address = address_of(options.endpoint, f"data/{file.file_id}")
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=options.timeout_s) as answer:
            if start and not _continues(answer.status, answer.headers.get("Content-Range"), start):
                options.on_bytes(-start)
                start = 0
            blocks = iter(lambda: b"" if stop.is_set() else answer.read(_CHUNK), b"")
            _append(blocks, part, start, file.size, options.on_bytes)
    except urllib.error.HTTPError as error:
        after = error.headers.get("Retry-After") or ""
        seconds = float(after) if re.fullmatch("[0-9]+", after) else 0.0  # infinite for very many digits
        raise _BrokenError(f"{error.code} {error.reason:.200}", seconds) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: sent on to what is no address
        raise _BrokenError(str(error) or type(error).__name__) from error
    if _size(part) < file.size:
        raise _BrokenError(f"{_size(part):,} of {file.size:,} bytes")


def _continues(status: int, content_range: str | None, start: int) -> bool:
    """Whether an answer goes on at the byte that was asked for."""
    found = re.match(r"bytes (\d{1,18})-", content_range or "")
    return status == 206 and found is not None and int(found[1]) == start


def _append(blocks: Iterator[bytes], part: Path, start: int, size: int, on_bytes: Callable[[int], None]) -> None:
    """Write what comes in from a byte on, no more than the file has."""
    for block in blocks:
        count = min(len(block), size - start)
        try:
            with part.open("r+b" if start else "wb") as stream:
                stream.seek(start)
                stream.write(block[:count])
        except OSError as error:
            raise output_error(part, error) from error
        start += count
        on_bytes(count)
        if start == size:
            return


def _wait(file: GdcFile, failures: int, retry_after_s: float, options: FetchOptions) -> float:
    """Seconds to wait after so many failures: as long as the server asks for or longer, but that for five minutes."""
    if retry_after_s > _LONGEST_RETRY_S:
        asked = f"{retry_after_s:,.0f} s" if retry_after_s < 1e9 else "longer than anybody can"
        options.on_note(f"{file.name}: the server asks to wait {asked}; tried again in {_LONGEST_RETRY_S:.0f} s")
    wait: float = min(options.first_wait_s * 2.0 ** min(failures - 1, 60), options.longest_wait_s)
    return max(wait * random.uniform(0.5, 1.0), min(retry_after_s, _LONGEST_RETRY_S))


def _is_right(path: Path, file: GdcFile) -> bool:
    """Whether a file is what the manifest says."""
    if path.stat().st_size != file.size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == file.md5


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
