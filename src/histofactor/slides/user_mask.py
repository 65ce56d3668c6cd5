"""Tissue masks that the user brings instead of the one that is found."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from histofactor.errors import ImageError
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.pillow import quiet_pillow
from histofactor.slides.pixels import ORIENTATION_TAG

MAX_PX = 89_000_000
MAX_BYTES = 2**27  # of the values
MAX_ASPECT_ERROR = 0.02
_PLAIN = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}  # compressions that fill a tile and no more
_CODED = {7, 33003, 33004, 33005, 34712}  # JPEG and JPEG 2000, whose tiles state a size of their own
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EXPECTED = "a PNG or TIFF image whose px above 0 are tissue"


def read_mask(path: str | Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask of the whole slide at any scale.

    A px is tissue where its value, palette index or any of its colours is above 0; opacity does not count. What is
    stored counts, not what is shown: 1 is tissue also in a TIFF file that shows it black (WhiteIsZero), as masks of
    tifffile and ImageJ do. Tiles that were never written are 0.

    Args:
        path: a PNG or TIFF file (its first page) of up to 89 million px and 128 MiB of values; its sides are in the
            ratio of the slide's within 2 %.
        shape: (height, width) to return.

    Returns:
        (height, width) bool, True on tissue, by nearest neighbour.

    Raises:
        ImageError: the file is missing, damaged, too large, of another shape, or marks no tissue.
    """
    path = Path(path)
    marked: NDArray[np.bool_] = np.greater(_decode(path), 0)
    if marked.ndim == 3:
        colors = marked.shape[2] - (marked.shape[2] in (2, 4))  # the last of two or four is opacity
        marked = np.asarray(marked[..., :colors].any(axis=2))
    height, width = shape
    ratio = (marked.shape[1] / marked.shape[0]) / (width / height)
    if max(ratio, 1 / ratio) > 1 + MAX_ASPECT_ERROR:
        raise ImageError(
            f"the tissue mask {path} is of another shape than the slide",
            expected=f"width / height of {width / height:.3f} within {MAX_ASPECT_ERROR:.0%}",
            got=f"{marked.shape[1]} × {marked.shape[0]} px, {marked.shape[1] / marked.shape[0]:.3f}",
            mend="export the mask of the whole slide, uncropped and unturned",
        )
    rows, cols = (
        (2 * np.arange(wanted) + 1) * held // (2 * wanted) for wanted, held in zip(shape, marked.shape, strict=True)
    )
    mask: NDArray[np.bool_] = marked[rows[:, None], cols]
    if not mask.any():
        raise ImageError(
            f"the tissue mask {path} marks no tissue",
            expected="px above 0 on tissue",
            got=f"none on {width} × {height} px",
            mend="check the file, or leave the mask out",
        )
    return mask


def _decode(path: Path) -> NDArray[Any]:
    """Decode the px as they are stored: (h, w) or (h, w, channels)."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            return _decode_tiff(file, path) if magic in _TIFF_MAGIC else _decode_png(file, path)
    except UnidentifiedImageError:
        raise _unreadable(
            path, "is not an image that can be read", "another kind of file", "export it as PNG"
        ) from None
    except FileNotFoundError:
        raise _unreadable(path, "does not exist", "no such file", "check the path") from None
    except IsADirectoryError:
        raise _unreadable(path, "is a folder", "a folder", "name the file in it") from None
    except PermissionError:
        raise _unreadable(path, "may not be read", "no permission", "check its permissions") from None
    except (*DAMAGED, MemoryError) as error:
        got = f"{type(error).__name__}: {error}"
        raise _unreadable(path, "is damaged or cut off", got, "copy or export it again") from error


def _decode_png(file: BinaryIO, path: Path) -> NDArray[Any]:
    with quiet_pillow(), Image.open(file, formats=("PNG",)) as image:
        bits = 16 if image.mode.startswith("I") else 8
        _check_size(path, image.size, len(image.getbands()) * bits // 8)
        return np.asarray(image)


def _decode_tiff(file: BinaryIO, path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        _check_size(path, (page.imagewidth, page.imagelength), page.samplesperpixel * max(page.bitspersample // 8, 1))
        if page.dtype is None or page.imagedepth > 1:
            raise ValueError(f"{page.bitspersample} bits a px in {page.imagedepth} planes are unknown")
        _check_segments(page, os.fstat(file.fileno()).st_size)
        if int(page.compression) not in _PLAIN:
            _check_coded(page, file)
        page.nodata = 0
        planes = page.asarray(squeeze=False)  # planes, depth 1, h, w, channels
        values = np.moveaxis(planes[:, 0, ..., 0], 0, -1) if len(planes) > 1 else planes[0, 0]
        return _upright(values, int(page.tags.valueof(ORIENTATION_TAG, default=1)))


def _check_size(path: Path, size: tuple[int, int], px_bytes: int) -> None:
    width, height = size
    if width * height > MAX_PX or width * height * px_bytes > MAX_BYTES:
        raise ImageError(
            f"the tissue mask {path} is too large",
            expected=f"at most {MAX_PX} px and {MAX_BYTES} bytes",
            got=f"{width} × {height} px of {px_bytes} bytes",
            mend="export it at a lower resolution: 8 µm/px is plenty",
        )


def _check_segments(page: tifffile.TiffPage, file_bytes: int) -> None:
    """Whether all tiles or strips are in the file; empty ones were never written."""
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    expected = int(np.prod(page.chunked))
    if len(places) < expected:
        raise ValueError(f"{len(places)} of {expected} tiles or strips are listed")
    beyond = sum(offset + count > file_bytes for offset, count in places if count)
    if beyond:
        raise ValueError(f"{beyond} of {expected} tiles or strips lie beyond the end of the file")


def _check_coded(page: tifffile.TiffPage, file: BinaryIO) -> None:
    """Whether no tile or strip claims to be larger than it is to be, before any is decoded."""
    if int(page.compression) not in _CODED:
        raise ValueError(f"compression {int(page.compression)} is not expected in a mask")
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count:
            file.seek(offset)
            with quiet_pillow(), Image.open(BytesIO(file.read(count)), formats=("JPEG", "JPEG2000")) as image:
                if image.width > width or image.height > height:
                    raise ValueError(
                        f"a part of {width} × {height} px holds an image of {image.width} × {image.height}"
                    )


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror rows and columns as the orientation of TIFF 6.0 asks for."""
    if orientation in (5, 6, 7, 8):
        values = np.swapaxes(values, 0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def _unreadable(path: Path, what: str, got: str, mend: str) -> ImageError:
    return ImageError(f"the tissue mask {path} {what}", expected=_EXPECTED, got=got, mend=mend)
