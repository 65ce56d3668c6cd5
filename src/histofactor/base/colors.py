"""Colours for phenotypes: distinct for every kind of colour vision, and unlike the stain beneath them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.records import Color

MAX_COLORS = 256

OPACITY = 0.55  # of colours over tissue, where nothing else is asked for

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

_LIGHTNESS = (12.0, 96.0)  # neither near-black nor near-white
_MIDDLE = 65.0
_MIN_CHROMA = 22.0  # greys vanish when blended over tissue
_STAIN_HUES = (293.0, 21.0)  # CIELAB hue from haematoxylin's violet through eosin's pink, in degrees
_FULL_VISION = 0.7  # normal vision spans more of CIELAB, so a palette asks it to tell colours further apart
_CROWDED = 0.9  # the same where there are more concepts than colours that every vision tells apart easily
_BENEATH = np.array([207, 160, 196])  # H&E of mean density, over which swatches are shown
_STAINS = (_BENEATH, np.array([185, 110, 190]), np.array([205, 165, 235]))  # over which colours are compared
_FIRST = 8  # colours that are chosen together: of so many phenotypes most of a field consists
_ALL_APART = 16  # concepts of which every two can be told apart in every vision
_STARTS = 40  # of choosing colours together
_CHUNK = 16  # rows at a time: what they are worked in stays in the cache
_ENOUGH = 16.2  # distance beyond which colours of concepts that are seen together need not be further apart
_CLOSE, _EVERYWHERE = 14.0, 0.2  # the same of any two in normal vision, and how much that matters
_SEARCHES = 4


def palette(k: int) -> tuple[Color, ...]:
    """Return ``k`` distinct colours; a shorter palette is always the beginning of a longer one.

    Distinct means as they are seen in an overlay: a distance is the smallest one in CIELAB between two colours that
    lie over tissue of three stains at 45 % transparency, under protanopia, deuteranopia and, times 0.7, normal vision.
    The first eight are chosen together, so that the smallest distance among them is large; from there on the next
    colour is the one whose smallest distance to those before it is largest. The first of all are neither dark nor pale.
    The pinks and purples of H&E, greys, near-black and near-white are left out.

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


def blend(colors: NDArray[Any], beneath: NDArray[Any], opacity: float = OPACITY) -> NDArray[np.float64]:
    """Return colours (…, 3) as an overlay shows them over others (…, 3): sRGB values, mixed, float64."""
    mixed: NDArray[np.float64] = opacity * colors.astype(np.float64) + (1 - opacity) * beneath
    return mixed


def seen_color(color: Color) -> Color:
    """Return a colour as an overlay shows it over H&E of mean density: that of a swatch which is found again in it."""
    red, green, blue = np.rint(blend(np.array(color), _BENEATH)).astype(int)
    return int(red), int(green), int(blue)


def spread_colors(together: NDArray[np.float64]) -> tuple[Color, ...]:
    """Choose colours for K concepts, so that those which are seen together are far apart.

    Up to eight get those of ``palette``, up to sixteen as many that are chosen together: every two are then told apart
    in every vision. The concepts that matter most get those that are neither dark nor pale. Of more than sixteen,
    distances d as in ``palette``, a search makes Σ together[i, j] · max(0, 1 − d / 16.2) + 0.2 · max(0, 1 − n / 14)²
    over pairs small, with n in normal vision alone: two that are not seen together may look alike, first of all to
    colour-blind eyes. It begins with the colours of ``palette``; then, step by step, whichever change of one colour
    helps most is made, and none is taken back soon; of four searches the best counts (see ``base.color_search``).

    Args:
        together: (K, K) from 0 to 1, symmetric: how much it matters that two are told apart; on its diagonal, how much
            each one matters.

    Returns:
        K different 8-bit sRGB triples, the same for the same argument.

    Raises:
        OptionError: K is out of range, or what matters is no number ≥ 0.
    """
    k, rgb = len(together), _candidates()
    if not (np.isfinite(together).all() and np.min(together, initial=0) >= 0):
        raise OptionError("it is not told how much colours matter", expected="numbers ≥ 0", got="NaN, infinite or less")
    weights = np.asarray(together, np.float32) * (1 - np.eye(k, dtype=np.float32))
    color = np.empty(k, np.intp)
    color[np.argsort(-np.diag(together), kind="stable")] = (
        _chosen(_CROWDED, k) if _FIRST < k <= _ALL_APART else _places(rgb, palette(k))
    )
    if k > _ALL_APART:
        color = _searched(weights, color)
    return tuple((int(r), int(g), int(b)) for r, g, b in rgb[color])


def _searched(weights: NDArray[np.float32], start: NDArray[np.intp]) -> NDArray[np.intp]:
    """The places (K,) of the colours that make small what ``spread_colors`` says."""
    from histofactor.base.color_search import Wanted, search_colors

    lacks = np.maximum(1 - _apart(_CROWDED) / _ENOUGH, 0)
    alike = _EVERYWHERE * np.maximum(1 - _apart(1.0, visions=1) / _CLOSE, 0) ** 2
    return search_colors(Wanted(weights, lacks, alike.astype(np.float32)), start, _SEARCHES)


def another_color(taken: Sequence[Color]) -> Color:
    """Return the colour that is furthest from those which are taken, with distances as in ``palette``."""
    rgb, seen = _candidates(), _seen(np.array(taken, np.uint8).reshape(-1, 3), _CROWDED)
    pool = _seen(rgb, _CROWDED)
    apart = [np.linalg.norm(pool - one[:, None], axis=-1).min(axis=0) for one in seen.swapaxes(0, 1)]
    red, green, blue = rgb[np.min(apart, axis=0).argmax()] if apart else palette(1)[0]
    return int(red), int(green), int(blue)


@cache
def _all_colors() -> tuple[Color, ...]:
    rgb, apart, chosen = _candidates(), _apart(_FULL_VISION), _chosen(_FULL_VISION, _FIRST)
    nearest = apart[chosen].min(axis=0)
    while len(chosen) < MAX_COLORS:
        chosen.append(int(nearest.argmax()))
        np.minimum(nearest, apart[chosen[-1]], out=nearest)
    return tuple((int(r), int(g), int(b)) for r, g, b in rgb[chosen])


def _chosen(full_vision: float, count: int) -> list[int]:
    """Places of colours that are chosen together, so that the smallest distance is large; dark and pale ones last."""
    apart = _apart(full_vision)
    starts = np.linspace(0, len(apart) - 1, _STARTS).astype(int)
    _, chosen = max((_together(apart, int(start), count) for start in starts), key=lambda found: found[0])
    lightness = perceived_lab(_candidates())[0, :, 0]
    return sorted(chosen, key=lambda one: abs(float(lightness[one]) - _MIDDLE))  # the largest phenotypes hide no nuclei


def _together(apart: NDArray[np.float32], start: int, count: int) -> tuple[float, list[int]]:
    """How far apart colours are at least, and which: one after another, then each again as long as it helps."""
    chosen = [start]
    while len(chosen) < count:
        chosen.append(int(apart[chosen].min(axis=0).argmax()))
    before: list[int] = []
    while chosen != before:
        before = list(chosen)
        for place in range(count):
            nearest = np.delete(apart[chosen], place, axis=0).min(axis=0)
            if nearest.max() > nearest[chosen[place]]:
                chosen[place] = int(nearest.argmax())
    rows = apart[np.ix_(chosen, chosen)]
    return float(rows[~np.eye(count, dtype=bool)].min()), chosen


@cache
def _apart(full_vision: float, visions: int = len(_VISIONS)) -> NDArray[np.float32]:
    """How far apart (n, n) the candidates are as they are seen; normal vision, the first, counts as far as is told."""
    lab = _seen(_candidates(), full_vision, visions).astype(np.float32)
    squares, n = (lab**2).sum(axis=2), lab.shape[1]
    apart = np.empty((n, n), np.float32)
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        least = np.full_like(apart[rows], np.inf)
        for one, own in zip(lab, squares, strict=True):
            np.minimum(least, own[rows, None] + own - 2 * one[rows] @ one.T, out=least)
        np.sqrt(np.maximum(least, 0), out=apart[rows])
    return apart


def _seen(rgb: NDArray[np.uint8], full_vision: float, visions: int = len(_VISIONS)) -> NDArray[np.float64]:
    """CIELAB (stains × visions, n, 3) of colours over tissue of every stain, by the first visions."""
    lab = np.stack([perceived_lab(np.rint(blend(rgb, stain)).astype(np.uint8)) for stain in _STAINS])
    lab[:, 0] *= full_vision
    seen: NDArray[np.float64] = lab[:, :visions].reshape(len(_STAINS) * visions, len(rgb), 3)
    return seen


def _places(rgb: NDArray[np.uint8], colors: Sequence[Color]) -> list[int]:
    """Where colours are in the pool."""
    place = {tuple(color): at for at, color in enumerate(rgb.tolist())}
    return [place[color] for color in colors]


@cache
def _candidates() -> NDArray[np.uint8]:
    """Colours (n, 3) that may be given."""
    steps = np.linspace(0, 255, 16).astype(np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, a, b = perceived_lab(rgb)[0].T
    hue = np.degrees(np.arctan2(b, a)) % 360
    stain = (hue > _STAIN_HUES[0]) | (hue < _STAIN_HUES[1])
    low, high = _LIGHTNESS
    kept: NDArray[np.uint8] = rgb[(lightness >= low) & (lightness <= high) & (np.hypot(a, b) >= _MIN_CHROMA) & ~stain]
    return kept
