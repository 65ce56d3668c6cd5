"""Where on a thumbnail there is tissue: glass is bright, colourless and flat; tissue absorbs.

Nothing is split in two classes for the sake of it: a field of view that is tissue from edge to edge comes back
whole, and a blank slide comes back empty. All decisions are made in optical density against the glass.
"""

from __future__ import annotations

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
INK_FRINGE_UM = 60.0  # how far ink that is out of focus bleeds
MAX_HOLE_UM2 = 20_000.0  # lumina and fat cells (a disc of 160 µm) belong to the tissue around them
MIN_SPECK_UM2 = 2_000.0  # loose cells and dust (a disc of 50 µm) do not count
MAX_CUT_SHARE = 0.05  # of the image: pieces cut by the border are of unknown size, so only small ones change
CLOSE_UM = 15.0  # pale matrix between cells this far (or twice) apart belongs to the tissue
_SMOOTH_UM = 3.0
_DEFAULT_GLASS = 245.0
_SCANNED_SHARE = 0.05  # of the image: so much glass below pure white shows that the pure white was never scanned
_GLASS_BRIGHTNESS, _GLASS_TINT, _GLASS_STD, _GLASS_SHARE = 190, 30, 2.5, 0.01


def tissue_mask(thumbnail: NDArray[np.uint8], mpp: float | None) -> NDArray[np.bool_]:
    """Tell tissue from glass.

    A px is tissue if it absorbs (optical density against the slide's own glass) and does so in the colours of the
    dyes, which pen, shadows, dust and black borders do not; faint px count only where they touch denser ones. Gaps
    of less than 30 µm between cells are closed. Then enclosed glass up to 0.02 mm² is filled, as the lumina and fat
    cells that it is, and specks below 2000 µm² are dropped.

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
    sigma_px = min(_SMOOTH_UM / mpp, 8.0)
    reach_px = 2 * int(4 * sigma_px + 0.5) + 1
    smooth = cv2.GaussianBlur(
        thumbnail.astype(np.float32), (reach_px, reach_px), sigma_px, borderType=cv2.BORDER_REFLECT
    )
    density = -np.log10(np.maximum(smooth, 1.0) / glass_level(thumbnail))  # h w 3
    least, absorbs = extremes(density)
    if _is_coloured(thumbnail):
        tinted = absorbs - least > np.maximum(MIN_TINT, MIN_TINT_SHARE * absorbs)
        ink = ink_mask(density, mpp)
        absorbs = np.where(tinted & ~ink, absorbs, 0.0)
        absorbs = np.where(_beyond_fringes(absorbs > FAINT_DENSITY, ink, INK_FRINGE_UM / mpp + 2), absorbs, 0.0)
    tissue = _closed(_touching(absorbs > FAINT_DENSITY, absorbs > SURE_DENSITY), CLOSE_UM / mpp)
    tissue = _flip_small(tissue, max_px=MAX_HOLE_UM2 / mpp**2, value=False)
    return _flip_small(tissue, max_px=MIN_SPECK_UM2 / mpp**2, value=True)


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


def _beyond_fringes(tissue: NDArray[np.bool_], ink: NDArray[np.bool_], fringe_px: float) -> NDArray[np.bool_]:
    """Take the pale fringe of ink off the tissue, but not from tissue that goes on beyond it."""
    if not ink.any():
        return tissue
    far: NDArray[np.bool_] = distance_px(~ink) > fringe_px
    beyond = tissue & far
    if not beyond.any():
        return beyond
    near: NDArray[np.bool_] = distance_px(~beyond) <= fringe_px
    return tissue & near


def _closed(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Close gaps (dilate, then erode, by a disc); beyond the border everything counts as tissue in the erosion."""
    if not mask.any():
        return mask
    grown: NDArray[np.bool_] = distance_px(~mask) <= radius_px
    if grown.all():
        return grown
    closed: NDArray[np.bool_] = distance_px(grown) > radius_px
    return closed


def _flip_small(mask: NDArray[np.bool_], *, max_px: float, value: bool) -> NDArray[np.bool_]:
    """Flip the pieces of ``value`` up to ``max_px``; those cut by the border only up to a share of the image."""
    pieces = _pieces(mask == value, corners=value)
    area_px = np.bincount(pieces.ravel())
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    limit_px = np.full(len(area_px), max_px)
    limit_px[border] = min(max_px, MAX_CUT_SHARE * mask.size)
    flips = area_px <= limit_px
    flips[0] = False  # everything of the other value
    flipped: NDArray[np.bool_] = mask ^ flips[pieces]
    return flipped


def _pieces(mask: NDArray[np.bool_], *, corners: bool) -> NDArray[np.int32]:
    """Number the connected pieces from 1; tissue connects across corners, so glass must not."""
    pieces: NDArray[np.int32] = ndimage.label(mask, np.ones((3, 3)) if corners else None)[0]
    return pieces
