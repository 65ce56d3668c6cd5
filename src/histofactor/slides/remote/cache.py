"""A bounded folder for inputs of stores: fetched ahead of whoever works on them, and deleted after.

What a process that was killed left is taken over by the next one, which goes on with files that were half there.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Condition, Event, Thread

from histofactor.base.files import output_error
from histofactor.base.lease import Lease
from histofactor.errors import HistofactorError, ImageError
from histofactor.records.urls import Url
from histofactor.slides.remote.folders import begin, bytes_in, default_folder, make, take_over
from histofactor.slides.remote.parts import located
from histofactor.slides.remote.ranged_tiff import begin as begin_ranged
from histofactor.slides.remote.ranges import RangedFile
from histofactor.slides.remote.store import look, store_of
from histofactor.slides.remote.transfer import bring

CACHE_GB = 16.0


@dataclass(slots=True)
class _Entry:
    """One input in the cache.

    Attributes:
        name: the input, as it is told.
        folder: where its files lie.
        size: bytes that are kept free for it, or that it has.
        pins: how many work on it.
        used: whether anybody did.
        fault: why it could not be had, or None.
        ranged: reads it by range, where it is not fetched whole.
        note: why it is fetched whole, where that is the store's doing, or "".
        is_there: set once it is there or could not be had.
    """

    name: str
    folder: Path
    size: int
    pins: int = 0
    used: bool = False
    fault: BaseException | None = None
    ranged: RangedFile | None = None
    note: str = ""
    is_there: Event = field(default_factory=Event)


@dataclass(frozen=True, slots=True)
class Held:
    """An input that stays in the cache for a while.

    Attributes:
        path: the file that stands for it.
        ranged: reads it by range, where not all of it is there; else None.
        note: why all of it was fetched, where that is the store's doing, or "".
    """

    path: Path
    ranged: RangedFile | None
    note: str


class Cache:
    """Inputs of stores on the disk, as many as fit.

    Args:
        folder: where; None takes one in that of the system for temporary files.
        limit: bytes that they take at most.
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._top, self._limit = folder or default_folder(), limit
        self._entries: dict[str, _Entry] = {}
        self._left: dict[str, int] = {}  # bytes of what another process left, by key
        self._changed, self._stop = Condition(), Event()
        self._own: Path | None = None
        self._lease: Lease | None = None

    @contextmanager
    def file(self, url: Url) -> Iterator[Path]:
        """Fetch an input, unless it is there, and keep it while the block lasts; yields the file that stands for it.

        Raises:
            ImageError: it cannot be had, or is larger than the cache.
            OutputError: the cache cannot be written.
        """
        with self.held(url) as held:
            if held.ranged is not None:
                held.ranged.fill()
            yield held.path

    @contextmanager
    def held(self, url: Url) -> Iterator[Held]:
        """The same, but of an input that can be read by range no more is fetched than what is read."""
        url = located(url)
        entry = self._get(url)
        whole = entry.folder / url.files[0].name
        try:
            yield Held(whole if entry.ranged is None else entry.ranged.path, entry.ranged, entry.note)
        finally:
            with self._changed:
                entry.pins -= 1
                entry.used = True
                self._changed.notify_all()

    def ahead(self, urls: Sequence[Url]) -> None:
        """Begin to fetch inputs that are wanted soon, as far as there is room; what goes wrong is told then."""
        for url in urls:
            Thread(target=self._fetch_ahead, args=(url,), daemon=True).start()

    def discard(self, url: Url) -> None:
        """Delete an input that is wanted no more."""
        with self._changed:
            for key in [key for key, entry in self._idle() if entry.name == str(url)]:
                self._drop(key)

    def close(self) -> None:
        """Delete all, and what is half there too."""
        self._stop.set()
        with self._changed:
            for entry in self._entries.values():
                _let_go(entry)
            self._entries.clear()
            if self._own is not None and self._lease is not None:
                shutil.rmtree(self._own, ignore_errors=True)  # a fetch may still write; the next run deletes the rest
                self._lease.release()
                self._own = None

    def _get(self, url: Url) -> _Entry:
        """The entry of an input, pinned and there."""
        key = _key(url)
        while True:
            with self._changed:
                entry = self._entries.get(key)
                mine = entry is None
                if entry is None:
                    entry = self._reserve(url, key, wait=True)
                entry.pins += 1
            if mine:
                self._bring(url, entry)
            entry.is_there.wait()
            if entry.fault is None:
                return entry
            with self._changed:
                entry.pins -= 1
                if self._entries.get(key) is entry and not entry.pins:
                    self._drop(key)
            if mine:
                raise entry.fault

    def _fetch_ahead(self, url: Url) -> None:
        with suppress(HistofactorError):  # told to whoever asks for it
            url = located(url)
            with self._changed:
                if _key(url) in self._entries or self._stop.is_set():
                    return
                entry = self._reserve(url, _key(url), wait=False)
            self._bring(url, entry)

    def _reserve(self, url: Url, key: str, *, wait: bool) -> _Entry:
        """Make room for an input, and its entry; the condition is held.

        Raises:
            ImageError: it is larger than the cache; or, where room is not waited for, there is none.
        """
        size = sum(file.size or 0 for file in url.files)
        if size > self._limit:
            raise self._too_large(url, f"{size / 1e9:.2f} GB")
        own = self._folder()
        self._left.pop(key, None)
        while self._taken() + size > self._limit:
            idle = self._idle()
            used = [name for name, entry in idle if entry.used]
            if self._left:
                gone = self._left.popitem()[0]
                shutil.rmtree(own / gone, ignore_errors=True)  # deleted with all else at the end, if not now
            elif used or (idle and wait):
                self._drop(used[0] if used else idle[0][0])
            elif wait:
                self._changed.wait()
            else:
                raise ImageError(f"there is no room yet for {url}")
        self._entries[key] = entry = _Entry(str(url), own / key, size)
        return entry

    def _bring(self, url: Url, entry: _Entry) -> None:
        """Bring the files of an input; what goes wrong is kept in its entry."""
        known = entry.size

        def room(size: int) -> None:
            with self._changed:
                if self._taken() - entry.size + known + size > self._limit:
                    raise self._too_large(url, f"more than {size / 1e9:.2f} GB")
                entry.size = max(entry.size, known + size)

        try:
            fs, _ = store_of(url)
            first = url.files[0]
            if look(url, fs, first.path, first.name) != first:
                raise ImageError(f"{url} has changed on its store since the run began", mend="give the command again")
            entry.ranged, entry.note = begin_ranged(url, fs, entry.folder, self._stop)
            for file in () if entry.ranged is not None else url.files:
                path = entry.folder / file.name
                make(path.parent)
                bring(url, fs, file, path, self._stop, room if file.size is None else _enough)
        except BaseException as error:  # kept for whoever waits for the input
            entry.fault = error
            if not isinstance(error, Exception):
                raise
        finally:
            with self._changed:
                entry.is_there.set()
                self._changed.notify_all()

    def _too_large(self, url: Url, got: str) -> ImageError:
        return ImageError(
            f"{url} is larger than the cache",
            expected=f"an input of up to {self._limit / 1e9:g} GB",
            got=got,
            mend="give more with --cache-gb",
        )

    def _taken(self) -> int:
        return sum(entry.size for entry in self._entries.values()) + sum(self._left.values())

    def _idle(self) -> list[tuple[str, _Entry]]:
        """Inputs that nobody works on, the oldest first."""
        return [(key, one) for key, one in self._entries.items() if not one.pins and one.is_there.is_set()]

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key)
        _let_go(entry)
        shutil.rmtree(entry.folder, ignore_errors=True)  # deleted with all else at the end, if not now
        self._changed.notify_all()

    def _folder(self) -> Path:
        """The folder of this process, with what it took over of another."""
        if self._own is None:
            make(self._top)
            try:
                self._own, self._lease = take_over(self._top) or begin(self._top)
            except OSError as error:
                raise output_error(self._top, error) from error
            self._left = {one.name: bytes_in(one) for one in self._own.iterdir()}
            atexit.register(self.close)
        return self._own


def cache_of(folder: str | None, gb: float) -> Cache:
    """The cache of this process for a folder and a bound in 10⁹ bytes."""
    return _cache_of(folder, gb, os.getpid())


@cache
def _cache_of(folder: str | None, gb: float, _: int) -> Cache:
    return Cache(None if folder is None else Path(folder), int(gb * 1e9))


def _key(url: Url) -> str:
    """What tells an input, in the version that the store told of, from others."""
    known = [str(url), *(f"{file.name} {file.size} {file.version}" for file in url.files)]
    return hashlib.sha256("\n".join(known).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _let_go(entry: _Entry) -> None:
    if entry.ranged is not None:
        entry.ranged.close()


def _enough(_: int) -> None:
    """Room was kept free for all of the file."""
