"""How much longer do four views take than one?

The embedded encoder, K = 16: a field of 2048 x 1536 px, and whole slides of phantom tissue of 4,000 and 10,000 px a
side, read, encoded, blended, solved, decoded. Both ways in turn, the median of the ratios.

    python benchmarks/views.py        writes results/views.csv
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from common import report
from PIL import Image

from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.phantom import phantom
from histofactor.slides.phantom_slide import write_phantom_slide
from histofactor.slides.reader import open_slide

REPEATS = 5


def ratios(path: Path, repeats: int) -> list[float]:
    """Time of four views over that of one, pair by pair."""
    found = []
    segmenters = [prepare(k=16, options=SegmentOptions(tissue=False, views=views)) for views in (1, 4)]
    for _ in range(repeats + 1):
        seconds = []
        for segmenter in segmenters:
            with open_slide(path, source_mpp=0.5) as slide:
                start = time.perf_counter()
                segment_slide(slide, segmenter)
                seconds.append(time.perf_counter() - start)
        found.append(seconds[1] / seconds[0])
    return found[1:]  # the first pair compiles


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        field = Path(folder) / "field.png"
        Image.fromarray(phantom((2048, 1536), seed=0).image).save(field)
        inputs = [("field of 2048 x 1536 px", field, REPEATS)]
        for side in (4000, 10_000):
            slide = Path(folder) / f"{side}.tif"
            write_phantom_slide(slide, (side, side), seed=0, mpp=0.5)
            inputs.append((f"slide of {side} px a side", slide, 3 if side == 4000 else 1))
        rows = []
        for name, path, repeats in inputs:
            values = ratios(path, repeats)
            rows.append((name, float(np.median(values)), min(values), max(values)))
    report("views", ("input", "four views / one", "lowest", "highest"), rows, ("torch",))


if __name__ == "__main__":
    main()
