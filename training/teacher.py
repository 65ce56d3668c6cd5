"""The teacher, the features it is asked for, and the student's first weights made from it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from histofactor.encoders.embedded.network import STRIDE_PX, EmbeddedNetwork

Image = NDArray[np.uint8]
Grid = NDArray[np.float32]

SURROUND = 17
SURROUND_SHARE = 0.7
SMOOTHING = 0.8  # σ of the Gaussian, tokens
_BN_EPS = 1e-3
_MARGIN_PX = 64  # mirrored around an image before it is encoded; the teacher sees 31 px beyond a token


def load_teacher(weights: Path) -> EmbeddedNetwork:
    """The Neural Image Compression encoder (Tellez et al., IEEE TPAMI 2021) as a dense network without contrast."""
    network = EmbeddedNetwork().eval()
    stored = load_file(weights)
    convs = [*(halve.conv for halve in network.stem), network.body, network.code]
    with torch.no_grad():
        for conv, (kernel, bias) in zip(convs, _folded(stored), strict=True):
            conv.weight.copy_(kernel)
            conv.bias.copy_(bias)
        nn.init.zeros_(network.mix.reduce.weight)
        nn.init.zeros_(network.mix.reduce.bias)
        _set_contrast(network, np.zeros(network.contrast.out_channels, np.float32), share=0.0, sigma=0.0)
    return network


def initial_student(weights: Path, mean: NDArray[np.float32], scale: float) -> EmbeddedNetwork:
    """The student before training: the teacher seen once, smoothed, against its surround, in units of ``scale``."""
    network = load_teacher(weights)
    with torch.no_grad():
        _set_contrast(network, mean, share=SURROUND_SHARE, sigma=SMOOTHING)
        network.contrast.weight.div_(scale)
        network.contrast.bias.div_(scale)
    return network.train()


@torch.no_grad()
def teach(teacher: EmbeddedNetwork, image: Image) -> Grid:
    """Teacher features of an image, averaged over its four mirror images: (h, w, d) for 8 px blocks."""
    rows, cols = image.shape[0] // STRIDE_PX, image.shape[1] // STRIDE_PX
    padded = cv2.copyMakeBorder(
        image[: rows * STRIDE_PX, : cols * STRIDE_PX], *[_MARGIN_PX] * 4, cv2.BORDER_REFLECT_101
    )
    pixels = as_tensor(padded)
    views = [teacher(pixels.flip(axes)).flip(axes) for axes in ([], [2], [3], [2, 3])]
    tokens = torch.stack(views).mean(0)[0].permute(1, 2, 0).numpy()
    margin = _MARGIN_PX // STRIDE_PX
    return np.ascontiguousarray(tokens[margin : margin + rows, margin : margin + cols])


def against_surround(features: Grid, mean: NDArray[np.float32]) -> Grid:
    """Smoothed features less a share of their 17×17 surround, the rest of that share taken from ``mean``."""
    smooth = cv2.GaussianBlur(features, (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT_101)
    surround = cv2.blur(features, (SURROUND, SURROUND), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth - SURROUND_SHARE * surround - (1 - SURROUND_SHARE) * mean, np.float32)


def as_tensor(image: Image) -> torch.Tensor:
    """(h, w, 3) RGB to (1, 3, h, w) in [-1, 1], channels last in memory."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _set_contrast(network: EmbeddedNetwork, mean: NDArray[np.float32], *, share: float, sigma: float) -> None:
    kernel = np.zeros((SURROUND, SURROUND), np.float32)
    kernel[SURROUND // 2, SURROUND // 2] = 1
    if sigma:
        kernel = cv2.GaussianBlur(kernel, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    kernel -= share / SURROUND**2
    network.contrast.weight.copy_(torch.from_numpy(kernel).expand_as(network.contrast.weight))
    network.contrast.bias.copy_(torch.from_numpy(-(1 - share) * mean))


def _folded(stored: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Kernel and bias of the five convolutions, every batch norm folded into the convolution that follows it."""
    layers = [(stored[f"convs.{i}.weight"], stored[f"convs.{i}.bias"]) for i in range(4)]
    layers.append((stored["code.weight"], stored["code.bias"]))
    out = [layers[0]]
    for i, (kernel, bias) in enumerate(layers[1:]):
        gain = stored[f"bns.{i}.weight"] / torch.sqrt(stored[f"bns.{i}.running_var"] + _BN_EPS)
        shift = stored[f"bns.{i}.bias"] - stored[f"bns.{i}.running_mean"] * gain
        out.append((kernel * gain[None, :, None, None], bias + (kernel.sum((2, 3)) * shift).sum(1)))
    return out
