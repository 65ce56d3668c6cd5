"""The network of the embedded encoder: convolutions only, so a token sees a bounded neighbourhood and nothing else."""

from __future__ import annotations

import torch
from torch import nn

REVISION = "1"
STRIDE_PX = 8
DIM = 128
# A token sees its own 8 px block and at most RADIUS_PX px beyond it, on every side.
RADIUS_PX = 92
HALO_PX = 96
MPP = 1.0
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
LAYER = "code"
TRANSFORM = "relu"
WEIGHTS_FILE = "encoder.safetensors"

_WIDTH = 128
_SLOPE = 0.2  # of the leaky ReLU
_SURROUND = 17  # tokens across


class _Halve(nn.Module):
    """A 3×3 convolution at stride 2: (n, c, h, w) to (n, width, h/2, w/2).

    A 3×3 kernel cannot be centred on a 2×2 block. ``late`` pads one row and column at the end instead of at the
    start, which moves the kernel's centre from half a cell before the block's centre to half a cell after it: the
    three levels of the network are early, early and late, so the offsets (−½, −1, +2 px) cancel to half a px.
    """

    def __init__(self, channels: int, *, late: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, _WIDTH, 3, stride=2)
        self.pad = (0, 1, 0, 1) if late else (1, 0, 1, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _leaky(self.conv(nn.functional.pad(x, self.pad)))


class _Mix(nn.Module):
    """A residual block within the token: (n, width, h, w) to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(_WIDTH, 2 * _WIDTH, 1)
        self.reduce = nn.Conv2d(2 * _WIDTH, _WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.reduce(_leaky(self.expand(x)))
        return x + mixed


class EmbeddedNetwork(nn.Module):
    """Dense features of H&E tissue at about 1 µm/px, 8 px a token.

    ``stem``, ``body`` and ``code`` start as the Neural Image Compression encoder (Tellez et al., IEEE TPAMI 2021) run
    densely at stride 8 (à trous); ``contrast`` weighs every channel against its surround of 17×17 tokens, which takes
    away much of what differs between laboratories and organs. All are trained further; see MODEL_CARD.md.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_Halve(3, late=False), _Halve(_WIDTH, late=False), _Halve(_WIDTH, late=True))
        self.body = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.mix = _Mix()
        self.code = nn.Conv2d(_WIDTH, DIM, 3, padding=2, dilation=2)
        self.contrast = nn.Conv2d(DIM, DIM, _SURROUND, padding=_SURROUND // 2, groups=DIM)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode windows.

        Args:
            pixels: (n, 3, h, w) RGB, normalised with MEAN and STD; h and w multiples of STRIDE_PX.

        Returns:
            (n, DIM, h / STRIDE_PX, w / STRIDE_PX) features before their ReLU. Tokens nearer than HALO_PX to a side
            of the window have seen its zero padding.
        """
        tokens = self.mix(_leaky(self.body(self.stem(pixels))))
        features: torch.Tensor = self.contrast(self.code(tokens))
        return features


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.leaky_relu(x, _SLOPE)
