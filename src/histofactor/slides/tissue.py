"""Where on a thumbnail there is tissue: glass is bright, colourless and flat; tissue absorbs.

Nothing is split in two classes for the sake of it: a field of view that is tissue from edge to edge comes back
whole, and a blank slide comes back empty. All decisions are made in optical density against the glass.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histofactor.errors import OptionError
from histofactor.slides.channels import distance_px, extremes
from histofactor.slides.ink import ink_mask

ASSUMED_MPP = 0.5
FAINT_DENSITY = 0.05  # tissue where it touches denser tissue: palest stroma, oedema
SURE_DENSITY = 0.12  # tissue wherever it is found: beyond stray light, dust shadow and vignetting
MIN_TINT = 0.02  # dyes absorb one colour more than another; shadows and black borders do not
MIN_TINT_SHARE = 0.15  # of the density: what dust, coverslip edges and folds of glass stay below
BLACK_DENSITY = (
    1.0  # of the brightest channel: both dyes let more than a tenth of red or blue through, padding does not
)
INK_FRINGE_UM = 60.0  # how far ink that is out of focus bleeds
MAX_HOLE_UM2 = 20_000.0  # lumina and fat cells (a disc of 160 µm) belong to the tissue around them
MIN_SPECK_UM2 = 2_000.0  # loose cells and dust (a disc of 50 µm) do not count
MAX_CUT_SHARE = 0.05  # of the image: specks cut by the border are of unknown size, so only small ones go
MAX_MOUTH_UM = 60.0  # at the border, of a hole that is filled whatever its shape
CLOSE_UM = 15.0  # pale matrix between cells this far (or twice) apart belongs to the tissue
_SMOOTH_UM, _SMOOTH_PX = 3.0, 8.0
_DEFAULT_GLASS = 245.0
_SCANNED_SHARE = 0.05  # of the image: so much glass below pure white shows that the pure white was never scanned
_GLASS_BRIGHTNESS, _GLASS_TINT, _GLASS_STD, _GLASS_SHARE = 190, 30, 2.5, 0.01


def tissue_mask(thumbnail: NDArray[np.uint8], mpp: float | None) -> NDArray[np.bool_]:
    """Tell tissue from glass.

    A px is tissue if it absorbs (optical density against the slide's own glass) and does so in the colours of the
    dyes, which pen, shadows, dust and black borders do not; faint px count only where they touch denser ones. Px
    that pass less than a tenth of the light in every colour, as what was never scanned, are none in grey images either.
    Gaps of less than 30 µm between cells are closed. Then glass up to 0.02 mm² that tissue encloses is filled, as the
    lumina and fat cells that it is, and specks below 2000 µm² are dropped. What lies beyond the border is taken for
    glass: it neither closes a gap nor encloses a hole.

    Args:
        thumbnail: (height, width, 3) uint8 RGB.
        mpp: µm per px of the thumbnail; 0.5 is assumed where it is None.

    Returns:
        (height, width) bool, True on tissue.

    Raises:
        OptionError: the thumbnail is not an RGB array, or ``mpp`` is not positive.
    """
    if thumbnail.ndim != 3 or thumbnail.shape[2] != 3 or thumbnail.dtype != np.uint8:
        got = f"{thumbnail.shape} of {thumbnail.dtype}"
        raise OptionError("thumbnail is no RGB image", expected="(height, width, 3) of uint8", got=got)
    mpp = ASSUMED_MPP if mpp is None else mpp
    if not mpp > 0:
        raise OptionError("mpp is not positive", expected="µm per px of the thumbnail", got=f"{mpp}")
    sigma_px = min(_SMOOTH_UM / mpp, _SMOOTH_PX)
    reach_px = 2 * int(4 * sigma_px + 0.5) + 1
    smooth = cv2.GaussianBlur(
        thumbnail.astype(np.float32), (reach_px, reach_px), sigma_px, borderType=cv2.BORDER_REFLECT
    )
    glass = glass_level(thumbnail)
    density = -np.log10(np.maximum(smooth, 1.0) / glass)  # h w 3
    least, absorbs = extremes(density)
    if (black := least > BLACK_DENSITY).any():
        sharp = extremes(thumbnail / glass)[1] < 10**-BLACK_DENSITY
        black |= sharp & (distance_px(~black) <= 2 * sigma_px)  # up to its edge, which the blur made brighter
        absorbs = _without(absorbs, black, 3 * sigma_px + 2)
    if _is_coloured(thumbnail):
        tinted = absorbs - least > np.maximum(MIN_TINT, MIN_TINT_SHARE * absorbs)
        ink = ink_mask(density, mpp)
        absorbs = _without(np.where(tinted, absorbs, np.float32(0)), ink, INK_FRINGE_UM / mpp + 2)
    tissue = _closed(_touching(absorbs > FAINT_DENSITY, absorbs > SURE_DENSITY), CLOSE_UM / mpp)
    return _without_specks(_filled(tissue, absorbs, mpp), mpp)


def glass_level(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate the colour of bare glass: the median of bright, nearly colourless, flat px.

    Tissue is textured where it is pale, so a field of view without glass has (almost) no such px and gets the
    usual level of a scanner's white instead of its own palest tissue. Pure white counts only where there is hardly
    any other glass, for viewers paint so what was never scanned.

    Args:
        thumbnail: (height, width, 3) uint8 RGB.

    Returns:
        (3,) float32 RGB level.
    """
    darkest, brightest = extremes(thumbnail)
    green = thumbnail[..., 1].astype(np.float32)
    mean, mean_square = (cv2.blur(values, (5, 5), borderType=cv2.BORDER_REFLECT) for values in (green, green**2))
    variance = mean_square - mean**2
    glass = (darkest > _GLASS_BRIGHTNESS) & (brightest - darkest < _GLASS_TINT) & (variance < _GLASS_STD**2)
    if glass.mean() < _GLASS_SHARE:
        return np.full(3, _DEFAULT_GLASS, np.float32)
    scanned = glass & (darkest < 255)
    if scanned.mean() >= _SCANNED_SHARE:
        glass = scanned
    level: NDArray[np.float32] = np.median(thumbnail[glass], axis=0).astype(np.float32)
    return level


def _is_coloured(thumbnail: NDArray[np.uint8]) -> bool:
    darkest, brightest = extremes(thumbnail)
    return bool((brightest - darkest > 4).mean() > 0.001)


def _touching(faint: NDArray[np.bool_], sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the pieces of ``faint`` that hold a px of ``sure`` (hysteresis)."""
    pieces = _pieces(faint, corners=True)
    keep = np.bincount(pieces[sure], minlength=pieces.max() + 1) > 0
    keep[0] = False
    kept: NDArray[np.bool_] = keep[pieces]
    return kept


def _without(absorbs: NDArray[np.float32], marks: NDArray[np.bool_], fringe_px: float) -> NDArray[np.float32]:
    """Density without marks and their pale fringe; tissue that goes on beyond the fringe keeps it."""
    if not marks.any():
        return absorbs
    fringe = distance_px(~marks) <= fringe_px
    beyond = (absorbs > FAINT_DENSITY) & ~fringe
    kept = ~fringe if not beyond.any() else ~fringe | (~marks & (distance_px(~beyond) <= fringe_px))
    return np.where(kept, absorbs, np.float32(0))


def _closed(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Close gaps (dilate, then erode, by a disc) as if glass lay beyond the border."""
    if not mask.any():
        return mask
    margin = int(radius_px) + 2
    grown: NDArray[np.bool_] = distance_px(~np.pad(mask, margin)) <= radius_px
    closed: NDArray[np.bool_] = distance_px(grown) > radius_px
    return closed[margin:-margin, margin:-margin]


def _filled(tissue: NDArray[np.bool_], absorbs: NDArray[np.float32], mpp: float) -> NDArray[np.bool_]:
    """Fill small holes of tissue.

    A hole that the border cuts counts where it is of pale matrix instead of glass, and where one side alone cuts it, so
    that there is tissue on both hands: if it is hardly wider there than a gap between cells, or if the tissue is seen
    to go more than half way around.
    """
    holes, area_px, sides_px = _measured(~tissue, corners=False)
    mouth_px, sides = sides_px.sum(axis=0), (sides_px > 0).sum(axis=0)  # a corner lies on two sides
    half_seen = (area_px >= np.pi / 8 * mouth_px**2) | (mouth_px <= MAX_MOUTH_UM / mpp)  # half a disc of that width
    pale = np.bincount(holes.ravel(), absorbs.ravel()) > FAINT_DENSITY / 3 * area_px
    small = area_px <= _limits_px(MAX_HOLE_UM2 / mpp**2, sides_px, tissue.size)
    fills = small & ((sides == 0) | ((sides == 1) & half_seen) | pale)
    fills[0] = False  # the tissue
    filled: NDArray[np.bool_] = tissue | fills[holes]
    return filled


def _without_specks(tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    specks, area_px, sides_px = _measured(tissue, corners=True)
    kept = area_px > _limits_px(MIN_SPECK_UM2 / mpp**2, sides_px, tissue.size)
    kept[0] = False  # the glass
    without: NDArray[np.bool_] = kept[specks]
    return without


def _limits_px(max_px: float, sides_px: NDArray[Any], image_px: int) -> NDArray[np.float64]:
    """Largest area of every piece that may change: less where the border cuts it."""
    return np.where(sides_px.any(axis=0), min(max_px, MAX_CUT_SHARE * image_px), max_px)


def _measured(mask: NDArray[np.bool_], *, corners: bool) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]:
    """Pieces of a mask, their areas (n,) and how many px of each of the four sides they take (4, n)."""
    pieces = _pieces(mask, corners=corners)
    area_px = np.bincount(pieces.ravel())
    sides = (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])
    return pieces, area_px, np.array([np.bincount(side, minlength=len(area_px)) for side in sides])


def _pieces(mask: NDArray[np.bool_], *, corners: bool) -> NDArray[np.int32]:
    """Number the connected pieces from 1; tissue connects across corners, so glass must not."""
    pieces: NDArray[np.int32] = ndimage.label(mask, np.ones((3, 3)) if corners else None)[0]
    return pieces
