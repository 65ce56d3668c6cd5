"""TIFF files opened with care: directories that loop or abound are refused before anything follows them."""

from __future__ import annotations

import errno
import logging
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from histofactor.errors import ImageError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_DIRECTORIES = 500
MAX_TAGS = 50_000  # of all directories together
Opened = Callable[[], BinaryIO]
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds wrong is told as an error or a note


class OpenTiff:
    """A TIFF of which parts may be read from several threads.

    Args:
        path: the file.
        opened: opens it another way than by its path, where not all of it is there.

    Attributes:
        tiff: tifffile's view of it.
        path: the file.
        size: bytes in it.

    Raises:
        ImageError: its directories loop or abound.
        OSError, ValueError and others of ``DAMAGED``: it is no TIFF.
    """

    def __init__(self, path: Path, opened: Opened | None = None) -> None:
        import tifffile

        with opened() if opened is not None else path.open("rb") as file:
            _check_directories(file, path)
            self.size = file.seek(0, os.SEEK_END)
        self.path, self._lock, self._is_there = path, threading.Lock(), opened is None
        self.tiff = tifffile.TiffFile(path if opened is None else opened())

    @property
    def closed(self) -> bool:
        """Whether the file was let go."""
        return bool(self.tiff.filehandle.closed)

    def pages(self) -> list[Any]:
        """The pages of the main chain.

        Raises:
            ValueError: the size or the samples of one are no whole numbers.
        """
        pages = [page.aspage() for page in self.tiff.pages]
        for page in pages:
            for name in ("imagewidth", "imagelength", "samplesperpixel", "tilewidth", "tilelength", "rowsperstrip"):
                value = getattr(page, name)
                if not isinstance(value, int):
                    raise ValueError(f"the {name} {str(value)[:40]!r} of page {page.index}")
        return pages

    def read(self, offset: int, count: int) -> bytes:
        """Read bytes; fewer where the file ends."""
        with self._lock:
            self.tiff.filehandle.seek(offset)
            return bytes(self.tiff.filehandle.read(count))

    def is_hole(self, start: int, end: int) -> bool:
        """Whether the file system stores nothing between two bytes; False where it does not tell."""
        if not hasattr(os, "SEEK_DATA") or not self._is_there:
            return False
        with self.path.open("rb") as file:
            try:
                return os.lseek(file.fileno(), start, os.SEEK_DATA) >= end
            except OSError as error:
                return error.errno == errno.ENXIO and end <= self.size

    def close(self) -> None:
        """Let the file go, once the reads under way are done."""
        with self._lock:
            self.tiff.close()


def is_tiff(path: Path) -> bool:
    """Whether a file begins like a TIFF or BigTIFF."""
    try:
        with path.open("rb") as file:
            return file.read(4) in TIFF_MAGIC
    except OSError:
        return False


def broken(path: Path, error: Exception) -> ImageError:
    """The error for a TIFF that cannot be understood."""
    return ImageError(
        f"{path} is damaged or cut off",
        expected="a TIFF",
        got=f"{type(error).__name__}: {error}"[:500],
        mend="copy or export it again",
    )


def _check_directories(file: BinaryIO, path: Path) -> None:
    """Follow the chain of directories (TIFF 6.0, section 2; BigTIFF) without reading what they hold."""
    magic = file.read(4)
    if magic not in TIFF_MAGIC:
        raise ValueError(f"a file that starts with {magic!r}")
    order, big = ("<" if magic[:1] == b"I" else ">"), b"+" in magic
    count_format, offset_format, tag_bytes = (order + "Q", order + "Q", 20) if big else (order + "H", order + "I", 12)

    def number(format_: str, at: int) -> int:
        file.seek(at)
        return int(struct.unpack(format_, file.read(struct.calcsize(format_)))[0])

    seen: set[int] = set()
    tags, offset = 0, number(offset_format, 8 if big else 4)
    while offset:
        if offset in seen:
            raise _refused(path, "a chain of directories that ends", f"one that returns to byte {offset}")
        seen.add(offset)
        try:
            entries = number(count_format, offset)
            tags += entries
            if len(seen) > MAX_DIRECTORIES or tags > MAX_TAGS:
                expected = f"at most {MAX_DIRECTORIES:,} directories of {MAX_TAGS:,} tags in all"
                raise _refused(path, expected, "more")
            offset = number(offset_format, offset + struct.calcsize(count_format) + tag_bytes * entries)
        except (struct.error, OverflowError):  # past the end of the file: tifffile leaves these out
            if len(seen) == 1:
                raise
            return


def _refused(path: Path, expected: str, got: str) -> ImageError:
    return ImageError(
        f"{path} is no image file of a kind that is read", expected=expected, got=got, mend="export it again"
    )
