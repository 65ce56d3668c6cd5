"""Networks that no library has in the form in which their weights were published.

CTransPath (Wang et al., MedIA 2022) is Swin-T behind a convolutional stem. MUSK (Xiang et al., Nature 2025) is BEiT-3
(Wang et al., CVPR 2023); images go through its vision experts alone. GenBio-PathFM has a module of its own.
"""

from __future__ import annotations

import re
import sys
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from histofactor.encoders.pathfm import PathFM

__all__ = ["CTransPath", "Musk", "PathFM"]

State = dict[str, torch.Tensor]


class _ConvStem(nn.Module):
    """Two strided 3 × 3 convolutions in place of a patch projection of 4 px; channels last."""

    def __init__(self, img_size: int = 224, patch_size: int = 4, embed_dim: int = 96, **_unused: Any) -> None:
        super().__init__()
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        stages: list[nn.Module] = []
        before = 3
        for after in (embed_dim // 8, embed_dim // 4):
            stages += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        self.proj = nn.Sequential(*stages, nn.Conv2d(before, embed_dim, 1))
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, height, width) to (n, height / 4, width / 4, d)."""
        return cast(torch.Tensor, self.norm(self.proj(pixels).permute(0, 2, 3, 1)))


class CTransPath(SwinTransformer):
    """Swin-T with a convolutional stem, 32 px a token.

    Args:
        depths: number of blocks of every stage.
        side: side of the window in px, a multiple of 32; attention stays within 7 × 7 tokens of a stage.
    """

    def __init__(self, depths: tuple[int, ...] = (2, 2, 6, 2), side: int = 224) -> None:
        super().__init__(img_size=side, num_classes=0, embed_layer=_ConvStem, depths=tuple(depths), window_size=7)

    @staticmethod
    def convert(state: State, network: CTransPath) -> State:
        """Names of the published file to those of this version of timm."""
        converted: State = sys.modules[SwinTransformer.__module__].checkpoint_filter_fn(state, network)
        return converted


class _Attention(nn.Module):
    """Self-attention with a norm before the output projection (sub-LN)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))
        self.inner_attn_ln = nn.LayerNorm(dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, t, d) to the same."""
        q, k, v = (
            part(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return cast(torch.Tensor, self.out_proj(self.inner_attn_ln(mixed)))


class _Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.ffn_layernorm, self.fc2 = nn.Linear(dim, hidden), nn.LayerNorm(hidden), nn.Linear(hidden, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.fc2(self.ffn_layernorm(F.gelu(self.fc1(tokens)))))


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.self_attn, self.ffn = _Attention(dim, heads), _Mlp(dim, 4 * dim)
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.self_attn(self.self_attn_layer_norm(tokens))
        return tokens + cast(torch.Tensor, self.ffn(self.final_layer_norm(tokens)))


class Musk(nn.Module):
    """The image path of MUSK: ViT-L/16 with sub-LN; positions are interpolated for windows of other sizes.

    Args:
        depth: number of blocks.
        dim: channels of a token.
        heads: attention heads.
        side: side in px of the window that it has positions for.
    """

    num_prefix_tokens = 1

    def __init__(self, depth: int = 24, dim: int = 1024, heads: int = 16, side: int = 384) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 16, 16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn((side // 16) ** 2 + 1, dim))
        self.blocks = nn.ModuleList(_Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, height, width) to tokens (n, 1 + grid, d)."""
        grid = self.patch(pixels)
        positions = resample_abs_pos_embed(self.positions[None], list(grid.shape[2:]))
        grid = grid.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(grid), -1, -1), grid], 1) + positions
        for block in self.blocks:
            tokens = block(tokens)
        return cast(torch.Tensor, self.norm(tokens))

    @staticmethod
    def convert(state: State, network: Musk) -> State:
        """Names of the published file, vision experts (A) only, to ours; its positions begin at the third row."""
        names = {
            r"vision_embed\.proj\.": "patch.",
            r"vision_embed\.cls_token": "cls_token",
            r"encoder\.layers\.": "blocks.",
            r"encoder\.layer_norm\.": "norm.",
        }
        found: State = {}
        for key, value in state.items():
            if ".B." in key or not key.startswith("beit3.") or "mask_token" in key or "text_embed" in key:
                continue
            name = key.removeprefix("beit3.").replace(".A.", ".")
            if name == "encoder.embed_positions.weight":
                found["positions"] = value[2:]
                continue
            for pattern, ours in names.items():
                name = re.sub(f"^{pattern}", ours, name)
            found[name] = value
        return found
