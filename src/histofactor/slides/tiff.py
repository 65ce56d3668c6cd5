"""Large and pyramidal TIFF and OME-TIFF, read tile by tile (or strip by strip) through tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import HistofactorError, ImageError
from histofactor.records import SlideInfo
from histofactor.slides.budget import MAX_IMAGE_GB
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.header import tiff_header
from histofactor.slides.pixels import ORIENTATION_TAG, check_size
from histofactor.slides.pyramid import Box, LeveledSlide, lay_out
from histofactor.slides.resolution import settle_mpp
from histofactor.slides.tiff_directory import Opened, OpenTiff, broken, is_tiff
from histofactor.slides.tiff_pictures import Picture, choose_picture, find_pictures
from histofactor.slides.tiff_pixels import TiffPixels
from histofactor.slides.tiff_tiles import grid_of, is_sparse

LARGE_PX = 2**26  # a tiled TIFF beyond this is a whole slide
MAX_PIXELS = 10**9  # a striped one beyond this
_MAX_TILE_PX = 2**24  # of a tile or strip, which is decoded as a whole
_MAX_PX_BYTES = 8  # of its px
_BYTES_PER_PX = 4  # of a plain image in memory
_ASSOCIATED = {"label", "macro", "thumbnail", "overview", "label image", "macro image", "slide preview"}


def is_tiff_slide(
    path: Path, series: str | int | None = None, max_image_gb: float = MAX_IMAGE_GB, opened: Opened | None = None
) -> bool:
    """Whether a file is a TIFF that is to be read in parts.

    That is a tiled one with a pyramid or more px than a plain image should have, any that would not fit the budget of
    plain images, and what decoders of plain images cannot read: channels as pages, and tiles that were never written.
    A file that cannot be parsed is none: the decoder of plain images says what is wrong with it.

    Raises:
        ImageError: it holds several images of full size.
        OptionError: it holds no image called ``series``.
    """
    if not is_tiff(path):
        return False
    try:
        file = OpenTiff(path, opened)
        try:
            picture, _ = choose_picture(find_pictures(file), series, path)
            base = picture.base
            large = _is_whole(base) or _area(base) * _BYTES_PER_PX > max_image_gb * 1e9
            in_levels, in_pages = bool(base.is_tiled) and len(picture.levels) > 1, len(picture.levels[0]) > 1
            return large or in_levels or in_pages or is_sparse(grid_of(base))
        finally:
            file.close()
    except HistofactorError:
        raise
    except (*DAMAGED, MemoryError):
        return False


class TiffSlide(LeveledSlide):
    """A TIFF of which only the tiles that are asked for are read.

    Tiles that were never written are white.

    Args:
        path: the file.
        source_mpp: µm/px that replaces the header's, or None.
        series: name or number of one of several images in the file; the largest if None.
        opened: opens the file another way than by its path, where not all of it is there.

    Raises:
        ImageError: it is no TIFF that can be read in parts, or holds px of unknown meaning.
        ResolutionError: the µm/px cannot be used, or a whole slide has none.
        OptionError: no image of the file is called ``series``.
    """

    def __init__(
        self,
        path: Path,
        source_mpp: float | None,
        series: str | int | None = None,
        opened: Opened | None = None,
    ) -> None:
        import tifffile

        try:
            self._file = OpenTiff(path, opened)
        except HistofactorError:
            raise
        except (*DAMAGED, MemoryError) as error:
            raise broken(path, error) from error
        try:
            pictures = find_pictures(self._file)
            picture, left_out = choose_picture(pictures, series, path)
            base = picture.base
            _check(base, path)
            self._pixels = TiffPixels(
                self._file, picture, max_tile_bytes=_MAX_TILE_PX * _MAX_PX_BYTES, max_depth_px=LARGE_PX
            )
            mpp, resolution_notes = settle_mpp(picture.stated, source_mpp, str(path), required=_is_whole(base))
            self._associated = {
                other.name: other
                for other in pictures
                if other is not picture and other.name.strip().lower() in _ASSOCIATED
            }
            vendor, objective, properties = tiff_header(self._file.tiff.pages[0], base)
        except HistofactorError:
            self._file.close()
            raise
        except (*DAMAGED, MemoryError) as error:
            self._file.close()
            raise broken(path, error) from error
        sizes = self._pixels.sizes
        info = SlideInfo(
            path=path,
            size=sizes[0],
            mpp=mpp,
            level_downsamples=tuple((sizes[0][0] / w + sizes[0][1] / h) / 2 for w, h in sizes),
            reader=f"tifffile {tifffile.__version__}",
            notes=(*left_out, *self._pixels.notes, *resolution_notes),
            vendor=vendor,
            objective=objective,
            properties=properties,
            associated=tuple(self._associated),
        )
        super().__init__(info, lay_out(sizes))

    @property
    def _closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        self._pixels.forget()

    def _read_px(self, level: int, box: Box) -> Image.Image:
        if self._closed:
            raise self._closed_error()
        return self._pixels.read(level, box)

    def _read_associated(self, name: str) -> NDArray[np.uint8]:
        return np.asarray(whole_picture(self._file, self._associated[name], LARGE_PX * _BYTES_PER_PX / 1e9)[0])


def whole_picture(file: OpenTiff, picture: Picture, max_gb: float) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode an image of a TIFF at once: RGB, and what was converted.

    Raises:
        ImageError: the px are of unknown meaning, or take more room than ``max_gb`` (10⁹ bytes).
        DamagedPixels: a part of it cannot be decoded.
        OSError, ValueError and others of ``DAMAGED``: the file is damaged.
    """
    pixels = TiffPixels(file, picture, max_tile_bytes=max_gb * 1e9, max_depth_px=max_gb * 1e9)
    return pixels.read(0, (0, 0, *pixels.sizes[0])), pixels.notes


def _is_whole(base: Any) -> bool:
    """Whether the page is larger than a plain image: it then needs µm/px."""
    return _area(base) > (LARGE_PX if base.is_tiled else MAX_PIXELS)


def _area(page: Any) -> int:
    return int(page.imagewidth * page.imagelength)


def _check(base: Any, path: Path) -> None:
    """Refuse pages that cannot be read in parts."""
    check_size((base.imagewidth, base.imagelength), str(path))
    orientation = base.tags.valueof(ORIENTATION_TAG, default=1)
    if orientation != 1:
        raise ImageError(
            f"{path} is stored turned or mirrored, and pyramids and large images are not set upright as they are read",
            expected="orientation 1 in its header: upright",
            got=f"orientation {orientation}",
            mend="turn it as its orientation says and save it again with its µm/px",
        )
