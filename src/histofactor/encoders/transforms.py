"""What makes features non-negative."""

from __future__ import annotations

from collections.abc import Callable

import torch

# On maps (n, d, h, w). The paper drops negative evidence (arXiv 2409.05697); "split"
# keeps it in channels of its own, twice as many, so that factorizing them comes near to semi-NMF (Ding et al., 2010).
TRANSFORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "split": lambda maps: torch.cat([torch.relu(maps), torch.relu(-maps)], dim=1),
}
