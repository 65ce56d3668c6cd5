"""The network of the embedded encoder: convolutions only, so a token sees a bounded neighbourhood and nothing else."""

from __future__ import annotations

import torch
from torch import nn

from histofactor.encoders.embedded.few_channels import halve_few
from histofactor.encoders.embedded.winograd import halve, transformed

REVISION = "3"
STRIDE_PX = 8
DIM = 160
# A token sees its own 8 px block and at most RADIUS_PX px beyond it, on every side.
RADIUS_PX = 95
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
_BAND = 32  # rows, an even number


class _Halve(nn.Module):
    """A 3×3 convolution and the means of its 2×2 blocks: (n, c, h, w) to (n, width, h/2, w/2).

    A convolution of stride two lets in what is too fine for the coarser grid, so that features change with where
    tokens begin. The mean takes most of that out (Zhang, ICML 2019), and keeps cells centred on their block. Rows are
    worked in bands: all of them before the mean would take half a gigabyte a window, and more time. A CPU works in
    other ways, see ``winograd`` and ``few_channels``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, _WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if _is_quick(x):
            return self._quickly(x)
        padded = nn.functional.pad(x, (1, 1, 1, 1))
        bands = (padded[:, :, row : row + _BAND + 2] for row in range(0, x.shape[2], _BAND))
        return torch.cat([nn.functional.avg_pool2d(_leaky(self.conv(band)), 2) for band in bands], dim=2)

    def _quickly(self, x: torch.Tensor) -> torch.Tensor:
        px = x.permute(0, 2, 3, 1).contiguous().numpy()  # (n, h, w, c)
        weight, bias = (values.numpy() for values in self.conv.parameters())
        few = px.shape[-1] < _WIDTH
        halved = halve_few(px, weight, bias, _SLOPE) if few else halve(px, transformed(weight), bias, _SLOPE)
        return torch.from_numpy(halved).permute(0, 3, 1, 2)


class _Mix(nn.Module):
    """A residual block within the token: (n, width, h, w) to the same shape.

    The wide layer is summed by halves: over all of its channels at once, the sum of a lone thread differs in its last
    bits from that of several, and labels would hang on how many cores a process has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(_WIDTH, 2 * _WIDTH, 1)
        self.reduce = nn.Conv2d(2 * _WIDTH, _WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide, weight = _leaky(self.expand(x)), self.reduce.weight
        first = nn.functional.conv2d(wide[:, :_WIDTH], weight[:, :_WIDTH], self.reduce.bias)
        return x + (first + nn.functional.conv2d(wide[:, _WIDTH:], weight[:, _WIDTH:]))


class EmbeddedNetwork(nn.Module):
    """Dense features of H&E tissue at about 1 µm/px, 8 px a token.

    ``stem``, ``body`` and ``code`` start as the Neural Image Compression encoder (Tellez et al., IEEE TPAMI 2021) run
    densely at stride 8 (à trous); ``contrast`` weighs every channel against its surround, by a kernel that is round,
    ends softly, and is the same turned and mirrored. They are trained further; see MODEL_CARD.md.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_Halve(3), _Halve(_WIDTH), _Halve(_WIDTH))
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


def _is_quick(x: torch.Tensor) -> bool:
    """Whether convolutions are left to ``winograd`` and ``few_channels``: on a CPU, where nothing is trained."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()


def _leaky(x: torch.Tensor) -> torch.Tensor:
    """In place: what a convolution returned is needed for nothing else."""
    return nn.functional.leaky_relu_(x, _SLOPE)
