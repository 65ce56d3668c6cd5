"""How H&E tissue is stained, in a few numbers: optical density, and shares of glass and of nuclei."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Float

MEASURES = 5  # mean optical density of red, green and blue, share of glass, share of nuclei
NUCLEI_OD = 0.4  # of haematoxylin, from which on a px counts as nucleus: a stroma or cytoplasm seldom has as much
GLASS_OD = 0.06  # of the densest colour, up to which a px counts as empty
_WHITE = 245.0  # what empty glass is scanned as
# Red, green and blue optical density of haematoxylin and of eosin: Ruifrok & Johnston, Anal. Quant. Cytol. Histol.
# 23(4), 2001. Of the two alone, by least squares: the third stain of that paper is not there.
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105]])
_UNMIX = np.linalg.pinv(_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)).astype(np.float32)  # 3 2
_OD = np.maximum(-np.log10(np.maximum(np.arange(256), 1) / _WHITE), 0).astype(np.float32)  # of every 8-bit value


def measure_stain(rgb: NDArray[np.uint8], cell_px: int) -> Float:
    """Measure the stain of square cells.

    Args:
        rgb: (h · cell_px, w · cell_px, 3) uint8.
        cell_px: side of a cell.

    Returns:
        (h, w, MEASURES) float32: mean optical density of red, green and blue against a white of 245; share of px whose
        density is at most ``GLASS_OD`` in every colour; share of px with at least ``NUCLEI_OD`` of haematoxylin.
    """
    height, width = rgb.shape[0] // cell_px, rgb.shape[1] // cell_px
    density = _OD[rgb]
    px = np.empty((*rgb.shape[:2], MEASURES), np.float32)
    px[..., :3] = density
    px[..., 3] = density.max(axis=-1) <= GLASS_OD
    px[..., 4] = density @ _UNMIX[:, 0] >= NUCLEI_OD
    found: Float = px.reshape(height, cell_px, width, cell_px, MEASURES).mean(axis=(1, 3))
    return found


def haematoxylin_eosin(density: Float) -> Float:
    """Amounts (…, 2) of haematoxylin and eosin in an optical density (…, 3), as least squares find them, ≥ 0."""
    amounts: Float = np.maximum(density @ _UNMIX, 0)
    return amounts


def color_of(density: Float) -> NDArray[np.uint8]:
    """The colour (…, 3) uint8 sRGB that an optical density (…, 3) is seen as."""
    seen: NDArray[np.uint8] = np.rint(_WHITE * 10.0**-density).clip(0, 255).astype(np.uint8)
    return seen
