"""How many overlapped windows does a slide need at every window size, and what do they cost?

Windows are laid out as `segment` lays them out (one view), on a slide of 15 × 10 mm that is all tissue, at the µm/px of
the encoder. Operations are those of the blocks of the network: two floating-point operations a parameter and token, and
those of attention, which grow with the square of the tokens of a window.

    python benchmarks/windows_cost.py     writes results/windows_cost.csv
"""

from __future__ import annotations

import torch
from common import report

from histofactor.encoders.layers import blocks_of
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get
from histofactor.encoders.window import at_window
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.geometry.windows import plan_windows

ENCODERS = ("gigapath-flash", "uni", "h-optimus-0", "prov-gigapath", "musk", "rudolfv-2-s")
SIZES_PX = (224, 518, 756, 1022)
SLIDE_UM = (15_000, 10_000)


def cost(name: str, window_px: int) -> dict[str, object]:
    """One row of the table."""
    spec = get(name)
    spec = at_window(spec, window_px // spec.patch_px * spec.patch_px)
    side, patch = spec.window.size_px, spec.patch_px
    size = (round(SLIDE_UM[0] / spec.mpp), round(SLIDE_UM[1] / spec.mpp))
    frame = Frame(size, size, spec.mpp, patch, (-(-size[0] // patch), -(-size[1] // patch)))
    windows = len(plan_windows(frame, spec.window, patch))
    tokens = (side // patch) ** 2
    row: dict[str, object] = {
        "encoder": name,
        "window px": side,
        "overlap px": spec.window.overlap_px,
        "windows a slide": windows,
        "tokens a window": tokens,
        "times a px is encoded": round(windows * side**2 / (size[0] * size[1]), 2),
    }
    if spec.source.remote_code:
        return row | {"PFLOP a slide": "", "of it attention": ""}
    with torch.device("meta"):
        blocks = blocks_of(build_network(spec))
    length = tokens + spec.prefix_tokens
    weighed = 2 * length * sum(one.numel() for one in blocks.parameters())
    attended = 4 * length**2 * spec.dim * len(blocks)
    return row | {
        "PFLOP a slide": round(windows * (weighed + attended) / 1e15, 2),
        "of it attention": round(attended / (weighed + attended), 3),
    }


def main() -> None:
    rows = [cost(name, side) for name in ENCODERS for side in SIZES_PX]
    report("windows_cost", list(rows[0]), [list(row.values()) for row in rows], ["timm"])


if __name__ == "__main__":
    main()
