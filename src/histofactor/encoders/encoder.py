"""A loaded encoder, and how it is run."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from histofactor.encoders.layers import Dense
from histofactor.encoders.repair import repair
from histofactor.encoders.transforms import TRANSFORMS, channels
from histofactor.errors import OptionError
from histofactor.records import EncoderSpec
from histofactor.records.shown import Shown

FORMATS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, repr=False)
class Encoder(Shown):
    """A loaded encoder, ready to turn pixels into features (see ``encoders.encode``).

    Attributes:
        spec: its row, with the layer, width and revision actually in use.
        dense: normalised RGB (n, 3, height, width) to a feature map (n, d, h, w) before the transform.
        device: where it runs.
        precision: number format that ``dense`` runs in; those of a joint encoder's parts with commas between where
            they differ.
        repaired: whether ``dense`` replaces tokens that stand out, see ``encoders.repair``.
        notes: what was assumed of its weights, one sentence each.
    """

    spec: EncoderSpec
    dense: Dense
    device: torch.device
    precision: str = "float32"
    repaired: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """How an encoder is run.

    Attributes:
        precision: ``float32``, ``bfloat16`` or ``float16``; default as in the registry on an accelerator, else float32.
        compiled: let ``torch.compile`` work on the blocks of the network; the first windows then take long.
        repair_tokens: replace tokens whose norm stands out, see ``encoders.repair``.
        remote_code: the commit of an encoder's repository whose code may run here, for those that are such code.
        window_px: side of the windows in px, see ``encoders.window``; default as for the concepts, else as in the
            registry.
    """

    precision: str | None = None
    compiled: bool = False
    repair_tokens: bool = False
    remote_code: str | None = None
    window_px: int | None = None


def check_inference(inference: Inference) -> None:
    """Raise OptionError unless the precision is one that there is."""
    if inference.precision not in {None, *FORMATS}:
        raise OptionError(f"unknown precision {inference.precision!r}", expected=f"one of {', '.join(FORMATS)}")


def run_as(encoder: Encoder, inference: Inference) -> Encoder:
    """The encoder as it is to be run: shorter numbers only where there is an accelerator, or where asked for.

    Args:
        encoder: as it was assembled, run in float32 and without repair.
        inference: the precision, and whether tokens are repaired.
    """
    on_cpu = encoder.device.type == "cpu"
    precision = inference.precision or ("float32" if on_cpu else encoder.spec.precision)
    plain, device, shorter = encoder.dense, encoder.device.type, FORMATS[precision]

    def dense(pixels: torch.Tensor) -> torch.Tensor:
        with nullcontext() if shorter is None else torch.autocast(device, shorter):
            maps = plain(pixels)
        return repair(maps) if inference.repair_tokens else maps

    wrapped = plain if shorter is None and not inference.repair_tokens else dense
    return replace(encoder, dense=wrapped, precision=precision, repaired=inference.repair_tokens)


def with_transform(encoder: Encoder, transform: str) -> Encoder:
    """The same encoder with another way to make its features non-negative; splitting doubles the channels."""
    spec = encoder.spec
    dim = channels(spec.dim, spec.transform, transform)
    return replace(encoder, spec=replace(spec, transform=transform, dim=dim))


def features_of(encoder: Encoder, images: torch.Tensor) -> torch.Tensor:
    """Features ≥ 0, (n, d, h, w) float32, of RGB (n, 3, height, width) in [0, 1] on the encoder's device."""
    maps = encoder.dense(standardise(images, encoder.spec))
    return TRANSFORMS[encoder.spec.transform](maps.float())


def standardise(images: torch.Tensor, spec: EncoderSpec) -> torch.Tensor:
    """RGB (n, 3, height, width) in [0, 1] less the mean, over the standard deviation, that a network was trained on."""
    mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (spec.mean, spec.std))
    return (images - mean) / std
