"""TIFF of stores that are read by range: those that the reader of this package takes, and gives the same px of."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event
from typing import Any

from histofactor.errors import ImageError
from histofactor.records.urls import Url
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.openslide_reader import is_vendor_slide
from histofactor.slides.remote.folders import make
from histofactor.slides.remote.ranges import NoPartsError, RangedFile, part_of
from histofactor.slides.tiff import is_tiff_slide
from histofactor.slides.tiff_directory import OpenTiff

SMALL = 2**23  # bytes: a file of less is fetched whole
_PLACE = ".ranges"  # folder of the sparse file: by its own name it would be taken for one that is whole
_SUFFIXES = {".btf", ".tf2", ".tf8", ".tif", ".tiff"}
_OF_SCANNERS = (270, 305, 700)  # description, software and XMP: what OpenSlide knows scanners by


def begin(url: Url, fs: Any, folder: Path, stop: Event) -> tuple[RangedFile | None, str]:
    """Begin to read an input by range, where that gives what it gives once it is fetched.

    Args:
        url: with its files.
        fs: its store.
        folder: of the input in the cache.
        stop: ends all reads when it is set.

    Returns:
        The file with its directories, or None where it is to be fetched whole; and why that is, where it is the store's
        doing, or "".

    Raises:
        OutputError: the folder cannot be written.
    """
    first = url.files[0]
    part = part_of(fs, first) if len(url.files) == 1 and url.suffix.lower() in _SUFFIXES else None
    if part is None or first.size is None or first.size < SMALL or (folder / first.name).exists():
        return None, ""
    place = folder / _PLACE
    shutil.rmtree(place, ignore_errors=True)  # what a run that was killed left does not tell what is there of it
    make(place)
    file, note = RangedFile(url, part, first.size, place / first.name, stop), ""
    try:
        with file.watched():
            if _is_ours(file):
                return file, ""
    except ImageError as error:  # told by whoever fetches it whole, unless that is all that is wrong
        if isinstance(error.__cause__, NoPartsError):
            note = "its store gives no parts of files, so that it was fetched whole"
    file.close()
    shutil.rmtree(place, ignore_errors=True)
    return None, note


def _is_ours(file: RangedFile) -> bool:
    """Whether this package reads the file in parts, and OpenSlide does not; brings all that tells."""
    try:
        tiff = OpenTiff(file.path, file.open)
        try:
            for page in tiff.pages():
                for tag in _OF_SCANNERS:
                    page.tags.valueof(tag)
        finally:
            tiff.close()
    except (*DAMAGED, MemoryError):
        return False
    return not is_vendor_slide(file.path) and is_tiff_slide(file.path, opened=file.open)
