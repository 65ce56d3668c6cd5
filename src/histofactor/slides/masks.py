"""A tissue mask that the user brings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from histofactor.errors import ImageError
from histofactor.slides.files import decode_file

_MAX_DISTORTION = 0.02  # of the aspect ratio, beyond rounding to whole px


def read_mask(path: str | Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read an image of a whole slide's tissue.

    Args:
        path: an image of any size with the slide's aspect ratio; px > 0 in any channel are tissue.
        shape: (height, width) wanted.

    Returns:
        (height, width) bool, by nearest neighbour.

    Raises:
        ImageError: the image cannot be read, or has another aspect ratio than the slide.
    """
    image = decode_file(Path(path)).image
    (width, height), wanted = image.size, shape[1] / shape[0]
    slack = _MAX_DISTORTION + 1 / min(width, height) + 1 / min(shape)
    if abs(width / height / wanted - 1) > slack:
        raise ImageError(
            f"the tissue mask {path} does not fit its slide",
            expected=f"the slide's aspect ratio, {wanted:.3f}",
            got=f"{width / height:.3f} ({width} × {height} px)",
            mend="draw it on a thumbnail of the whole slide",
        )
    tissue = (np.asarray(image).max(axis=2) > 0).astype(np.uint8)
    resized = cv2.resize(tissue, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, bool)
