"""The student: its first weights, what of it is trained, and what holds its surround round."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from histofactor.encoders.embedded.network import DIM, EmbeddedNetwork

_TAPER = 1.5  # tokens over which the surround ends


def start_from(weights: Path) -> EmbeddedNetwork:
    """The network with its own weights, or those of revision 2: less its surround, with new channels at random."""
    network = EmbeddedNetwork()
    stored = {name: value.float() for name, value in load_file(weights).items()}
    if len(stored["code.bias"]) < DIM:
        stored = {name: value for name, value in stored.items() if not name.startswith("contrast")}
        new = torch.zeros_like(network.code.weight[len(stored["code.bias"]) :])
        stored["code.weight"] = torch.cat([stored["code.weight"], 0.02 * torch.randn_like(new)])
        stored["code.bias"] = torch.cat([stored["code.bias"], torch.zeros(len(new))])
        torch.nn.init.dirac_(network.contrast.weight, groups=DIM)
        torch.nn.init.zeros_(network.contrast.bias)
    network.load_state_dict({**network.state_dict(), **stored})
    return network


def early(network: EmbeddedNetwork, pixels: torch.Tensor) -> torch.Tensor:
    """What is not trained: (1, 3, h, w) pixels to (1, width, h / 4, w / 4)."""
    result: torch.Tensor = network.stem[1](network.stem[0](pixels))
    return result


def late(network: EmbeddedNetwork, seen: torch.Tensor) -> torch.Tensor:
    """What is trained: from ``early`` (n, width, h, w) to (n, DIM, h / 2, w / 2) features.

    The surround is a product of spectra: the gradient of a convolution channel by channel takes fourteen times as long.
    """
    tokens = network.mix(torch.nn.functional.leaky_relu(network.body(network.stem[2](seen)), 0.2))
    kernel = network.contrast.weight[:, 0]  # round, so that it need not be turned
    edge = kernel.shape[1] // 2
    size = [n + 2 * edge for n in tokens.shape[2:]]
    spectrum = torch.fft.rfft2(network.code(tokens).contiguous(), s=size) * torch.fft.rfft2(kernel, s=size)
    whole = torch.fft.irfft2(spectrum, s=size)
    return whole[..., edge:-edge, edge:-edge] + network.contrast.bias[:, None, None]


def late_parameters(network: EmbeddedNetwork) -> list[torch.nn.Parameter]:
    """The parameters of ``late``."""
    return [value for name, value in network.named_parameters() if not name.startswith(("stem.0", "stem.1"))]


@torch.no_grad()
def make_round(network: EmbeddedNetwork) -> None:
    """Average every kernel of the surround over the eight symmetries of the square, and end it on a circle."""
    kernel = network.contrast.weight
    total = torch.zeros_like(kernel)
    for turns in range(4):
        turned = torch.rot90(kernel, turns, (2, 3))
        total += turned + turned.flip(3)
    size = kernel.shape[2]
    y, x = torch.meshgrid(*[torch.arange(size) - size // 2] * 2, indexing="ij")
    taper = ((size / 2 - torch.hypot(y.float(), x.float())) / _TAPER).clamp(0, 1)
    kernel.copy_(total / 8 * taper)


def save(network: EmbeddedNetwork, out: Path) -> None:
    """Write the weights as fp16 safetensors, to a temporary name first."""
    temporary = out.with_suffix(".tmp")
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, temporary)
    temporary.chmod(0o644)
    temporary.replace(out)
