"""How long does a region of a whole slide take, against OpenSlide's bare ``read_region`` and Pillow's ``resize``?

A pyramidal TIFF of 20,000 × 20,000 px in JPEG tiles with levels 1, 4 and 16, as scanners write, is made of a phantom.
1024 × 1024 px are read at scale 2 (2048 × 2048 px of level 0) at random places, which all readers share: the bare
calls, and ``open_slide`` with either library. Windows of a run overlap, so that places side by side are timed as well.

    python benchmarks/reading.py           prints a table and writes results/reading.csv
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import openslide
import tifffile
from common import report
from PIL import Image

from histofactor.records import Region
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide

SIDE, TILE, LEVELS, OUT, SCALE, READS = 20_000, 256, (1, 4, 16), 1024, 2, 24
Place = tuple[int, int]
Read = Callable[[Place], np.ndarray]


def write_slide(path: Path) -> None:
    """The phantom over and over, shifted by a prime so that tiles differ."""
    tissue = phantom((2048, 2048), seed=0).image
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for factor in LEVELS:
            side = SIDE // factor
            size = (2048 // factor, 2048 // factor)
            level = np.tile(cv2.resize(tissue, size, interpolation=cv2.INTER_AREA), (2 + TILE // size[0],) * 2 + (1,))
            tiff.write(
                tiles_of(level, size[0], side),
                shape=(side, side, 3), dtype=np.uint8, photometric="rgb", tile=(TILE, TILE), compression="jpeg",
                compressionargs={"level": 80}, subfiletype=int(factor > 1),
                resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
            )  # fmt: skip


def tiles_of(level: np.ndarray, period: int, side: int) -> Iterator[np.ndarray]:
    """Tiles of a level, in the order of the file."""
    across = -(-side // TILE)
    for row in range(across):
        for column in range(across):
            y, x = (row * TILE + 37 * column) % period, (column * TILE) % period
            yield np.ascontiguousarray(level[y : y + TILE, x : x + TILE])


def milliseconds(reads: dict[str, Read], places: list[Place]) -> dict[str, float]:
    """Median over the places, the readers taking turns."""
    times: dict[str, list[float]] = {name: [] for name in reads}
    for place in places:
        for name, read in reads.items():
            start = time.perf_counter()
            read(place)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        write_slide(path)
        bare = openslide.OpenSlide(path)
        ours = {name: open_slide(path, source_mpp=0.5, reader=name) for name in ("tifffile", "openslide")}

        def read_bare(place: Place) -> np.ndarray:
            image = bare.read_region(place, 0, (OUT * SCALE, OUT * SCALE)).convert("RGB")
            return np.asarray(image.resize((OUT, OUT), Image.Resampling.BICUBIC))

        def reader(name: str) -> Read:
            return lambda place: ours[name].read(Region(*place, OUT * SCALE, OUT * SCALE, (OUT, OUT)))

        reads = {"bare": read_bare, **{name: reader(name) for name in ours}}
        random = np.random.default_rng(0).integers(0, SIDE - OUT * SCALE, (READS, 2)).tolist()
        step = OUT * SCALE * 3 // 4
        runs = [(x, y) for y in range(0, SIDE - 2 * OUT, 5 * step) for x in range(0, SIDE - OUT * SCALE, step)][:READS]
        rows = []
        for pattern, places in (("random", [(x, y) for x, y in random]), ("overlapping", runs)):
            found = milliseconds(reads, places)
            rows += [(name, pattern, value, value / found["bare"]) for name, value in found.items()]
    header = ("reader", "places", "ms per read", "times the bare calls")
    report("reading", header, rows, ("openslide-python", "openslide-bin", "tifffile", "imagecodecs", "pillow"))


if __name__ == "__main__":
    main()
