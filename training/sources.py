"""The training images: read, checked against the recorded hashes, brought to 1 µm/px."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openslide
from numpy.typing import NDArray

HASHES = Path(__file__).with_name("hashes.json")
SLIDE = "data/slides/cmu-1-small-region.svs"


@dataclass(frozen=True, slots=True)
class Source:
    """One training image as stored.

    Attributes:
        name: path below the data folder.
        pixels: (h, w, 3) RGB.
        mpp: µm/px.
    """

    name: str
    pixels: NDArray[np.uint8]
    mpp: float


def check_hashes(root: Path) -> None:
    """Compare the sha256 of the teacher and of every training image with the record.

    Raises:
        SystemExit: a file differs.
    """
    for name, expected in json.loads(HASHES.read_text()).items():
        got = hashlib.sha256((root / name).read_bytes()).hexdigest()
        if got != expected:
            raise SystemExit(f"{name}: expected sha256 {expected}, got {got}")


def read_sources(root: Path) -> list[Source]:
    """All training images: 22 oral fields, 10 oral tiles and the quarters of one slide region."""
    sources = [_read(root, path, 0.25) for path in sorted((root / "data/oscc").glob("*.jpg"))]
    sources += [_read(root, path, 0.5) for path in sorted((root / "data/ocdc/images").glob("*.jpg"))]
    with openslide.OpenSlide(root / SLIDE) as slide:
        mpp = float(slide.properties[openslide.PROPERTY_NAME_MPP_X])
        region = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    for i, rows in enumerate(np.array_split(region, 2, axis=0)):
        for j, quarter in enumerate(np.array_split(rows, 2, axis=1)):
            sources.append(Source(f"{SLIDE}[{i},{j}]", np.ascontiguousarray(quarter), mpp))
    return sources


def at_mpp(source: Source, mpp: float) -> NDArray[np.uint8]:
    """The image resampled to ``mpp``: area average to make it smaller, cubic to make it larger."""
    factor = source.mpp / mpp
    height, width = source.pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(source.pixels, size, interpolation=how), np.uint8)


def _read(root: Path, path: Path, mpp: float) -> Source:
    pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return Source(path.relative_to(root).as_posix(), np.asarray(pixels, np.uint8), mpp)
