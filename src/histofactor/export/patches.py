"""Typical patches: what each phenotype looks like."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from histofactor.records import Region, Segmentation
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import Slide


def typical_patches(
    segmentation: Segmentation, slide: Slide, *, per_phenotype: int = 4, side_px: int = 112, phenotypes: int = 32
) -> dict[int, list[NDArray[np.uint8]]]:
    """Return patches around the tokens that are most clearly of each phenotype, spread over the input.

    A token is typical of a concept if that is its strongest one, the concept's share of the weights is large,
    and so is the margin: the score is the product of both, averaged over the 3 × 3 tokens around it so that the
    patch shows the phenotype and not its border. The best one is taken, the tokens near it are passed over,
    and so on.

    Args:
        segmentation: what to show.
        slide: the input it was made from, open.
        per_phenotype: how many patches at most.
        side_px: side of a patch in working px; smaller where the input is.
        phenotypes: patches are read for so many of the largest phenotypes.

    Returns:
        By label, the best first: uint8 RGB patches, all of one size. Labels with no px are absent.
    """
    tokens = segmentation.tokens
    areas = np.bincount(tokens.label.ravel(), minlength=len(segmentation.label_map.names) + 1)[1:]
    largest = np.argsort(-areas, kind="stable")[:phenotypes] + 1
    found = {}
    for label in (int(label) for label in largest if areas[label - 1]):
        inside = tokens.label == label
        score = cv2.blur(tokens.share * tokens.margin * inside, (3, 3), borderType=cv2.BORDER_CONSTANT)
        spread = max(side_px / tokens.stride_px, min(score.shape) / (2 * per_phenotype))
        best = _best_apart(np.where(inside, score, -1.0), per_phenotype, spread)
        found[label] = [read_blocks(slide, _around(segmentation, token, side_px))[0] for token in best]
    return found


def _best_apart(score: NDArray[np.float64], count: int, spread: float) -> list[tuple[int, int]]:
    """Return up to ``count`` (row, column) of the largest scores ≥ 0, more than ``spread`` apart along an axis."""
    score, radius, best = score.copy(), int(spread), []
    for _ in range(count):
        row, col = (int(index) for index in np.unravel_index(score.argmax(), score.shape))
        if score[row, col] < 0:
            break
        best.append((row, col))
        score[max(0, row - radius) : row + radius + 1, max(0, col - radius) : col + radius + 1] = -1
    return best


def _around(segmentation: Segmentation, token: tuple[int, int], side_px: int) -> Region:
    """Return the square around a token, moved inwards where it would leave the input."""
    (l0_x, l0_y), stride = segmentation.l0_per_px, segmentation.tokens.stride_px
    size, origin = segmentation.slide.size, segmentation.label_map.origin
    side = min(side_px, int(size[0] / l0_x), int(size[1] / l0_y))
    width, height = side * l0_x, side * l0_y
    x = origin[0] + (token[1] + 0.5) * stride * l0_x - width / 2
    y = origin[1] + (token[0] + 0.5) * stride * l0_y - height / 2
    x, y = min(max(x, 0.0), size[0] - width), min(max(y, 0.0), size[1] - height)
    return Region(x, y, width, height, (side, side), segmentation.label_map.mpp)
