"""Do windows leave seams? Ours beside plain tiles without overlap, on the oral carcinoma fields.

The fields are taken as if they had 1 µm/px, so that all their 2048 × 1536 px are worked in several windows. Printed for
each layout: the share of labels that change when the layout moves by half a window, and how much denser label changes
are across window borders than elsewhere (compared at the same place within a token).

    python benchmarks/seams.py ../shared            prints a table and writes results/seams.csv
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from histofactor.encoders.build import Encoder, load_encoder
from histofactor.pipeline.engine import SegmentOptions
from histofactor.pipeline.segment import segment
from histofactor.records import Segmentation, SlideInfo, WindowRule
from histofactor.slides.grid import make_frame, plan_windows

K = 16


def borders(size: tuple[int, int], encoder: Encoder) -> tuple[set[int], set[int]]:
    """Columns and rows at which windows, or what is kept of them, begin or end."""
    frame = make_frame(SlideInfo(None, size, 1.0, (1.0,), ""), 1.0, encoder.spec.patch_px)
    halo = encoder.spec.window.halo_px
    found: tuple[set[int], set[int]] = (set(), set())
    for window in plan_windows(frame, encoder.spec.window):
        for axis, start in enumerate((window.x, window.y)):
            end = start + window.size[axis]
            found[axis].update(p for p in (start, start + halo, end - halo, end) if 0 < p < size[axis])
    return found


def border_density(result: Segmentation, encoder: Encoder) -> tuple[float, float]:
    """Label changes per px across window borders, and across all other lines at the same place within a token."""
    labels, stride = result.label_map.labels, encoder.spec.patch_px
    at_border, elsewhere = [], []
    for axis, lines in enumerate(borders(labels.shape[::-1], encoder)):
        changes = (np.diff(labels.astype(int), axis=1 - axis) != 0).mean(axis=axis)  # line p lies between px p-1 and p
        for p in range(stride, labels.shape[1 - axis], stride):
            (at_border if p in lines else elsewhere).append(changes[p - 1])
    return float(np.mean(at_border)), float(np.mean(elsewhere))


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    images = sorted((shared / "data/oscc").glob("*.jpg"))
    ours = load_encoder("embedded")
    size = ours.spec.window.size_px
    tiles = replace(ours, spec=replace(ours.spec, window=WindowRule(size, 0)))
    rows = []
    for name, encoder in (("histofactor", ours), ("tiles", tiles)):
        changed, densities = [], []
        for image in track(images, name, console=Console(stderr=True)):
            plain, moved = (
                segment(image, encoder=encoder, k=K, source_mpp=1.0, options=SegmentOptions(shift_px=shift))
                for shift in (0, size // 2)
            )
            changed.append((plain.label_map.labels != moved.label_map.labels).mean())
            densities.append(border_density(plain, encoder))
        at_border, elsewhere = np.mean(densities, axis=0)
        rows.append((name, len(images), np.median(changed), np.max(changed), at_border / elsewhere))
    header = ("layout", "images", "labels changed, median", "labels changed, worst", "border / elsewhere")
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(row[0], str(row[1]), f"{row[2]:.4%}", f"{row[3]:.4%}", f"{row[4]:.3f}")
    Console(width=120).print(table)
    out = Path(__file__).parent / "results/seams.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[f"{v:.6f}" if isinstance(v, float) else v for v in row] for row in rows])


if __name__ == "__main__":
    main()
