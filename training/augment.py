"""Changes of stain, scanner and compression that must not change the features."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Optical density of haematoxylin, eosin and DAB (Ruifrok & Johnston, Anal Quant Cytol Histol 2001), rows of norm 1.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32)
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)


def restain(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change amount and hue of the stains, and gain and gamma of every channel; (h, w, 3) RGB."""
    density = -np.log((image.astype(np.float32) + 1) / 256)
    stains = _STAINS + rng.normal(0, 0.05, (3, 3)).astype(np.float32)
    amounts = (density @ _UNMIX) * np.exp(rng.normal(0, 0.3, 3)) + rng.normal(0, 0.03, 3)
    light = np.exp(-np.maximum(amounts @ stains, 0)) * rng.uniform(0.88, 1.08, 3)
    light = np.clip(light, 0, 1) ** np.exp(rng.normal(0, 0.15, 3))
    if rng.random() < 0.05:
        light[:] = light.mean(2, keepdims=True)
    return np.asarray(light * 255 + 0.5, np.uint8)


def degrade(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, add noise and compress, each sometimes; (h, w, 3) RGB."""
    if rng.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0)), np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 6), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(40, 95))
        stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)
    return image
