"""What makes features non-negative."""

from __future__ import annotations

from collections.abc import Callable

import torch

# On maps (n, d, h, w). "relu" drops negative evidence, as the paper (arXiv 2409.05697). "split" keeps it in channels of
# its own, twice as many, so that factorizing them comes near to semi-NMF (Ding et al., 2010). "shift" takes every token
# above its smallest channel, which needs no other token.
TRANSFORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "shift": lambda maps: maps - maps.amin(dim=1, keepdim=True),
    "split": lambda maps: torch.cat([torch.relu(maps), torch.relu(-maps)], dim=1),
}
