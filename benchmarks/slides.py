"""What does a whole slide cost beyond its encoding, and does memory grow with the slide?

Phantom slides of 10, 20 and 40 thousand px a side at 0.5 µm/px (pyramidal TIFF, about 56 % tissue) are segmented by
``histofactor segment`` with the embedded encoder, each in a process of its own. Printed for each: windows encoded, wall
time per window, the largest resident memory, and the share of every stage ("write" holds the files, which are written
side by side). For all but the largest slide, the encoder alone is timed too, in one process with a whole run: on the
very same windows, read beforehand, with the same batches and threads, before and after that run; the ratio is that of
the whole run to the mean of both.

    python benchmarks/slides.py [SIZES]      for example 10,20,40; prints tables and writes results/slides.csv
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import in_fresh_process, peak_mb, report

from histofactor.base.clock import Clock
from histofactor.encoders.encode import encode
from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
from histofactor.segmentation.batches import batches
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.reading import read_window
from histofactor.segmentation.setup import prepare
from histofactor.slides.phantom_slide import write_phantom_slide
from histofactor.slides.reader import open_slide

SIZES = (10, 20, 40)  # thousand px
COMPARED = 20  # thousand px up to which the encoder alone is timed too: all windows are held in memory
MPP, SEED, K = 0.5, 1, 16
HEADER = (
    "thousand px", "windows", "s a window", "against the smallest", "peak GB", "encoder alone s", "whole s",
    "whole / encoder", "shares",
)  # fmt: skip


def measure(path: Path, out: Path, compare: bool) -> dict[str, Any]:
    """Segment a slide; with ``compare``, time the encoder alone too, which holds all windows in memory."""
    segmenter, alone, pixels = prepare(k=K), [], []
    with open_slide(path) as slide:
        plan = make_plan(slide, segmenter.setup)
        if compare:
            groups = [group for row in plan.rows for group in batches(row, segmenter.setup.encoder)]
            pixels = [np.stack([read_window(slide, plan.frame, window).rgb for window in group]) for group in groups]

    def encode_all() -> None:
        started = time.perf_counter()
        for batch in pixels:
            encode(segmenter.setup.encoder, batch)
        alone.append(time.perf_counter() - started)

    if compare:
        for batch in pixels[:3]:  # warms up
            encode(segmenter.setup.encoder, batch)
        encode_all()
    clock = Clock()
    with clock("in all"):
        options = ManyOptions(observer=Observer(clock=clock))
        (outcome,) = segment_many([path], out, concepts="embedded", k=K, options=options)
    if outcome.status != "done":
        raise SystemExit(outcome.error)
    if compare:
        encode_all()
    return {"windows": plan.windows, "peak": peak_mb() / 1e3, "alone": alone, "seconds": clock.seconds}


def row_of(size: int, found: dict, smallest_s: float | None) -> tuple:
    """One row of the table."""
    seconds = found["seconds"]
    whole = seconds["in all"]
    each = whole / found["windows"]
    alone = float(np.mean(found["alone"])) if found["alone"] else float("nan")
    shares = " ".join(f"{stage} {100 * s / whole:.1f}%" for stage, s in seconds.items() if stage != "in all")
    return size, found["windows"], each, each / (smallest_s or each), found["peak"], alone, whole, whole / alone, shares


def main() -> None:
    sizes = [int(part) for part in sys.argv[1].split(",")] if len(sys.argv) > 1 else SIZES
    rows, smallest_s = [], None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.tif"
        write_phantom_slide(path, (2000, 2000), seed=SEED, mpp=MPP)
        in_fresh_process(measure, path, Path(folder) / "small", False)  # compiles what later processes find compiled
        for size in sizes:
            path = Path(folder) / f"phantom-{size}k.tif"
            write_phantom_slide(path, (size * 1000, size * 1000), seed=SEED, mpp=MPP)
            rows.append(row_of(size, in_fresh_process(measure, path, Path(folder) / f"out-{size}", False), smallest_s))
            smallest_s = smallest_s or rows[0][2]
            if size <= COMPARED:
                found = in_fresh_process(measure, path, Path(folder) / "compared", True)
                rows.append(row_of(size, found, smallest_s))
            path.unlink()
    report("slides", HEADER, rows, ("torch", "numba", "tifffile", "shapely"))


if __name__ == "__main__":
    main()
