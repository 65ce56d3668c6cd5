"""What comes out: weights, labels, a segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histofactor.records.concepts import ConceptBank
from histofactor.records.drawn import Drawn
from histofactor.records.images import Color, Float, Raster, SlideInfo
from histofactor.records.outward import public
from histofactor.records.shown import Shown

if TYPE_CHECKING:
    from anndata import AnnData
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData


@dataclass(frozen=True, slots=True, repr=False)
class Weights(Shown):
    """How much of every concept each token holds.

    Attributes:
        values: (h, w, K) float32 ≥ 0; for unit-norm concepts, so values of different concepts compare.
        stride_px: working px per token.
        bank: the concepts.
        residual: (h, w) float32 in [0, 1]: ‖x − wH‖ / ‖x‖, the share of a token that no concept explains.
    """

    values: Float
    stride_px: int
    bank: ConceptBank
    residual: Float


@dataclass(frozen=True, slots=True, repr=False)
class TokenMaps(Shown):
    """What is known of every token of one input, small enough to keep for a whole slide.

    Attributes:
        stride_px: working px per token.
        label: (h, w) label of the concept with the largest weight, concept + 1; 0 where all weights are 0; K + 1 where
            tissue unlike the bank is told and the token is.
        share: (h, w) float32 in [0, 1], the share of that concept in the sum of all weights.
        margin: (h, w) float32 in [0, 1], (first − second) / first weight.
        residual: (h, w) float32 in [0, 1], as in ``Weights``.
    """

    stride_px: int
    label: NDArray[np.unsignedinteger[Any]]
    share: Float
    margin: Float
    residual: Float


@dataclass(frozen=True, slots=True, repr=False)
class LabelMap(Shown):
    """A segmentation: label 0 is no tissue or unassigned, concept i is label i + 1.

    Attributes:
        labels: (height, width) uint8 or uint16; may lie on disk.
        mpp: µm per px of the map, or None if unknown.
        origin: (x, y) of its upper left corner in level-0 px.
        names, colors: K names and colours, without label 0; where tissue unlike the bank is told, its own come last.
        excluded: labels of artefacts, which count in no share.
    """

    labels: Raster
    mpp: float | None
    origin: tuple[int, int]
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    excluded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Segmentation(Drawn):
    """What ``segment`` returns.

    Attributes:
        slide: the input.
        label_map: the labels at the working resolution.
        margin: (height, width) float32 in [0, 1]: (first − second) / first weight of every px, 0 where unassigned;
            may lie on disk.
        tokens: maps on the token grid.
        l0_per_px: (x, y) level-0 px per px of the label map.
        recipe: encoder, bank hash, method, geometry: enough to reproduce the labels; JSON types only.
        weights: the weights on the token grid, or None where they were not kept, as for whole slides.
    """

    slide: SlideInfo
    label_map: LabelMap
    margin: Raster
    tokens: TokenMaps
    l0_per_px: tuple[float, float]
    recipe: Mapping[str, Any]
    weights: Weights | None = None

    def to_geodataframe(self, *, tolerance_px: float = 0.0, min_area_px: int = 1) -> GeoDataFrame:
        """The regions as a GeoDataFrame: ``histofactor.to_geodataframe``."""
        return public("to_geodataframe")(self, tolerance_px=tolerance_px, min_area_px=min_area_px)

    def to_anndata(self, *, tile_tokens: int | None = None) -> AnnData:
        """The token table: ``histofactor.to_anndata``."""
        return public("to_anndata")(self, tile_tokens=tile_tokens)

    def to_spatialdata(self, *, tile_tokens: int | None = None) -> SpatialData:
        """Labels, shapes and tables in one: ``histofactor.to_spatialdata``."""
        return public("to_spatialdata")(self, tile_tokens=tile_tokens)
