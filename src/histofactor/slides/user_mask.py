"""Tissue masks that the user brings instead of the one that is found."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from histofactor.errors import ImageError

FORMATS = ("PNG", "TIFF")
MAX_ASPECT_ERROR = 0.02
_EXPECTED = "a PNG or TIFF image whose px above 0 are tissue"
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, struct.error)


def read_mask(path: str | Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask of the whole slide at any scale.

    A px is tissue where its value, palette index or any of its colours is above 0; opacity does not count.

    Args:
        path: a PNG or TIFF file (its first page) of up to 89 million px; its sides are in the ratio of the slide's
            within 2 %.
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return np.asarray(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(
            f"the tissue mask {path} is too large",
            expected=f"at most {Image.MAX_IMAGE_PIXELS} px",
            got=str(error),
            mend="export it at a lower resolution: 8 µm/px is plenty",
        ) from error
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
    except _DAMAGED as error:
        got = f"{type(error).__name__}: {error}"
        raise _unreadable(path, "is damaged or cut off", got, "copy or export it again") from error


def _unreadable(path: Path, what: str, got: str, mend: str) -> ImageError:
    return ImageError(f"the tissue mask {path} {what}", expected=_EXPECTED, got=got, mend=mend)
