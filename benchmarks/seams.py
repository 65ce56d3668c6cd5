"""Do windows leave seams? Ours beside plain tiles without overlap, in one view, on the oral carcinoma fields.

Printed for each layout: the share of labels that change when the layout moves by half a window, and how much denser
label changes are across window borders than elsewhere (compared at the same place within a token). ``full`` takes two
fields as if they had 1 µm/px, so that all their 2048 × 1536 px are worked in the default windows of 1024 px; the other
rows take all fields at 0.5 µm/px (1024 × 768 px worked) in windows of 512 px, which gives many borders. ``slide`` takes
two whole slides, a real one and a phantom, and compares with the slide read as one image and encoded in one window: the
share of tissue px whose label differs.

    python benchmarks/seams.py ../shared            prints a table and writes results/seams.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from histofactor.encoders.build import Encoder, load_encoder
from histofactor.records import Segmentation, SlideInfo, WindowRule
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.geometry.views import rule_of_views
from histofactor.slides.geometry.windows import plan_windows
from histofactor.slides.phantom_slide import write_phantom_slide

K = 16


def borders(size: tuple[int, int], encoder: Encoder, views: int) -> tuple[set[int], set[int]]:
    """Columns and rows at which windows of the view that is not moved, or what is kept of them, begin or end."""
    frame = make_frame(SlideInfo(None, size, 1.0, (1.0,), ""), 1.0, encoder.spec.patch_px)
    rule = rule_of_views(encoder.spec.window, encoder.spec.patch_px, views)
    halo = rule.halo_px
    found: tuple[set[int], set[int]] = (set(), set())
    for window in plan_windows(frame, rule, encoder.spec.patch_px):
        for axis, start in enumerate((window.x, window.y)):
            end = start + window.size[axis]
            found[axis].update(p for p in (start, start + halo, end - halo, end) if 0 < p < size[axis])
    return found


def border_density(result: Segmentation, encoder: Encoder, views: int = 4) -> tuple[float, float]:
    """Label changes per px across window borders, and across all other lines at the same place within a token."""
    labels, stride = result.label_map.labels, encoder.spec.patch_px
    at_border, elsewhere = [], []
    for axis, lines in enumerate(borders(labels.shape[::-1], encoder, views)):
        changes = (np.diff(labels.astype(int), axis=1 - axis) != 0).mean(axis=axis)  # line p lies between px p-1 and p
        for p in range(stride, labels.shape[1 - axis], stride):
            (at_border if p in lines else elsewhere).append(changes[p - 1])
    return float(np.mean(at_border)), float(np.mean(elsewhere))


def measure(images: list[Path], encoder: Encoder, source_mpp: float, name: str, views: int = 4) -> tuple[object, ...]:
    """One row of the table."""
    changed, densities = [], []
    for image in track(images, name, console=Console(stderr=True)):
        plain, moved = (
            segment(
                image,
                encoder=encoder,
                concepts="embedded",
                k=K,
                source_mpp=source_mpp,
                options=SegmentOptions(shift_px=shift, views=views),
            )
            for shift in (0, encoder.spec.window.size_px // 2)
        )
        changed.append((plain.label_map.labels != moved.label_map.labels).mean())
        densities.append(border_density(plain, encoder, views))
    at_border, elsewhere = np.mean(densities, axis=0)
    return name, len(images), float(np.median(changed)), float(np.max(changed)), float(at_border / elsewhere)


def measure_slide(path: Path, encoder: Encoder) -> tuple[object, ...]:
    """One row of the table: a slide in windows against the same slide in one piece."""
    one = replace(encoder.spec.window, size_px=4096)
    whole = segment(path, encoder=replace(encoder, spec=replace(encoder.spec, window=one)), concepts="embedded", k=K)
    windowed = segment(path, encoder=encoder, concepts="embedded", k=K)
    tissue = whole.label_map.labels[:] > 0
    changed = float((whole.label_map.labels[:] != windowed.label_map.labels[:])[tissue].mean())
    at_border, elsewhere = border_density(windowed, encoder)
    return f"histofactor, slide {path.stem}", 1, changed, changed, at_border / elsewhere


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    images = sorted((shared / "data/oscc").glob("*.jpg"))
    ours = load_encoder("embedded", transform="split-root")
    rule = ours.spec.window
    small, tiles = (
        replace(ours, spec=replace(ours.spec, window=window))
        for window in (replace(rule, size_px=512), WindowRule(512, 0))
    )
    rows = [
        measure(images[:2], ours, 1.0, "histofactor, full"),
        measure(images, small, 0.5, "histofactor"),
        measure(images, tiles, 0.5, "plain tiles", views=1),
    ]
    with tempfile.TemporaryDirectory() as folder:
        phantom = Path(folder) / "phantom.tif"
        write_phantom_slide(phantom, (7000, 7000), seed=1, mpp=0.5)
        rows += [measure_slide(path, ours) for path in (shared / "data/slides/cmu-1-small-region.svs", phantom)]
    header = ("layout", "images", "labels changed, median", "labels changed, worst", "border / elsewhere")
    table = Table(*header, box=None)
    for name, n, median, worst, ratio in rows:
        table.add_row(name, str(n), f"{median:.4%}", f"{worst:.4%}", f"{ratio:.3f}")
    Console(width=120).print(table)
    out = Path(__file__).parent / "results/seams.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[f"{v:.6f}" if isinstance(v, float) else v for v in row] for row in rows])


if __name__ == "__main__":
    main()
