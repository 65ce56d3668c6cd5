"""A slide that was fetched from a store, told by its URL and not by where it lies on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import HistofactorError
from histofactor.records import Region, SlideInfo
from histofactor.records.urls import Url
from histofactor.slides.reader import Slide, open_slide
from histofactor.slides.remote.cache import Held
from histofactor.slides.tiff import TiffSlide, is_tiff_slide


class FetchedSlide:
    """An open slide of a store; what it tells names the URL.

    Args:
        slide: as it was opened from the cache.
        url: where it comes from.
        held: where it lies in the cache.
        stack: closed with it.

    Attributes:
        path: the file that stands for it in the cache.
        is_whole: whether all of it is there.
    """

    def __init__(self, slide: Slide, url: Url, held: Held, stack: ExitStack) -> None:
        self._slide, self._url, self.path, self._stack = slide, url, held.path, stack
        self.is_whole = held.ranged is None or held.ranged.is_whole
        info = slide.info
        notes = [note.replace(str(self.path), str(url)) for note in info.notes] + ([held.note] if held.note else [])
        self._info = replace(info, path=url, notes=tuple(notes))

    @property
    def info(self) -> SlideInfo:
        """What is known of the input."""
        return self._info

    def read(self, region: Region) -> NDArray[np.uint8]:
        """As ``Slide.read``."""
        with told_as(self.path, self._url):
            return self._slide.read(region)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """As ``Slide.read_associated``."""
        with told_as(self.path, self._url):
            return self._slide.read_associated(name)

    def close(self) -> None:
        """Close the slide; the cache may delete it from then on."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_held(held: Held, source_mpp: float | None, series: str | int | None, max_image_gb: float) -> Slide:
    """Open an input of the cache, by range as far as that can be; arguments and errors as of ``open_slide``."""
    if held.ranged is not None:
        with held.ranged.watched():
            if is_tiff_slide(held.path, series, max_image_gb, held.ranged.open):
                return TiffSlide(held.path, source_mpp, series, held.ranged.open)
        held.ranged.fill()
    return open_slide(held.path, source_mpp=source_mpp, series=series, max_image_gb=max_image_gb)


@contextmanager
def told_as(path: Path, url: Url) -> Iterator[None]:
    """Let errors name a URL in place of a file of the cache."""
    try:
        yield
    except HistofactorError as error:
        for name in ("what", "expected", "got", "mend"):
            setattr(error, name, _renamed(getattr(error, name), path, url))
        error.args = tuple(_renamed(one, path, url) if isinstance(one, str) else one for one in error.args)
        raise


def _renamed(text: Any, path: Path, url: Url) -> str:
    return str(text).replace(str(path), str(url)).replace(str(path.parent), url.parent)
