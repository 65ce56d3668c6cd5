"""GenBio-PathFM (Kapse et al., bioRxiv 2026), as its published code describes it: a ViT-g/16 that sees one colour.

Red, green and blue of an image are encoded each on its own, and their tokens put side by side. Positions turn queries
and keys (rotary, as in DINOv3), by angles that were computed in bfloat16; the names of tensors are those of its file.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

_COLORS = 3
_BASE = 100.0  # of the periods of the rotary positions


class _Rope(nn.Module):
    """Sines and cosines of the angles by which the tokens of a grid are turned, in bfloat16."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        steps = torch.arange(head_dim // 4, dtype=torch.bfloat16)
        self.register_buffer("periods", _BASE ** (2 * steps / (head_dim // 2)))
        self.periods: torch.Tensor

    def forward(self, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows · columns, head_dim) each; places run from -1 to 1 along both axes."""
        periods = self.periods.bfloat16()
        down, across = (
            torch.arange(0.5, side, dtype=torch.bfloat16, device=periods.device) / side for side in (rows, columns)
        )
        grid = 2.0 * torch.stack(torch.meshgrid(down, across, indexing="ij"), -1).flatten(0, 1) - 1.0
        angles = (2 * math.pi * grid[:, :, None] / periods).flatten(1).tile(2)
        return angles.sin(), angles.cos()


def _turned(heads: torch.Tensor, sin: torch.Tensor, cos: torch.Tensor) -> torch.Tensor:
    """Queries or keys (n, heads, t, d) with their last tokens, those of the grid, turned."""
    before = heads.shape[2] - len(sin)
    plain, grid = heads[:, :, :before], heads[:, :, before:].to(sin.dtype)
    left, right = grid.chunk(2, -1)
    turned = grid * cos + torch.cat([-right, left], -1) * sin
    return torch.cat([plain, turned.to(plain.dtype)], 2)


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)

    def forward(self, tokens: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        q, k, v = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(_turned(q, *rope), _turned(k, *rope), v)
        return cast(torch.Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))


class _Mlp(nn.Module):
    """SwiGLU: two thirds of four times the width, in whole 64s."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = -(-(4 * dim * 2 // 3) // 64) * 64
        self.w1, self.w2, self.w3 = nn.Linear(dim, hidden), nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.w3(F.silu(self.w1(tokens)) * self.w2(tokens)))


class _Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), 1e-5))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens * self.gamma


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn, self.mlp, self.ls1, self.ls2 = _Attention(dim, heads), _Mlp(dim), _Scale(dim), _Scale(dim)

    def forward(self, tokens: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), rope))
        return cast(torch.Tensor, tokens + self.ls2(self.mlp(self.norm2(tokens))))


class PathFM(nn.Module):
    """ViT-g/16 with a class token and four more before the grid, run on each colour.

    Args:
        depth: number of blocks.
        dim: channels of a token of one colour.
        heads: attention heads.
    """

    num_prefix_tokens = 5

    def __init__(self, depth: int = 40, dim: int = 1536, heads: int = 24) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, dim, 16, 16)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.storage_tokens = nn.Parameter(0.02 * torch.randn(1, self.num_prefix_tokens - 1, dim))
        self.rope_embed = _Rope(dim // heads)
        self.blocks = nn.ModuleList(_Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, height, width) to tokens (3 n, 5 + grid, dim), three colours after another."""
        grid = self.patch_embed["proj"](pixels.flatten(0, 1)[:, None])
        rope = self.rope_embed(*grid.shape[2:])
        before = torch.cat([self.cls_token, self.storage_tokens], 1).expand(len(grid), -1, -1)
        tokens = torch.cat([before, grid.flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            tokens = block(tokens, rope)
        return cast(torch.Tensor, self.norm(tokens))

    @staticmethod
    def side_by_side(tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of three colours (3 n, t, d) as those of the images, (n, t, 3 d)."""
        return tokens.reshape(-1, _COLORS, *tokens.shape[1:]).transpose(1, 2).flatten(2)
