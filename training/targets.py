"""What the student is asked to say: the features of two teachers side by side, each in units of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sources import at_mpp, read_sources
from teachers import Grid, Image, Teachers

from histofactor.encoders.embedded.network import DIM, STRIDE_PX

MPPS = (0.8, 1.0, 1.3)
PATHOLOGY = 128  # channels of the teacher of pathology, all of them
PHOTOGRAPHS = DIM - PATHOLOGY  # principal components of the teacher of photographs
PHOTOGRAPHS_SHARE = 0.6  # of its length, against that of the other


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and what the student should say of it.

    Attributes:
        image: (h * 8, w * 8, 3) RGB.
        target: (h, w, DIM), first the channels of the teacher of pathology.
    """

    image: Image
    target: NDArray[np.float16]


def make_pairs(root: Path) -> list[Pair]:
    """Targets of every image at every scale."""
    teachers = Teachers(root)
    images, pathology, photographs = [], [], []
    for source in read_sources(root):
        for mpp in MPPS:
            image = at_mpp(source, mpp)
            first, second = teachers(image)
            images.append(image[: first.shape[0] * STRIDE_PX, : first.shape[1] * STRIDE_PX])
            pathology.append(first)
            photographs.append(second.astype(np.float16))  # a thousand channels: half of the memory
        print(f"targets: {source.name}", flush=True)
    return joined(images, pathology, principal_components(photographs))


def joined(images: list[Image], pathology: list[Grid], photographs: list[Grid]) -> list[Pair]:
    """Both teachers in one target, such that a channel of the first has a root mean square of one."""
    first, second = (_mean_length(grids) for grids in (pathology, photographs))
    scale = PATHOLOGY**0.5
    targets = (
        np.concatenate([scale / first * one, PHOTOGRAPHS_SHARE * scale / second * other], axis=2).astype(np.float16)
        for one, other in zip(pathology, photographs, strict=True)
    )
    return [Pair(image, target) for image, target in zip(images, targets, strict=True)]


def principal_components(features: list[NDArray[np.float16]]) -> list[Grid]:
    """The directions in which features differ most, less their mean."""
    rows = np.concatenate([grid[::2, ::2].reshape(-1, grid.shape[2]) for grid in features]).astype(np.float32)
    mean = rows.mean(0)
    vectors = np.linalg.eigh(np.cov((rows - mean).T))[1][:, ::-1][:, :PHOTOGRAPHS].astype(np.float32)
    return [np.ascontiguousarray((grid.astype(np.float32) - mean) @ vectors) for grid in features]


def _mean_length(grids: list[Grid]) -> float:
    return float(np.sqrt(np.mean(np.concatenate([(grid**2).sum(2).ravel() for grid in grids]))))
