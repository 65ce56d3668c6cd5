"""The two teachers, and what they say of an image: dense features at 8 px a token, centred on the tokens."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
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
View = Callable[[torch.Tensor], torch.Tensor]

PATHOLOGY = "weights/nic_multitask4_pathology.safetensors"
PHOTOGRAPHS = "weights/resnet50v2_imagenet_gluon_stage3.safetensors"
_BN_EPS = 1e-3
_MARGIN_PX = 64  # mirrored around an image before it is encoded
_STRIDE_PX = 16  # of the teacher of photographs
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Teachers:
    """Neural Image Compression (Tellez et al., IEEE TPAMI 2021), run densely, and ResNet-50 v2 to stage 3."""

    def __init__(self, root: Path) -> None:
        self.pathology = load_pathology(root / PATHOLOGY)
        self.photographs = _load_photographs(root)

    @torch.no_grad()
    def __call__(self, image: Image) -> tuple[Grid, Grid]:
        """(h, w, 128) and (h, w, 1024) features of the 8 px blocks of an image (rows, columns, 3) RGB.

        The first are means over the eight ways to turn and mirror the image, the second over it and it upside down,
        which takes out that a token is not centred on what it sees.
        """
        rows, cols = image.shape[0] // STRIDE_PX, image.shape[1] // STRIDE_PX
        padded = cv2.copyMakeBorder(
            image[: rows * STRIDE_PX, : cols * STRIDE_PX], *[_MARGIN_PX] * 4, cv2.BORDER_REFLECT_101
        )
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        photograph = (pixels - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_STD)[:, None, None]
        views = _over_symmetries(self.pathology, 2 * pixels - 1)
        halves = (self.photographs(photograph) + self.photographs(photograph.flip(2, 3)).flip(2, 3)) / 2
        inner = [slice(_MARGIN_PX // STRIDE_PX, _MARGIN_PX // STRIDE_PX + n) for n in (rows, cols)]
        first, second = (np.ascontiguousarray(f[0].permute(1, 2, 0).numpy()[*inner]) for f in (views, halves))
        return first, second


def load_pathology(weights: Path) -> EmbeddedNetwork:
    """The Neural Image Compression encoder as a dense network: that of the student, with its own last layer."""
    network = EmbeddedNetwork().eval()
    width = network.code.in_channels
    network.code, network.contrast = nn.Conv2d(width, width, 3, padding=2, dilation=2), nn.Identity()
    convs = [*(halve.conv for halve in network.stem), network.body, network.code]
    with torch.no_grad():
        for conv, (kernel, bias) in zip(convs, _folded(load_file(weights)), strict=True):
            conv.weight.copy_(kernel)
            conv.bias.copy_(bias)
        nn.init.zeros_(network.mix.reduce.weight)
        nn.init.zeros_(network.mix.reduce.bias)
    return network


def _load_photographs(root: Path) -> View:
    spec = importlib.util.spec_from_file_location("architectures", root / "weights/architectures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.ResNet50V2Trunk()
    network.load_state_dict(load_file(root / PHOTOGRAPHS), strict=True)
    network.eval()

    def view(pixels: torch.Tensor) -> torch.Tensor:
        """(1, 1024, h / 8, w / 8): features at the centres of 8 px blocks, between those the network makes."""
        shift = STRIDE_PX // 2
        padded = nn.functional.pad(pixels, [shift] * 4, mode="reflect")
        rows, cols = (n // _STRIDE_PX * _STRIDE_PX + 1 for n in pixels.shape[2:])
        features = network(padded[:, :, :rows, :cols])["s16"]  # the i-th sees the px about 16 i - shift
        at = [
            2 * (torch.arange(n // STRIDE_PX) * STRIDE_PX + 2 * shift) / _STRIDE_PX / (m - 1) - 1
            for n, m in zip(pixels.shape[2:], features.shape[2:], strict=True)
        ]
        places = torch.stack(torch.meshgrid(*at, indexing="ij")[::-1], -1)[None].float()
        return nn.functional.grid_sample(features, places, padding_mode="border", align_corners=True)

    return view


def _over_symmetries(view: View, pixels: torch.Tensor) -> torch.Tensor:
    """The mean over the eight ways to turn and mirror the image, each turned back."""
    total = torch.zeros(())
    for turns in range(4):
        turned = torch.rot90(pixels, turns, (2, 3))
        both = view(turned) + view(turned.flip(3)).flip(3)
        total = total + torch.rot90(both, -turns, (2, 3))
    return total / 8


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
