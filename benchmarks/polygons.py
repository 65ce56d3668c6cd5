"""What do polygons of a large label map cost, against tracing with rasterio and simplifying with GEOS?

The peer is what this package did before: ``rasterio.features.shapes`` over the whole map, then
``shapely.coverage_simplify`` at the same tolerance. Label maps are upsampled from random weights of 16 concepts with
8 px a token: independent from token to token, which makes far more pieces than tissue does, or smoothed over two
tokens. Every side runs in a process of its own, which is given the map in memory; ours also as ``write_geojson``, file
and all. Times of ours are medians of three. Extra memory is the peak beyond the maps.

    python benchmarks/polygons.py            prints a table and writes results/polygons.csv
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter
from shapely.geometry import shape

from histofactor.base.colors import palette
from histofactor.export.geojson import write_geojson
from histofactor.masks.decode import label_pixels
from histofactor.masks.polygons import Outlining, stream_polygons
from histofactor.records import LabelMap, Segmentation, SlideInfo, TokenMaps

MAPS = ((2048, 0), (4096, 2), (8192, 2))  # px and smoothing; the peer needs over 15 minutes for 8192 px unsmoothed
CONCEPTS, STRIDE, L0_PER_PX, MIN_AREA_PX = 16, 8, 2.0, 64


def make_maps(px: int, smoothing: float, folder: Path) -> None:
    """Write labels and margins."""
    weights = np.random.default_rng(0).random((px // STRIDE, px // STRIDE, CONCEPTS), np.float32)
    if smoothing:
        weights = gaussian_filter(weights, (smoothing, smoothing, 0))
    for name, values in zip(("labels", "margin"), label_pixels(weights, (px, px)), strict=True):
        np.save(folder / f"{name}.npy", values)


def peer(labels: np.ndarray) -> tuple[int, int]:
    """Number of polygons and vertices of the peer."""
    traced = rasterio.features.shapes(labels, mask=labels > 0, connectivity=4)
    outlines = [shapely.make_valid(shape(ring), method="structure") for ring, _ in traced]
    large = np.array([outline for outline in outlines if outline.area >= MIN_AREA_PX], dtype=object)
    edge_matched = shapely.transform(shapely.segmentize(large, 1.0), np.rint)
    simplified = shapely.coverage_simplify(edge_matched, 1.0)
    placed = shapely.set_precision(shapely.transform(simplified, lambda xy: xy * L0_PER_PX), 1.0)
    parts = shapely.get_parts(placed)
    return len(parts), int(shapely.get_num_coordinates(parts).sum())


def ours(labels: np.ndarray, margin: np.ndarray) -> tuple[int, int]:
    """Number of polygons and vertices of ours."""
    pieces = stream_polygons(label_map(labels), (L0_PER_PX, L0_PER_PX), margin=margin, options=Outlining())
    vertices = [shapely.get_num_coordinates(piece.polygon) for piece in pieces]
    return len(vertices), int(np.sum(vertices))


def written(labels: np.ndarray, margin: np.ndarray) -> None:
    """The whole job, up to the file."""
    height, width = labels.shape
    nothing = np.zeros((0, 0), np.float32)
    segmentation = Segmentation(
        SlideInfo(None, (int(width * L0_PER_PX), int(height * L0_PER_PX)), None, (1.0,), "benchmark"),
        label_map(labels),
        margin,
        TokenMaps(STRIDE, nothing.astype(np.uint8), nothing, nothing, nothing),
        (L0_PER_PX, L0_PER_PX),
        {},
    )
    with tempfile.TemporaryDirectory() as folder:
        write_geojson(segmentation, Path(folder) / "regions.geojson.gz")


def label_map(labels: np.ndarray) -> LabelMap:
    names = tuple(f"Phenotype {i + 1}" for i in range(CONCEPTS))
    return LabelMap(labels, None, (0, 0), names, palette(CONCEPTS))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_side(side: str, folder: str) -> None:
    """Time one side in this process and print seconds, MB, polygons and vertices as JSON."""
    labels, margin = (np.load(Path(folder) / f"{name}.npy") for name in ("labels", "margin"))
    calls: dict[str, Callable[[slice], object]] = {
        "ours": lambda part: ours(labels[part, part], margin[part, part]),
        "written": lambda part: written(labels[part, part], margin[part, part]),
        "peer": lambda part: peer(labels[part, part]),
    }
    call, everything = calls[side], slice(None)
    call(slice(0, 256))  # compiles, or loads what was compiled before
    before, seconds = peak_mb(), []
    for _ in range(1 if side == "peer" else 3):
        start = time.perf_counter()
        counts = call(everything)
        seconds.append(time.perf_counter() - start)
    print(json.dumps([float(np.median(seconds)), peak_mb() - before, counts]))


def main() -> None:
    rows = []
    for px, smoothing in MAPS:
        with tempfile.TemporaryDirectory() as folder:
            make_maps(px, smoothing, Path(folder))
            results = {}
            for side in ("ours", "written", "peer"):
                arguments = [sys.executable, __file__, side, folder]
                results[side] = json.loads(subprocess.run(arguments, check=True, capture_output=True).stdout)
        (t, mb, counts), (t_file, mb_file, _), (t_peer, mb_peer, counts_peer) = results.values()
        rows.append(
            {
                "px": px,
                "smoothing": smoothing,
                "ours s": t,
                "with file s": t_file,
                "peer s": t_peer,
                "times as fast": t_peer / t,
                "ours MB": mb,
                "with file MB": mb_file,
                "peer MB": mb_peer,
                "polygons": counts[0],
                "peer polygons": counts_peer[0],
                "vertices": counts[1],
                "peer vertices": counts_peer[1],
                "cores": os.cpu_count(),
            }
        )
    versions = {name: version(name) for name in ("numba", "numpy", "rasterio", "shapely")}
    versions["GEOS"] = ".".join(map(str, shapely.geos_version))
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=200).print(table, versions)
    out = Path(__file__).parent / "results/polygons.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*rows[0], *versions])
        for row in rows:
            values = [f"{value:.4g}" if isinstance(value, float) else value for value in row.values()]
            writer.writerow([*values, *versions.values()])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_side(*sys.argv[1:])
    else:
        main()
