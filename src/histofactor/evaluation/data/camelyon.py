"""CAMELYON16 and 17: whole slides with mask TIFFs, brought to images and labels of one resolution.

Litjens et al., GigaScience 2018, giy065; CC0, in the Registry of Open Data on AWS as ``camelyon-dataset``: slides lie
in ``images/STEM.tif``, masks in ``masks/STEM_mask.tif`` with the levels of their slide. Codes: 0 outside of what was
annotated, 1 normal tissue, 2 tumour. Masks that users draw from the XML files hold other codes (1 tumour, 2 spared);
they are refused where the names of the slides tell.
"""

from __future__ import annotations

import math
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.datasets import MAX_LABEL_PX, check_px
from histofactor.evaluation.data.originals import Original
from histofactor.slides.files import DAMAGED
from histofactor.slides.reader import open_slide
from histofactor.slides.thumbnail import read_thumbnail
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.user_mask import MAX_ASPECT_ERROR

_OUTSIDE, _NORMAL, _TUMOUR = 0, 1, 2
_MAX_PX = 4 * MAX_LABEL_PX  # of the level of a mask that is read: levels halve, so one is at most twice as fine
_COARSER = 1.01  # a level of a mask may be one percent coarser than asked for


def find_camelyon(folder: Path) -> list[Original]:
    """List the masks below a folder with their slides; slides without a mask have no truth and are left out.

    Raises:
        ImageError: a mask has no slide, or two.
    """
    files = sorted(path for path in folder.rglob("*.tif") if path.is_file())
    masks = {path: path.stem[: -len("_mask")] for path in files if path.stem.lower().endswith("_mask")}
    found = []
    for mask, stem in masks.items():
        slides = [path for path in files if path.stem == stem]
        if len(slides) != 1:
            got = ", ".join(map(str, slides)) or "none"
            raise ImageError(f"the slide of {mask} is not clear", expected=f"one file {stem}.tif", got=got)
        found.append(Original(slides[0], mask, *_told_by_name(stem)))
    return found


def read_camelyon(original: Original, mpp: float) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    """Read a slide and its mask at one resolution.

    Args:
        original: slide and mask.
        mpp: µm/px to read at, not finer than the slide.

    Returns:
        RGB (height, width, 3), and codes (height, width) by nearest neighbour: 0 outside, also where the slide cannot
        be read, 1 normal, 2 tumour.

    Raises:
        ImageError: the slide or the mask cannot be read, they do not lie on each other, or the codes cannot be meant
            as they are published.
        OptionError: the slide is coarser than ``mpp``.
        ResolutionError: the slide's µm/px cannot be told.
    """
    with open_slide(original.image) as slide:
        size, slide_mpp = slide.info.size, slide.info.mpp
        if slide_mpp is None or mpp < slide_mpp:
            got = "no µm/px in its header" if slide_mpp is None else f"{slide_mpp:g}"
            raise OptionError(f"{original.image} is not read at {mpp:g} µm/px", expected=f"{mpp:g} or less", got=got)
        width, height = (max(1, round(side * slide_mpp / mpp)) for side in size)
        check_px(original.mask, (width, height))
        rgb, readable = read_thumbnail(slide, (width, height))
    codes = _read_mask(original.mask, (height, width), size)
    _check(original, codes)
    return rgb, np.where(readable, codes, _OUTSIDE)


def _told_by_name(stem: str) -> tuple[str, str, dict[str, str]]:
    """Patient, split and more. CAMELYON16 tells no patients; CAMELYON17 has 20 patients of each of five centres."""
    if match := re.fullmatch(r"(patient_(\d{3}))_node_\d+", stem):
        number = int(match[2])
        return match[1], "train" if number < 100 else "test", {"institute": f"center_{number % 100 // 20}"}
    return "", "test" if stem.lower().startswith("test_") else "train", {}


def _read_mask(path: Path, shape: tuple[int, int], slide_size: tuple[int, int]) -> NDArray[np.integer[Any]]:
    """Codes (height, width) by nearest neighbour, from the coarsest stored level that holds them all."""
    try:
        with closing(OpenTiff(path)) as file:
            levels = file.tiff.series[0].levels
            sizes = [level.shape[:2] for level in levels]
            scale = min(slide_size[0] / shape[1], slide_size[1] / shape[0])
            fine = [i for i, (rows, _) in enumerate(sizes) if sizes[0][0] / rows <= scale * _COARSER]
            chosen = max(fine, default=0)
            if (px := sizes[chosen][0] * sizes[chosen][1]) > _MAX_PX:
                raise ImageError(
                    f"{path} stores no level small enough", expected=f"at most {_MAX_PX:,} px", got=f"{px:,}"
                )
            level = levels[chosen]
            if (px := math.prod(level.keyframe.chunks)) > _MAX_PX:
                raise ImageError(f"a tile of {path} is too large", expected=f"at most {_MAX_PX:,} px", got=f"{px:,}")
            values = np.squeeze(level.asarray())
    except (*DAMAGED, MemoryError) as error:
        raise ImageError(f"cannot read the mask {path}", got=f"{type(error).__name__}: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ImageError(f"{path} holds no labels", expected="one integer per pixel", got=f"shape {values.shape}")
    ratios = [full / side for full, side in zip(sizes[0], slide_size[::-1], strict=True)]
    if max(abs(ratio - 1) for ratio in ratios) > MAX_ASPECT_ERROR:
        got = f"{sizes[0][1]} × {sizes[0][0]} px"
        raise ImageError(f"{path} does not lie on its slide", expected=f"{slide_size[0]} × {slide_size[1]} px", got=got)
    rows, columns = (
        ((np.arange(n) + 0.5) * side / n * stored / full).astype(np.intp)  # px of the slide, then of the level
        for n, side, stored, full in zip(shape, slide_size[::-1], values.shape, sizes[0], strict=True)
    )
    inside = np.ix_(np.minimum(rows, values.shape[0] - 1), np.minimum(columns, values.shape[1] - 1))
    codes: NDArray[np.integer[Any]] = values[inside]
    return codes


def _check(original: Original, codes: NDArray[np.integer[Any]]) -> None:
    """Refuse codes that mean something else than published, as far as the name of the slide tells."""
    name, held = original.image.stem.lower(), {*np.unique(codes).tolist()}
    wrong = held == {_OUTSIDE}
    wrong |= name.startswith("normal_") and _TUMOUR in held
    wrong |= name.startswith("tumor_") and _TUMOUR not in held
    if wrong:
        raise ImageError(
            f"the codes of {original.mask} do not fit the name of its slide",
            expected="0 outside, 1 normal, 2 tumour: tumour in tumor_… alone, and something other than 0",
            got=", ".join(map(str, sorted(held))),
            mend="take the masks of the AWS Registry of Open Data, or a finer µm/px if the tumour is very small",
        )
