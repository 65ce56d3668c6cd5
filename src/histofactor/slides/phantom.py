"""Procedural H&E tissue with exact ground truth, for demonstrations and tests.

Territories come from a warped Voronoi diagram; each is painted as concentrations of hematoxylin and eosin with
cells of real size, and one Beer-Lambert law turns the concentrations into colour. It is a test chart that looks
like tissue, not a model of disease.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from histofactor.errors import OptionError
from histofactor.records import Float

CLASSES = ("background", "stroma", "gland", "lymphocytes", "fat", "necrosis")
BACKGROUND, STROMA, GLAND, LYMPHOCYTES, FAT, NECROSIS = range(6)
# Optical density of the two dyes for R, G, B: the reference of Macenko et al., ISBI 2009, pp. 1107-1110.
# (The vectors of Ruifrok and Johnston 2001 make the eosin of the phantom magenta.)
HEMATOXYLIN_OD = np.array([0.5626, 0.7201, 0.4062], np.float32)
EOSIN_OD = np.array([0.2159, 0.8012, 0.5581], np.float32)
GLASS = np.array([245.0, 243.0, 244.0], np.float32)
_TERRITORY_UM = 270.0
_BACKGROUND_SHARE = 0.15
_COARSE_UM = 4.0
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Phantom:
    """Tissue whose every px is known.

    Attributes:
        image: (height, width, 3) uint8 RGB.
        truth: (height, width) uint8, an index into ``classes``; the lumen of a gland counts as gland.
        classes: names of the classes.
        mpp: µm per px.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    classes: tuple[str, ...]
    mpp: float


@dataclass(frozen=True, slots=True)
class _Gland:
    """Center (x, y) in px, radius in µm, and for every degree the outline relative to the radius."""

    center: Float
    radius_um: float
    wobble: Float

    def outline(self, depth: float | Float, mpp: float, theta: Float) -> Float:
        """Points (n, 2) in px at the angles ``theta``, from the base (0) to the lumen (1) of its cells."""
        cell_um = min(max(0.45 * self.radius_um, 18.0), 28.0)
        wobble = np.interp(theta % (2 * np.pi), np.deg2rad(np.arange(361)), np.append(self.wobble, self.wobble[0]))
        reach_px = (self.radius_um * wobble - depth * cell_um) / mpp
        points: Float = (self.center + reach_px[:, None] * np.stack([np.cos(theta), np.sin(theta)], 1)).astype(
            np.float32
        )
        return points


@dataclass(slots=True)
class _Canvas:
    """What the painters share: concentrations of the two dyes, (height, width) float32 each."""

    rng: np.random.Generator
    mpp: float
    truth: NDArray[np.uint8]
    hematoxylin: Float
    eosin: Float

    def noise(self, scale_um: float) -> Float:
        """Smooth noise of mean 0 and standard deviation 1 with features of about ``scale_um``."""
        height, width = self.truth.shape
        step_px = max(scale_um / self.mpp, 1.0)
        coarse = self.rng.standard_normal((int(height / step_px) + 3, int(width / step_px) + 3)).astype(np.float32)
        fine: Float = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        return fine / np.float32(max(float(fine.std()), 1e-6))

    def points(self, spacing_um: float, jitter: float = 0.3) -> Float:
        """Jittered hexagonal grid over the canvas and a margin around it: (n, 2) positions x, y in px."""
        height, width = self.truth.shape
        step = spacing_um / self.mpp
        rows, cols = np.mgrid[-1 : int(height / (step * 0.866)) + 2, -1 : int(width / step) + 2]
        grid = np.stack([(cols + 0.5 * (rows % 2)) * step, rows * step * 0.866], axis=-1).reshape(-1, 2)
        return np.asarray(grid + self.rng.normal(0, jitter * step / 2, grid.shape), np.float32)

    def within(self, points: Float, mask: NDArray[np.bool_]) -> Float:
        """Keep the points that fall on True px."""
        cols, rows = np.round(points).astype(int).T
        height, width = mask.shape
        inside = (cols >= 0) & (rows >= 0) & (cols < width) & (rows < height)
        inside[inside] = mask[rows[inside], cols[inside]]
        kept: Float = points[inside]
        return kept

    def nuclei(self, points: Float, axes_um: tuple[float, float], angle: Float | float, density: float) -> None:
        """Stain nuclei: ellipses with half axes ``axes_um`` (± 15 %), the first at ``angle`` rad, textured."""
        layer = np.zeros(self.truth.shape, np.uint8)
        half_axes = np.array(axes_um) / self.mpp * self.rng.normal(1, 0.15, (len(points), 2)).clip(0.6, 1.5)
        degrees = np.rad2deg(np.broadcast_to(angle, len(points)))
        shade = self.rng.normal(190, 28, len(points)).clip(110, 255)
        one = 1 << _SUBPIXEL_BITS
        for center, axes, turn, value in zip(points * one, half_axes * one, degrees, shade, strict=True):
            at, size = (int(center[0]), int(center[1])), (max(int(axes[0]), 1), max(int(axes[1]), 1))
            cv2.ellipse(layer, at, size, float(turn), 0, 360, int(value), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        chromatin = layer * np.float32(density / 190) * (1 + 0.14 * self.noise(1.6))
        covered = layer / np.float32(255)
        np.maximum(self.hematoxylin, chromatin, out=self.hematoxylin)
        self.eosin *= 1 - 0.6 * covered


def phantom(size: tuple[int, int] = (2048, 2048), *, seed: int = 0, mpp: float = 0.5) -> Phantom:
    """Draw H&E tissue with known classes.

    The same arguments give the same px. Every class is present where the field is 1 mm² or more.

    Args:
        size: (width, height) in px.
        seed: picks the tissue.
        mpp: µm per px; nuclei of 6 to 10 µm stay visible up to about 2.

    Returns:
        Image and truth.

    Raises:
        OptionError: the size or ``mpp`` is out of range.
    """
    width, height = size
    if min(size) < 16 or not 0.1 <= mpp <= 10:
        expected = "at least 16 × 16 px of 0.1 to 10 µm"
        raise OptionError("the phantom cannot be drawn", expected=expected, got=f"{width} × {height} px of {mpp} µm")
    flat = np.zeros((height, width), np.float32)
    canvas = _Canvas(np.random.default_rng(seed), mpp, np.zeros((height, width), np.uint8), flat, flat.copy())
    canvas.truth[:] = _territories(canvas)
    glands = _place_glands(canvas)
    _paint_stroma(canvas)
    _paint_necrosis(canvas)
    _paint_fat(canvas)
    _paint_lymphocytes(canvas)
    _paint_glands(canvas, glands)
    return Phantom(_develop(canvas), canvas.truth, CLASSES, mpp)


def _territories(canvas: _Canvas) -> NDArray[np.uint8]:
    """Deal the classes to the cells of a warped Voronoi diagram; the background gathers in one corner."""
    rng = canvas.rng
    extent_um = np.array(canvas.truth.shape[::-1]) * canvas.mpp
    spacing_um = min(_TERRITORY_UM, max(100.0, np.sqrt(extent_um.prod() / 14)))
    seeds_um = canvas.points(spacing_um, jitter=0.35) * canvas.mpp
    corner_um = extent_um * rng.integers(0, 2, 2)
    seeds_um = seeds_um[np.argsort(np.linalg.norm(seeds_um - corner_um, axis=1) + rng.normal(0, 40, len(seeds_um)))]
    inside = ((seeds_um > 0) & (seeds_um < extent_um)).all(axis=1)
    dealt = np.full(len(seeds_um), STROMA)
    deck = [GLAND, GLAND, GLAND, LYMPHOCYTES, FAT, NECROSIS]  # stroma comes with the glands
    order = np.flatnonzero(inside)
    glass = min(len(order), max(1, round(_BACKGROUND_SHARE * len(order))))
    rounds = np.concatenate([rng.permutation(deck) for _ in range(len(order) // len(deck) + 1)])
    dealt[order] = np.concatenate([np.full(glass, BACKGROUND), rounds[: len(order) - glass]])
    last_glass_um = np.linalg.norm(seeds_um[order[glass - 1]] - corner_um) if len(order) else 0.0
    dealt[np.linalg.norm(seeds_um - corner_um, axis=1) <= last_glass_um] = BACKGROUND

    coarse = (max(int(extent_um[0] / _COARSE_UM), 2), max(int(extent_um[1] / _COARSE_UM), 2))
    cols, rows = np.meshgrid(*((np.arange(n) + 0.5) / n * um for n, um in zip(coarse, extent_um, strict=True)))
    warp = [26 * canvas.noise(110.0) + 4 * canvas.noise(22.0) for _ in "xy"]
    dx, dy = (cv2.resize(field, coarse, interpolation=cv2.INTER_AREA) for field in warp)
    places = np.stack([cols + dx, rows + dy], axis=-1)
    nearest = np.full(canvas.truth.shape, np.inf, np.float32)
    truth = np.zeros(canvas.truth.shape, np.uint8)
    for index in range(len(CLASSES)):
        if not (dealt == index).any():
            continue
        distance = cKDTree(seeds_um[dealt == index]).query(places)[0].astype(np.float32)
        distance = cv2.resize(distance, truth.shape[::-1], interpolation=cv2.INTER_CUBIC)
        truth[distance < nearest] = index
        np.minimum(nearest, distance, out=nearest)
    return truth


def _place_glands(canvas: _Canvas) -> list[_Gland]:
    """Place glands in their territories, and turn what lies between them to stroma."""
    territory = canvas.truth == GLAND
    clear_um = cv2.distanceTransform(territory.astype(np.uint8), cv2.DIST_L2, 3) * canvas.mpp
    theta = np.deg2rad(np.arange(360))
    glands: list[_Gland] = []
    for center in canvas.within(canvas.points(150.0, jitter=0.2), territory):
        col, row = np.round(center).astype(int)
        others_um = [float(np.linalg.norm(center - gland.center)) * canvas.mpp - gland.radius_um for gland in glands]
        radius_um = 0.88 * min(canvas.rng.uniform(50, 110), float(clear_um[row, col]), *others_um)
        if radius_um < 38:
            continue
        phase = canvas.rng.uniform(0, 2 * np.pi, 2)
        wobble = 1 + 0.08 * np.sin(2 * theta + phase[0]) + 0.04 * np.sin(3 * theta + phase[1])
        glands.append(_Gland(center, radius_um, wobble.astype(np.float32)))
    canvas.truth[territory] = STROMA
    canvas.truth[_filled(canvas, glands, 0.0)] = GLAND
    return glands


def _filled(canvas: _Canvas, glands: list[_Gland], depth: float) -> NDArray[np.bool_]:
    """Everything inside the glands from ``depth`` (0 base, 1 lumen) inwards."""
    layer = np.zeros(canvas.truth.shape, np.uint8)
    theta = np.deg2rad(np.arange(360)).astype(np.float32)
    for gland in glands:
        outline = np.round(gland.outline(depth, canvas.mpp, theta) * 2**_SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(layer, [outline], 1, shift=_SUBPIXEL_BITS)
    inside: NDArray[np.bool_] = layer > 0
    return inside


def _paint_stroma(canvas: _Canvas) -> None:
    """Wavy collagen with clefts, and spindle nuclei that lie along the fibres."""
    mask = canvas.truth == STROMA
    rows = np.arange(mask.shape[0], dtype=np.float32)[:, None] * canvas.mpp
    across_um = rows * 0.5 + 130 * canvas.noise(320.0) + 3.5 * canvas.noise(30.0)  # its level lines are the fibres
    strands = canvas.rng.standard_normal(4096).astype(np.float32)
    fibre = np.interp(across_um / 2.2 % 4096, np.arange(4096), strands).astype(np.float32)
    bundle = np.interp(across_um / 11.0 % 4096, np.arange(4096), strands[::-1]).astype(np.float32)
    eosin = 0.30 + 0.05 * fibre + 0.07 * bundle + 0.03 * canvas.noise(60.0)
    canvas.eosin[mask] = np.clip(eosin, 0.05, 0.6)[mask]
    canvas.hematoxylin[mask] = 0.04
    grad_y, grad_x = (cv2.Sobel(across_um, cv2.CV_32F, *order, ksize=5) for order in ((0, 1), (1, 0)))
    points = canvas.within(canvas.points(26.0, jitter=0.9), mask)
    cols, rows_ = np.round(points).astype(int).T
    along = np.arctan2(grad_y[rows_, cols], grad_x[rows_, cols]) + np.pi / 2
    canvas.nuclei(points, (6.5, 1.7), along, 0.62)


def _paint_necrosis(canvas: _Canvas) -> None:
    """Smudged granular eosin without cells, strewn with nuclear dust."""
    mask = canvas.truth == NECROSIS
    eosin = 0.38 + 0.05 * canvas.noise(25.0) + 0.05 * canvas.noise(6.0) + 0.06 * canvas.noise(1.5)
    canvas.eosin[mask] = np.clip(eosin, 0.1, 0.8)[mask]
    canvas.hematoxylin[mask] = np.clip(0.10 + 0.03 * canvas.noise(12.0), 0, 0.3)[mask]
    canvas.nuclei(canvas.within(canvas.points(13.0, jitter=1.0), mask), (1.3, 1.0), 0.0, 0.6)
    canvas.nuclei(canvas.within(canvas.points(40.0, jitter=1.0), mask), (3.2, 2.6), 0.0, 0.28)  # ghosts


def _paint_fat(canvas: _Canvas) -> None:
    """Empty cells of 60 to 100 µm between thin membranes, here and there a flat nucleus."""
    mask = canvas.truth == FAT
    if not mask.any():
        return
    height, width = mask.shape
    step = max(1, round(1.0 / canvas.mpp))
    cols, rows = np.meshgrid(np.arange(0, width + step, step), np.arange(0, height + step, step))
    near = cKDTree(canvas.points(78.0, jitter=0.3)).query(np.stack([cols, rows], axis=-1), k=2)[0]
    apart = (near[..., 1] - near[..., 0]).astype(np.float32) / 2  # px to the membrane
    size = (apart.shape[1] * step, apart.shape[0] * step)
    apart_um = cv2.resize(apart, size, interpolation=cv2.INTER_LINEAR)[:height, :width] * canvas.mpp
    apart_um += 0.4 * canvas.noise(12.0)
    membrane = np.exp(-(np.maximum(apart_um - 0.7, 0) ** 2))
    canvas.eosin[mask] = (0.006 + 0.30 * membrane)[mask]
    canvas.hematoxylin[mask] = (0.03 * membrane)[mask]
    canvas.nuclei(canvas.within(canvas.points(34.0, jitter=1.0), mask & (apart_um < 1.5)), (4.0, 2.0), 0.6, 0.6)


def _paint_lymphocytes(canvas: _Canvas) -> None:
    """A sheet of small, round, dark nuclei with scant cytoplasm."""
    mask = canvas.truth == LYMPHOCYTES
    canvas.eosin[mask] = np.clip(0.13 + 0.04 * canvas.noise(8.0), 0.02, 0.4)[mask]
    canvas.hematoxylin[mask] = np.clip(0.12 + 0.03 * canvas.noise(8.0), 0.02, 0.4)[mask]
    canvas.nuclei(canvas.within(canvas.points(8.6, jitter=0.3), mask), (3.3, 3.1), 0.0, 0.85)


def _paint_glands(canvas: _Canvas, glands: list[_Gland]) -> None:
    """Rings of columnar cells with basal nuclei around pale lumina."""
    tone = 1 + 0.12 * canvas.noise(6.0)
    for depth, eosin, hematoxylin in ((0.0, 0.20, 0.17), (0.55, 0.17, 0.10), (1.0, 0.012, 0.010)):
        inside = _filled(canvas, glands, depth)
        canvas.eosin[inside], canvas.hematoxylin[inside] = eosin * tone[inside], hematoxylin * tone[inside]
    points, angles = [np.zeros((0, 2), np.float32)], [np.zeros(0, np.float32)]
    for gland in glands:
        count = int(2 * np.pi * gland.radius_um / 5.6)
        theta = (np.arange(count) + canvas.rng.uniform(-0.25, 0.25, count)) * (2 * np.pi / count)
        angles.append(theta.astype(np.float32))
        points.append(gland.outline(canvas.rng.uniform(0.24, 0.40, count).astype(np.float32), canvas.mpp, angles[-1]))
    canvas.nuclei(np.concatenate(points), (4.8, 2.6), np.concatenate(angles), 0.66)


def _develop(canvas: _Canvas) -> NDArray[np.uint8]:
    """Beer-Lambert: light through the dyes, a little blur of the optics, a little noise of the sensor."""
    tissue = canvas.truth != BACKGROUND
    thickness = np.where(tissue, 1 + 0.07 * canvas.noise(200.0), 0.0).astype(np.float32)
    density = np.stack([canvas.hematoxylin, canvas.eosin], axis=-1) * thickness[..., None]
    blurred = cv2.GaussianBlur(density, (0, 0), max(0.4 / canvas.mpp, 0.3))
    light: Float = GLASS * np.exp(-np.log(10) * (blurred @ np.stack([HEMATOXYLIN_OD, EOSIN_OD])))
    sensor = canvas.rng.normal(0, 1.5, (*canvas.truth.shape, 1))
    return np.clip(np.round(light + sensor), 0, 255).astype(np.uint8)
