"""Several encoders as one: concatenated features, so that their responses and Gram matrices add up.

With X = [X₁ … Xₙ] / √n and concepts H alike, X·Hᵀ = Σ Xᵢ·Hᵢᵀ / n and H·Hᵀ = Σ Hᵢ·Hᵢᵀ / n: projection on a joint
bank is the exact factorization of all encoders with shared weights W.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from histofactor.encoders.encoder import Encoder, features_of
from histofactor.errors import OptionError
from histofactor.records import EncoderSpec, WeightsSource, WindowRule


def join(encoders: Sequence[Encoder]) -> Encoder:
    """One encoder whose features are those of all, side by side, on the token grid of the first.

    Args:
        encoders: at least one; all at the same µm/px and on one device. The same one may be given twice.

    Returns:
        An encoder named ``a,b`` of width Σ dᵢ; features of other grids are interpolated onto the first's.

    Raises:
        OptionError: the encoders differ in µm/px or device.
    """
    first = encoders[0]
    for other in encoders[1:]:
        if other.spec.mpp != first.spec.mpp or other.device != first.device:
            raise OptionError(
                f"encoders {first.spec.name!r} and {other.spec.name!r} cannot be joined",
                expected=f"the same µm/px ({first.spec.mpp:g}) and device ({first.device})",
                got=f"{other.spec.mpp:g} µm/px on {other.device}",
            )
    scale = 1 / math.sqrt(len(encoders))

    def dense(pixels: torch.Tensor) -> torch.Tensor:
        maps = [features_of(encoder, pixels) * scale for encoder in encoders]
        size = (pixels.shape[2] // first.spec.patch_px, pixels.shape[3] // first.spec.patch_px)
        return torch.cat([_onto(grid, size) for grid in maps], dim=1)

    return Encoder(
        _joint_spec([encoder.spec for encoder in encoders]),
        dense,
        first.device,
        precision=",".join(dict.fromkeys(encoder.precision for encoder in encoders)),
        repaired=any(encoder.repaired for encoder in encoders),
        notes=tuple(dict.fromkeys(note for encoder in encoders for note in encoder.notes)),
    )


def _onto(grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A feature map at another grid size; itself where the size is the same."""
    if tuple(grid.shape[2:]) == size:
        return grid
    return F.interpolate(grid, size, mode="bilinear", align_corners=False, antialias=True)


def _joint_spec(specs: Sequence[EncoderSpec]) -> EncoderSpec:
    """The row of a joint encoder; its window suits every patch size."""
    first = specs[0]
    step = math.lcm(*(spec.patch_px for spec in specs))
    halo = _up(max(spec.window.halo_px for spec in specs), step)
    overlap = max(_up(max(spec.window.overlap_px for spec in specs), step), 2 * halo)
    sizes = [spec.window.size_px for spec in specs if spec.window.fixed] or [spec.window.size_px for spec in specs]
    size = max(_up(max(sizes), step), overlap + step)
    revisions = [spec.source.revision for spec in specs]
    return EncoderSpec(
        name=",".join(spec.name for spec in specs),
        source=WeightsSource(
            "joint",
            "concatenation",
            revision=None if None in revisions else ",".join(str(revision) for revision in revisions),
        ),
        patch_px=first.patch_px,
        dim=sum(spec.dim for spec in specs),
        prefix_tokens=0,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        mpp=first.mpp,
        window=WindowRule(size, overlap, halo, fixed=any(spec.window.fixed for spec in specs)),
        layer=",".join(spec.layer for spec in specs),
        transform=first.transform,
        licence="; ".join(dict.fromkeys(spec.licence for spec in specs)),
        gated=any(spec.gated for spec in specs),
        facts="joined from rows of the registry",
    )


def _up(length_px: int, step_px: int) -> int:
    """The next multiple of a step."""
    return -(-length_px // step_px) * step_px
