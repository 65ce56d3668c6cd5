"""Tokens whose norm stands out: where transformers without registers keep what belongs to no place.

Such tokens hold global information in place of their own (Darcet et al., ICLR 2024), mostly over background, and
factorization takes them for a phenotype. They are known by their norm, far above that of the other tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_MADS = 8.0  # median absolute deviations above the median, scaled as standard deviations
_RATIO = 1.5  # and so many times the median


def outliers(maps: torch.Tensor) -> torch.Tensor:
    """Tokens of norms that stand out among those of their window.

    A norm stands out if it is both far above the median in terms of the spread (8 scaled median absolute deviations)
    and one and a half times the median.

    Args:
        maps: (n, d, h, w) features.

    Returns:
        (n, h, w) bool.
    """
    norms = maps.float().norm(dim=1)
    flat = norms.flatten(1)
    median = flat.median(dim=1, keepdim=True).values
    spread = 1.4826 * (flat - median).abs().median(dim=1, keepdim=True).values
    found: torch.Tensor = (flat > median + _MADS * spread) & (flat > _RATIO * median)
    return found.reshape(norms.shape)


def repair(maps: torch.Tensor) -> torch.Tensor:
    """Features with tokens that stand out replaced by the mean of their nearest sound neighbours.

    Args:
        maps: (n, d, h, w) features.

    Returns:
        (n, d, h, w); the very same where nothing stands out.
    """
    bad = outliers(maps)
    if not bad.any():
        return maps
    fixed, unrepaired = maps.clone(), bad
    while unrepaired.any() and not unrepaired.flatten(1).all(dim=1).any():
        sound = (~unrepaired)[:, None].to(maps.dtype)
        weight = 9 * F.avg_pool2d(sound, 3, 1, 1)
        total = 9 * F.avg_pool2d(fixed * sound, 3, 1, 1)
        reached = unrepaired & (weight[:, 0] > 0.5)
        filled = (total / weight.clamp(min=1)).permute(0, 2, 3, 1)
        fixed = torch.where(reached[:, None], filled.permute(0, 3, 1, 2), fixed)
        unrepaired = unrepaired & ~reached
    return fixed
