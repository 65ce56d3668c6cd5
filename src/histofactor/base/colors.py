"""Colours for phenotypes: distinct for every kind of colour vision, and unlike the stain beneath them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.records import Color

MAX_COLORS = 256

# Okabe & Ito, Color Universal Design (2008), without black and without reddish purple, which is a stain.
_OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)

# Linear RGB as each kind of vision sees it: Machado, Oliveira & Fernandes, IEEE TVCG 15(6), 2009, severity 1.
_VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)
_XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)  # sRGB, IEC 61966-2-1
_WHITE = _XYZ_FROM_RGB.sum(axis=1)  # D65

_LIGHTNESS = (32.0, 82.0)  # neither near-black nor near-white
_MIN_CHROMA = 40.0  # dull colours vanish when blended over tissue
_STAIN_HUES = (285.0, 25.0)  # CIELAB hue from haematoxylin's violet through eosin's pink, in degrees
_FULL_VISION = 0.5  # normal vision spans more of CIELAB, so it has to tell colours twice as far apart


def palette(k: int) -> tuple[Color, ...]:
    """Return ``k`` distinct colours; a shorter palette is always the beginning of a longer one.

    Starts with six colours of Okabe & Ito and goes on greedily: the next colour is the one whose smallest
    CIELAB distance to those before it is largest, where a distance is the smallest one under protanopia,
    deuteranopia and, halved, normal vision. The pinks and purples of H&E, dull colours, near-black and
    near-white are left out.

    Args:
        k: how many, 1 … 256.

    Returns:
        ``k`` 8-bit sRGB triples, the same on every call.

    Raises:
        OptionError: ``k`` is out of range.
    """
    if not 1 <= k <= MAX_COLORS:
        raise OptionError("cannot make that many colours", expected=f"1 … {MAX_COLORS}", got=str(k))
    return _all_colors()[:k]


def perceived_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIELAB coordinates of colours as seen with normal vision, protanopia and deuteranopia.

    Args:
        rgb: (n, 3) uint8 sRGB.

    Returns:
        (3, n, 3) float64: vision, colour, (L*, a*, b*), for the D65 white point (CIE 15:2004).
    """
    unit = rgb / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,nj->vni", _VISIONS, linear), 0, 1)
    t = seen @ _XYZ_FROM_RGB.T / _WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def _all_colors() -> tuple[Color, ...]:
    rgb = np.concatenate([np.array(_OKABE_ITO, np.uint8), _candidates()])
    lab = perceived_lab(rgb)
    lab[0] *= _FULL_VISION
    chosen: list[int] = []
    nearest = np.full(len(rgb), np.inf)
    while len(chosen) < MAX_COLORS:
        following = len(chosen) if len(chosen) < len(_OKABE_ITO) else int(nearest.argmax())
        chosen.append(following)
        distance = np.linalg.norm(lab - lab[:, following : following + 1], axis=-1)
        np.minimum(nearest, distance.min(axis=0), out=nearest)
    return tuple((int(r), int(g), int(b)) for r, g, b in rgb[chosen])


def _candidates() -> NDArray[np.uint8]:
    steps = np.linspace(0, 255, 22).astype(np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, a, b = perceived_lab(rgb)[0].T
    hue = np.degrees(np.arctan2(b, a)) % 360
    stain = (hue > _STAIN_HUES[0]) | (hue < _STAIN_HUES[1])
    low, high = _LIGHTNESS
    kept: NDArray[np.uint8] = rgb[(lightness >= low) & (lightness <= high) & (np.hypot(a, b) >= _MIN_CHROMA) & ~stain]
    return kept
