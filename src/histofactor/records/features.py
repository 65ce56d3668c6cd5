"""Encoders and their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histofactor.records.shown import Shown

if TYPE_CHECKING:
    import torch


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
        lora_alpha: of low-rank updates that the file keeps beside the weights, see ``encoders.published``; 0: none.
    """

    library: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    repository: str = ""
    filename: str = ""
    revision: str | None = None
    key_prefix: str = ""
    remote_code: bool = False
    lora_alpha: float = 0.0


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


@dataclass(frozen=True, slots=True, repr=False)
class EncoderSpec(Shown):
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
        centring: share of a slide's own mean that is taken from its tokens where concepts are learned, see
            ``records.Centring``; 0 where it was not measured to help.
        commercial: whether the licence allows commercial use: ``yes``, ``no`` or ``unknown``.
        derivatives: whether it allows to share what is made with the weights, as concepts are; the same words.
        robustness: what was published of how far it tells tissue rather than hospitals; "" where nothing was found.
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
    centring: float = 0.0
    commercial: str = "unknown"
    derivatives: str = "unknown"
    robustness: str = ""

    @property
    def key(self) -> EncoderKey:
        """The join key of the features that this row describes."""
        return EncoderKey(self.name, self.source.revision, self.layer, self.transform)


@dataclass(frozen=True, slots=True, repr=False)
class Features(Shown):
    """Dense features of a batch of windows.

    Attributes:
        values: (n, h, w, d) ≥ 0 after the transform, on the encoder's device.
        stride_px: px of the window per token.
        encoder: which features these are.
    """

    values: torch.Tensor
    stride_px: int
    encoder: EncoderKey
