"""The file that a slide's results are of: found, and told from others by its content, as ``segment`` does.

A large file is known by its time of change and by blocks of it, see ``recipe.fingerprint``, so that a copy of it may be
another one. Where the bank tells the SHA-256 of the whole file, it is compared in the background.
"""

from __future__ import annotations

import glob
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from histofactor.base.digests import path_digest
from histofactor.base.files import Stamp, stamp_of
from histofactor.errors import HistofactorError, ImageError
from histofactor.recipe import is_read_whole
from histofactor.runs.source import content_of
from histofactor.slides.slide_parts import files_of

SAME, OTHER, UNSURE, COMPARING = "same", "other", "unsure", "comparing"
_MEND = "give the folder that it lies in: histofactor view OUT --slides FOLDER"
_ONE_AT_A_TIME = threading.Semaphore(1)  # that is read as a whole


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that stands for the input of a slide.

    Attributes:
        path: where it lies.
        content: ``fingerprint`` of it; "" where it cannot be read.
        state: ``same`` as was segmented, ``other``, ``unsure``, or ``comparing`` as long as it is read.
    """

    path: Path
    content: str
    state: str

    @property
    def warning(self) -> dict[str, str] | None:
        """What is to be told of it, as an error; None where it is the file that was segmented."""
        name = self.path.name
        if self.state == SAME:
            return None
        if self.state == OTHER:
            what, got = f"{name} is not the image that this map was made of", f"other content, in {self.path}"
            return {"what": what, "expected": "the file that was segmented", "got": got, "mend": _MEND}
        got = "its time of change or its content differs"
        more = "it is being read to compare it" if self.state == COMPARING else "no digest of the whole file is known"
        return {"what": f"{name} may not be the image that this map was made of", "got": f"{got}; {more}"}


@dataclass(eq=False)
class OriginFinder:
    """Looks for the input of one slide; may be asked by several threads.

    Args:
        path: where it lay.
        content: ``fingerprint`` of it then.
        moved: where it is looked for too, or None.
        digests: SHA-256 of files of its name that are known, of which the input is one; none where they are not.
    """

    path: Path
    content: str
    moved: Path | None
    digests: Callable[[], Collection[str]]
    _held: tuple[Stamp | None, Origin] | None = None
    _compared: dict[tuple[Path, Stamp | None], str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def find(self) -> Origin:
        """The file as it is now: the one that was segmented, where it is among those of its name.

        Raises:
            ImageError: there is none, or there are several and none of them is the one.
        """
        with self._lock:
            if self._held is None or self._is_outdated(*self._held):
                found = self._look()
                self._held = stamp_of(found.path), found
            return self._held[1]

    def is_anywhere(self) -> bool:
        """Whether there is a file of its name."""
        return any(True for _ in self._named())

    def _is_outdated(self, stamp: Stamp | None, origin: Origin) -> bool:
        """Whether the file was changed since, or is known by now."""
        key = origin.path, stamp_of(origin.path)
        return key[1] != stamp or (origin.state == COMPARING and self._compared.get(key) != COMPARING)

    def _look(self) -> Origin:
        found = list[Origin]()
        for path in self._named():
            found.append(self._judged(path))
            if found[-1].state == SAME:
                return found[-1]
        if not found:
            raise ImageError(
                f"{self.path.name} is not where it was",
                expected=f"{self.path}" if self.moved is None else f"a file of that name in {self.moved}",
                got="nothing",
                mend=_MEND,
            )
        possible = [one for one in found if one.state != OTHER]
        if len(found) > 1 and len(possible) != 1:
            reading = any(one.state == COMPARING for one in possible)
            raise ImageError(
                f"none of {len(found)} files called {self.path.name} is known to be the one that was segmented",
                expected="one of the content that was segmented",
                got="files that are still being read to compare them" if reading else "files of other content",
                mend="look again in a while" if reading else _MEND,
            )
        return (possible or found)[0]

    def _named(self) -> Iterator[Path]:
        """Files of its name: where it lay, then in the folder to look in and below it."""
        if self.path.exists():
            yield self.path
        if self.moved is not None:
            yield from (one for one in sorted(self.moved.rglob(glob.escape(self.path.name))) if one != self.path)

    def _judged(self, path: Path) -> Origin:
        content = content_of(path)
        if content and content == self.content:
            return Origin(path, content, SAME)
        files = files_of(path)
        if self.content and all(map(is_read_whole, files)):
            return Origin(path, content, OTHER)
        known = self.digests() if files == [path] and path.is_file() else ()
        return Origin(path, content, self._compare(path, known) if known else UNSURE)

    def _compare(self, path: Path, known: Collection[str]) -> str:
        """What is known of a file by its whole content, which is read in the background."""
        key = path, stamp_of(path)
        if key not in self._compared:
            self._compared[key] = COMPARING
            threading.Thread(target=self._read, args=(key, known), daemon=True).start()
        return self._compared[key]

    def _read(self, key: tuple[Path, Stamp | None], known: Collection[str]) -> None:
        try:
            with _ONE_AT_A_TIME:
                state = SAME if path_digest(key[0]) in known else OTHER
        except OSError:  # whoever opens it says why
            state = UNSURE
        with self._lock:
            self._compared[key] = state


Told = dict[str, str]


@dataclass(eq=False)
class OriginChecks:
    """What is to be told of the inputs of slides, which are looked for in the background, one after another."""

    _told: dict[str, tuple[Told | None, bool]] = field(default_factory=dict)
    _waiting: dict[str, Callable[[], Origin]] = field(default_factory=dict)
    _worker: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, id_: str, find: Callable[[], Origin]) -> tuple[Told | None, bool]:
        """What is to be told of an input as far as is known, and whether more will be.

        Args:
            id_: of the slide.
            find: finds its input, see ``OriginFinder.find``.
        """
        with self._lock:
            found, more = self._told.get(id_, (None, True))
            if more and id_ not in self._waiting:
                self._waiting[id_] = find
                if self._worker is None:
                    self._worker = threading.Thread(target=self._work, daemon=True)
                    self._worker.start()
            return found, more

    def put(self, id_: str, origin: Origin | None, fault: Told | None) -> None:
        """Keep in mind what was found of an input, or what is wrong with it."""
        told = fault if origin is None or fault is not None else origin.warning
        with self._lock:
            self._told[id_] = told, origin is not None and origin.state == COMPARING

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._worker = None
                    return
                id_, find = next(iter(self._waiting.items()))
            try:
                self.put(id_, find(), None)
            except HistofactorError as error:
                self.put(id_, None, error_parts(error))
            with self._lock:
                del self._waiting[id_]


def error_parts(error: HistofactorError) -> Told:
    """An error as the page shows it."""
    parts = {"what": error.what, "expected": error.expected, "got": error.got, "mend": error.mend}
    return {name: text for name, text in parts.items() if text}
