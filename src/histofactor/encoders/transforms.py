"""What makes features non-negative."""

from __future__ import annotations

from collections.abc import Callable

import torch


def _split(maps: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.relu(maps), torch.relu(-maps)], dim=1)


def _root(maps: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(maps, p=1, dim=1).sqrt()


# On maps (n, d, h, w). "relu" drops negative evidence, as the paper (arXiv 2409.05697). "split" keeps it in channels of
# its own, twice as many, so that factorizing them comes near to semi-NMF (Ding et al., 2010). "shift" takes every token
# above its smallest channel, which needs no other token. "root" and "split-root" then take the square root of every
# channel's share of its token, so that tokens have unit length and no few channels decide (RootSIFT: Arandjelovic &
# Zisserman, CVPR 2012): products are Bhattacharyya coefficients, distances those of Hellinger.
TRANSFORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "shift": lambda maps: maps - maps.amin(dim=1, keepdim=True),
    "split": _split,
    "root": lambda maps: _root(torch.relu(maps)),
    "split-root": lambda maps: _root(_split(maps)),
}


def channels(dim: int, before: str, after: str) -> int:
    """How many channels features of ``dim`` channels under one transform have under another."""
    of_network = dim // 2 if before.startswith("split") else dim
    return 2 * of_network if after.startswith("split") else of_network
