"""How many windows are encoded at a time."""

from __future__ import annotations

import torch

from histofactor.encoders.encoder import Encoder

_CPU_PX, _CPU_MOST = 2**20, 16  # more at a time is no faster there
_GPU_MOST, _GPU_SHARE = 256, 0.5  # of the free memory
_COPIES = 40  # float32 maps of a window's tokens that are held at the peak of a forward pass, about


def windows_at_once(encoder: Encoder, size: tuple[int, int]) -> int:
    """How many windows of one size are encoded at a time: on a GPU as many as fit into half of its free memory.

    Args:
        encoder: where it runs and how wide it is.
        size: (width, height) of a window in px.
    """
    area_px = size[0] * size[1]
    if encoder.device.type != "cuda":
        return min(_CPU_MOST, max(1, _CPU_PX // area_px))
    free, _ = torch.cuda.mem_get_info(encoder.device)
    needed = area_px / encoder.spec.patch_px**2 * encoder.spec.dim * 4 * _COPIES
    return min(_GPU_MOST, max(1, int(_GPU_SHARE * free / needed)))
