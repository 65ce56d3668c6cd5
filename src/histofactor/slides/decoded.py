"""Plain images that are opened more than once are decoded once, as far as memory reaches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from histofactor.base.files import Stamp, stamp_of
from histofactor.errors import HistofactorError
from histofactor.slides.files import decode_file
from histofactor.slides.pixels import Decoded

_MOST_BYTES = 2**29  # of px that are held at a time
_BYTES_PER_PX = 4  # of RGB, as Pillow has it

_How = tuple[str | int | None, float, Stamp | None]  # how it was decoded, and from which file


@dataclass(slots=True, eq=False)
class _Held:
    """An image that is to be held; whoever decodes it has the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    how: _How | None = None
    decoded: Decoded | None = None
    n_bytes: int = 0


class DecodedImages:
    """What images were decoded to, of those that are to be held; an image whose file has changed is decoded again.

    Args:
        most_bytes: of px that are held at a time; images beyond it are decoded whenever they are opened.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._used, self._full = most_bytes, 0, False
        self._held: dict[Path, _Held] = {}
        self._lock, self._ahead = threading.Lock(), ThreadPoolExecutor(1, "decode")

    def hold(self, path: Path) -> None:
        """Hold an image from when it is decoded next until it is let go."""
        with self._lock:
            self._held.setdefault(path.absolute(), _Held())

    def let_go(self, path: Path) -> None:
        """Hold an image no more."""
        with self._lock:
            self._drop(path.absolute())

    def clear(self) -> None:
        """Hold none any more."""
        with self._lock:
            for path in list(self._held):
                self._drop(path)

    def decoded(self, path: Path, series: str | int | None, max_image_gb: float) -> Decoded:
        """As ``decode_file``, or what is held of it."""
        held = self._held.get(path.absolute())
        if held is None:
            return decode_file(path, series, max_image_gb)
        with held.lock:
            how = series, max_image_gb, stamp_of(path)
            if held.decoded is not None and held.how == how:
                return held.decoded
            decoded = decode_file(path, series, max_image_gb)
            self._keep(held, how, decoded)
            return decoded

    def ahead(self, path: Path, open_it: Callable[[Path], object]) -> None:
        """Begin to open an image that is to be held, in a thread, where there is room for it.

        Args:
            path: the image.
            open_it: opens it, which asks for ``decoded``. What it fails with is told to whoever opens it next.
        """

        def work() -> None:
            with suppress(HistofactorError):  # it is opened again, by whom that is told
                open_it(path)

        with self._lock:
            held = self._held.get(path.absolute())
            if held is not None and held.decoded is None and not self._full:
                self._ahead.submit(work)

    def _keep(self, held: _Held, how: _How, decoded: Decoded) -> None:
        """Put px in the place of those that are held of an image, where there is room for them."""
        width, height = decoded.image.size
        n_bytes = _BYTES_PER_PX * width * height
        with self._lock:
            self._free(held)
            self._full = self._used + n_bytes > self._most
            if not self._full and held in self._held.values():  # it may have been let go meanwhile
                held.how, held.decoded, held.n_bytes = how, decoded, n_bytes
                self._used += n_bytes

    def _drop(self, path: Path) -> None:
        held = self._held.pop(path, None)
        if held is not None:
            self._free(held)

    def _free(self, held: _Held) -> None:
        self._used, self._full = self._used - held.n_bytes, False
        held.how, held.decoded, held.n_bytes = None, None, 0


IMAGES = DecodedImages()
"""Those of this process."""
