"""The records that flow through histofactor. Shapes and units are defined here, once.

Frames: ``l0`` is level 0 of the input, ``t`` the working (target) resolution, ``g`` the token grid.
Positions are (x, y), sizes (width, height), arrays [row, column]. Colours are 8-bit sRGB triples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Color = tuple[int, int, int]
Float = NDArray[np.float32]


class Raster(Protocol):
    """A map of px that is read by slices: a NumPy array, or one that lies on disk because it is large."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its values."""

    def __getitem__(self, index: Any, /) -> Any:
        """The values under one slice of rows, or a slice of rows and one of columns, as a NumPy array."""


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """What is known of an input before its pixels are read.

    Attributes:
        path: the file, or None for an array in memory.
        size: (width, height) in level-0 px.
        mpp: µm per level-0 px, or None where neither header nor user states it.
        level_downsamples: downsample of every level stored, 1.0 first.
        reader: name and version of the library that reads the pixels.
        notes: what was converted or assumed on the way in, one sentence each.
        vendor: the scanner's maker or the writer, as the reader calls it, or "".
        objective: magnification of the objective, or None where it is not stated.
        properties: what else the header states, as text; the longest and the most are cut.
        associated: names of the images that go with it, such as its label; ``read_associated`` of a slide reads them.
    """

    path: Path | None
    size: tuple[int, int]
    mpp: float | None
    level_downsamples: tuple[float, ...]
    reader: str
    notes: tuple[str, ...] = ()
    vendor: str = ""
    objective: float | None = None
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    associated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle to read.

    Attributes:
        x, y: upper left corner in level-0 px; may be fractional.
        width, height: size in level-0 px; may be fractional.
        out_size: (width, height) in px of the array to return.
        mpp: µm per px of the array to return, or None if unknown.
    """

    x: float
    y: float
    width: float
    height: float
    out_size: tuple[int, int]
    mpp: float | None = None


@dataclass(frozen=True, slots=True)
class EncoderKey:
    """Which features: the join key of features and concept banks.

    Attributes:
        name: encoder name as in the registry.
        revision: version of the weights (a hub commit, ``sha256:…`` of a local file), or None if not stated.
        layer: where the features are taken, for example ``blocks[-1]`` or ``layer3``.
        transform: what makes them non-negative, for example ``relu``.
    """

    name: str
    revision: str | None
    layer: str
    transform: str


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Where a network and its weights come from.

    Attributes:
        library: ``embedded``, ``timm``, ``transformers``, ``own`` (``encoders.own_networks``) or ``plugin``.
        architecture: the library's name of the network.
        arguments: keyword arguments of the constructor.
        repository: hub repository, or "" where the weights ship with the package.
        filename: the file in the repository.
        revision: pinned commit of the repository, or version of the shipped weights; None where none is known.
        key_prefix: what the names of the network's tensors begin with in the file; others are left aside.
        remote_code: whether the network is code of the repository, which runs only if the user allows it.
    """

    library: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    repository: str = ""
    filename: str = ""
    revision: str | None = None
    key_prefix: str = ""
    remote_code: bool = False


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How an encoder likes its input cut.

    Attributes:
        size_px: side of the square window, a multiple of the patch.
        overlap_px: overlap of neighbouring windows, a multiple of the patch.
        halo_px: border of a window whose tokens are discarded because they saw its edge; 2 halo ≤ overlap.
        fixed: whether every window must have this size; else a small image gets a window that fits it.
    """

    size_px: int
    overlap_px: int
    halo_px: int = 0
    fixed: bool = True


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything known about an encoder: one row of the registry.

    Attributes:
        name: name in the registry.
        source: the network and its weights.
        patch_px: px per token, the stride of the feature grid.
        dim: channels per token.
        prefix_tokens: class and register tokens before the grid; read from the built model and checked.
        mean, std: input normalisation for RGB in [0, 1].
        mpp: µm/px that the encoder works at.
        window: the input size rule.
        layer, transform: where features are taken and how they are made non-negative.
        licence: licence of the weights.
        gated: whether the hub asks for an account with access.
        facts: where these facts come from.
        precision: number format of its inference on an accelerator; ``float32`` on a CPU.
    """

    name: str
    source: WeightsSource
    patch_px: int
    dim: int
    prefix_tokens: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mpp: float
    window: WindowRule
    layer: str
    transform: str
    licence: str
    gated: bool
    facts: str
    precision: str = "float32"

    @property
    def key(self) -> EncoderKey:
        """The join key of the features that this row describes."""
        return EncoderKey(self.name, self.source.revision, self.layer, self.transform)


@dataclass(frozen=True, slots=True)
class Features:
    """Dense features of a batch of windows.

    Attributes:
        values: (n, h, w, d) ≥ 0 after the transform, on the encoder's device.
        stride_px: px of the window per token.
        encoder: which features these are.
    """

    values: torch.Tensor
    stride_px: int
    encoder: EncoderKey


@dataclass(frozen=True, slots=True)
class Leaves:
    """The finest concepts of nested banks, of which every coarser concept is a union.

    Attributes:
        vectors: (M, d) float32, ≥ 0.
        owners: M concept indices of the coarser bank, each concept at least once.
    """

    vectors: Float
    owners: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConceptBank:
    """Concepts for one number of clusters K.

    Attributes:
        vectors: (K, d) float32, ≥ 0.
        encoder: the features the concepts were learned on.
        names: K names.
        colors: K colours.
        mpp: µm/px of the features, or None if not stated.
        parents: for nested banks the concept index at the next coarser level, else None.
        provenance: data, counts, seeds, licence; free-form, JSON types only.
        leaves: for merged levels of nested banks the finest concepts, else None. Tokens are then weighed by the leaves,
            and ``vectors`` holds the mean of each union.
    """

    vectors: Float
    encoder: EncoderKey
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    mpp: float | None = None
    parents: tuple[int, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    leaves: Leaves | None = None


@dataclass(frozen=True, slots=True)
class Weights:
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


@dataclass(frozen=True, slots=True)
class TokenMaps:
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


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A segmentation: label 0 is no tissue or unassigned, concept i is label i + 1.

    Attributes:
        labels: (height, width) uint8 or uint16; may lie on disk.
        mpp: µm per px of the map, or None if unknown.
        origin: (x, y) of its upper left corner in level-0 px.
        names, colors: K names and colours, without label 0; where tissue unlike the bank is told, its own come last.
    """

    labels: Raster
    mpp: float | None
    origin: tuple[int, int]
    names: tuple[str, ...]
    colors: tuple[Color, ...]


@dataclass(frozen=True, slots=True)
class Segmentation:
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
