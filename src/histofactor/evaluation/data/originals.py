"""Images of an original data set with their masks, and how they are read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError
from histofactor.evaluation.data.datasets import read_codes
from histofactor.slides.files import DAMAGED
from histofactor.slides.pillow import FORMATS

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Original:
    """One image of an original data set.

    Attributes:
        image, mask: the files.
        patient: who it is from, or "" where that is not told: every image then counts as a patient.
        split: the publisher's, or "".
        facts: what else is told of it, by column of ``images.csv``.
    """

    image: Path
    mask: Path
    patient: str
    split: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[Original, float], tuple[NDArray[np.uint8] | None, NDArray[np.integer[Any]]]]
"""From an image and µm/px to its RGB, or None where its file can stay as it is, and the codes (height, width)."""


def read_files(original: Original, mpp: float) -> tuple[None, NDArray[np.integer[Any]]]:
    """Read the mask of an image that stays as it is.

    Raises:
        ImageError: the mask cannot be read, holds colours, or is of another size than the image.
    """
    codes = read_codes(original.mask)
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(original.image, formats=FORMATS) as image,
        ):
            size = image.size
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read {original.image}", got=f"{type(error).__name__}: {error}") from error
    if size != codes.shape[::-1]:
        got = f"{codes.shape[1]} × {codes.shape[0]} px"
        raise ImageError(f"{original.mask} does not lie on its image", expected=f"{size[0]} × {size[1]} px", got=got)
    return None, codes


def paired(
    images: Path,
    masks: Path,
    patient: Callable[[str], str] = lambda stem: "",
    split: str = "",
    *,
    withheld: bool = False,
) -> list[Original]:
    """List the images of a folder with the masks of the same stems in another.

    Args:
        images, masks: the folders; no images where there is no such folder.
        patient: from the stem of an image to who it is from.
        split: of them all.
        withheld: whether masks may be missing; such images are left out.

    Raises:
        ImageError: an image has no mask, and none is withheld.
    """
    found = []
    for image in sorted(images.glob("*")) if images.is_dir() else []:
        if image.suffix.lower() in SUFFIXES and (mask := mask_of(image, masks, image.stem, withheld=withheld)):
            found.append(Original(image, mask, patient(image.stem), split))
    return found


def mask_of(image: Path, folder: Path, stem: str, *, withheld: bool = False) -> Path | None:
    """The mask of an image, or None where it is withheld.

    Raises:
        ImageError: there is none, though none is withheld.
    """
    masks = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if not masks and not withheld:
        raise ImageError(f"{image} has no mask", expected=f"{folder / stem}.png", got="no such file")
    return masks[0] if masks else None
