"""Pixels to features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histofactor.encoders.encoder import Encoder, features_of, standardise
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec, Features


@torch.inference_mode()
def encode(encoder: Encoder, pixels: NDArray[np.uint8]) -> Features:
    """Dense features of a batch of windows.

    Args:
        encoder: a loaded encoder.
        pixels: (n, height, width, 3) RGB, height and width multiples of the encoder's patch.

    Returns:
        Features (n, height / patch, width / patch, d) ≥ 0, on the encoder's device.

    Raises:
        EncoderError: the network does not return the grid that its registry row promises.
    """
    spec = encoder.spec
    maps = features_of(encoder, _images(pixels, encoder.device))
    expected = (len(pixels), spec.dim, pixels.shape[1] // spec.patch_px, pixels.shape[2] // spec.patch_px)
    if tuple(maps.shape) != expected:
        raise EncoderError(
            f"encoder {spec.name!r} returns another grid than its registry row promises",
            expected=f"(n, d, h, w) = {expected}",
            got=str(tuple(maps.shape)),
        )
    return Features(maps.permute(0, 2, 3, 1), spec.patch_px, spec.key)


def normalise(pixels: NDArray[np.uint8], spec: EncoderSpec, device: torch.device) -> torch.Tensor:
    """RGB (n, height, width, 3) as an encoder's network takes it, (n, 3, height, width) on a device."""
    return standardise(_images(pixels, device), spec)


def _images(pixels: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """RGB (n, height, width, 3) as images (n, 3, height, width) in [0, 1] on a device."""
    images = torch.from_numpy(np.require(pixels, requirements="W"))
    if device.type == "cuda":  # pinned memory is copied while the device works
        images = images.pin_memory()
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


def respond(features: Features, directions: NDArray[np.floating[Any]] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Responses of features, small enough to leave the device.

    Args:
        features: (n, h, w, d).
        directions: (d, r) vectors to respond to, or None for the features themselves (r = d).

    Returns:
        (B, sq_norms): B (n, h, w, r) = X·directions and ‖x‖² (n, h, w), float32.
    """
    X = features.values
    sq_norms = (X * X).sum(-1)
    B = X if directions is None else X @ torch.from_numpy(np.ascontiguousarray(directions, np.float32)).to(X.device)
    return B.cpu().numpy(), sq_norms.cpu().numpy()
