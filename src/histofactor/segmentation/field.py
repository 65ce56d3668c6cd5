"""A small field of an input, kept with its features: what any concepts make of it is seen without encoding it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.learn.choose_k import Choice, in_sight_of
from histofactor.masks.decode import label_pixels
from histofactor.masks.small import piece_areas
from histofactor.records import ConceptBank, EncoderKey, Float
from histofactor.segmentation.method import Factorization, Tokens, method_of, weigh

SIDE_PX = 512  # of a field, in working px
SMALL_UM2 = 1000.0  # of a piece of some ten nuclei


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A part of an input at its working resolution.

    Attributes:
        rgb: (height, width, 3) uint8.
        features: (h, w, d) of its tokens, less what was taken of the mean of its input.
        tissue: (h, w) bool, tokens that hold tissue.
        stride_px: px per token.
        mpp: µm per px, or None.
        encoder: which features.
    """

    rgb: NDArray[np.uint8]
    features: Float
    tissue: NDArray[np.bool_]
    stride_px: int
    mpp: float | None
    encoder: EncoderKey


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person sees of a field at one K.

    Attributes:
        labels: (height, width), 0 where there is no tissue, concept i is label i + 1.
        per_mm2: pieces for each mm² of tissue.
        small: share of the tissue in pieces below ``SMALL_UM2``.
    """

    labels: NDArray[np.unsignedinteger]
    per_mm2: float
    small: float


def weigh_field(field: Field, bank: ConceptBank) -> Float:
    """Weights (h, w, K) of the tokens of a field by projection, 0 where there is no tissue.

    Args:
        field: the field.
        bank: of its encoder.
    """
    project = method_of("project")
    directions = project.directions(bank)
    X = field.features[field.tissue]
    B = X if directions is None else X @ directions.astype(np.float32)
    weights = np.zeros((*field.tissue.shape, len(bank.vectors)), np.float32)
    if len(X):
        tokens = Tokens(B, np.einsum("nd,nd->n", X, X), field.encoder, field.mpp)
        weights[field.tissue] = weigh(project, tokens, bank, Factorization())[0]
    return weights


def label_field(field: Field, bank: ConceptBank) -> NDArray[np.unsignedinteger]:
    """Labels (height, width) of a field: 0 where there is no tissue, concept i is label i + 1; see ``weigh_field``."""
    whole = tuple(cells * field.stride_px for cells in field.tissue.shape)
    labels, _ = label_pixels(weigh_field(field, bank), (whole[0], whole[1]))
    height, width = field.rgb.shape[:2]
    return labels[:height, :width]


def see(field: Field, banks: Mapping[int, ConceptBank]) -> dict[int, Seen]:
    """A field at every K; without µm/px a px counts as a µm.

    Args:
        field: of the encoder of the banks.
        banks: by K.
    """
    found, um2 = {}, (field.mpp or 1.0) ** 2
    for k, bank in banks.items():
        labels = label_field(field, bank)
        areas = piece_areas(labels) * um2
        tissue = max(float(areas.sum()), um2)
        found[k] = Seen(labels, len(areas) / tissue * 1e6, float(areas[areas < SMALL_UM2].sum()) / tissue)
    return found


def choose_by(field: Field, banks: Mapping[int, ConceptBank], choice: Choice) -> Choice:
    """A choice of K once a field was seen at every K; arguments as for ``see``, and the choice without it."""
    return in_sight_of(choice, {k: seen.small for k, seen in see(field, banks).items()})
