"""The teacher, and the student's first weights made from it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from histofactor.encoders.embedded.network import EmbeddedNetwork

_BN_EPS = 1e-3


def load_teacher(weights: Path) -> dict[str, torch.Tensor]:
    """Weights of the Neural Image Compression encoder (Tellez et al., IEEE TPAMI 2021), read from safetensors."""
    return load_file(weights)


def folded(teacher: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Kernel and bias of the five convolutions, every batch norm folded into the convolution that follows it."""
    layers = [(teacher[f"convs.{i}.weight"], teacher[f"convs.{i}.bias"]) for i in range(4)]
    layers.append((teacher["code.weight"], teacher["code.bias"]))
    out = [layers[0]]
    for i, (kernel, bias) in enumerate(layers[1:]):
        gain = teacher[f"bns.{i}.weight"] / torch.sqrt(teacher[f"bns.{i}.running_var"] + _BN_EPS)
        shift = teacher[f"bns.{i}.bias"] - teacher[f"bns.{i}.running_mean"] * gain
        out.append((kernel * gain[None, :, None, None], bias + (kernel.sum((2, 3)) * shift).sum(1)))
    return out


def initialise(student: EmbeddedNetwork, teacher: dict[str, torch.Tensor]) -> None:
    """Make the student compute what the teacher computes densely at stride 8, away from borders."""
    convs = [*(halve.conv for halve in student.stem), student.body, student.code]
    with torch.no_grad():
        for conv, (kernel, bias) in zip(convs, folded(teacher), strict=True):
            conv.weight.copy_(kernel)
            conv.bias.copy_(bias)
        for block in student.widen:
            nn.init.zeros_(block.mix.weight)
            nn.init.zeros_(block.mix.bias)
