"""Do borders run along the axes of the image more than they run along any other line?

Six fields, the embedded encoder, concepts of the field itself. A field is encoded as it is and turned by 22.5, 45 and
67.5 degrees, so that tissue that runs along an axis counts for none of them. Weights are decoded on a grid four times
as fine as px, so that a border has no steps, and every map is read along its axes and turned by the same angles: the
share of the border px of each reading, within the disk that all hold, that lie in straight runs of at least 8, 16 and
32 px. What lies in such runs in the turned readings is what curves that bend slowly give; more of it along the axes are
edges that the encoder or the grid made. Intervals are of 2,000 bootstrap draws of fields as they were turned.

    python benchmarks/straight.py ../shared        writes results/straight.csv
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from common import report

from histofactor.concepts.bank.provenance import Example
from histofactor.masks.decode import label_pixels
from histofactor.records import ConceptBank
from histofactor.segmentation.encode_field import encode_field
from histofactor.segmentation.field import Field, weigh_field
from histofactor.segmentation.own import learn_from_one
from histofactor.segmentation.setup import learning_setup
from histofactor.slides.reader import open_slide

FIELDS = {
    "oscc/OSCC_400x_1.jpg": 0.25,
    "oscc/OSCC_400x_12.jpg": 0.25,
    "glas-dev/images/testA_2.png": 0.62,
    "glas-dev/images/testA_10.png": 0.62,
    "example_3.jpg": 0.5,
    "slides/cmu-1-small-region.svs": 0.499,
}
KS, FINER, ANGLES, RUNS, DRAWS = (8, 16), 4, (0.0, 22.5, 45.0, 67.5), (8, 16, 32), 2000


def fine_labels(field: Field, bank: ConceptBank) -> np.ndarray:
    """Labels of a field on a grid four times as fine as its px."""
    whole = replace(field, tissue=np.ones_like(field.tissue))
    height, width = (cells * field.stride_px * FINER for cells in field.tissue.shape)
    return label_pixels(weigh_field(whole, bank), (height, width))[0]


def turn_image(rgb: np.ndarray, degrees: float) -> np.ndarray:
    """An image turned about its middle; what lies beyond its border is its mirror image."""
    height, width = rgb.shape[:2]
    about = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(rgb, about, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def read_turned(fine: np.ndarray, degrees: float) -> np.ndarray:
    """The largest disk in a map, read turned at every fourth fine px; 0 outside."""
    side = min(fine.shape) // FINER
    at = np.arange(side) - (side - 1) / 2
    cos, sin = np.cos(np.radians(degrees)) * FINER, np.sin(np.radians(degrees)) * FINER
    y, x = (
        np.clip((part + (size - 1) / 2).round().astype(int), 0, size - 1)
        for part, size in zip((at[:, None] * cos + at * sin, -at[:, None] * sin + at * cos), fine.shape, strict=True)
    )
    return np.where(np.hypot(at[:, None], at) < side / 2, fine[y, x] + 1, 0)


def in_runs(labels: np.ndarray) -> tuple[int, ...]:
    """Border px between rows and between columns, and those of them in straight runs of at least so many, by length."""
    total, found = 0, dict.fromkeys(RUNS, 0)
    for across in (labels, labels.T):
        a, b = across[:, 1:], across[:, :-1]
        border = (a != b) & (a > 0) & (b > 0)  # runs go down the columns
        padded = np.pad(border, ((1, 1), (0, 0))).astype(np.int8).T.ravel()
        starts, ends = np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1)
        lengths = ends - starts
        total += int(lengths.sum())
        for least in RUNS:
            found[least] += int(lengths[lengths >= least].sum())
    return total, *found.values()


def shares_of(units: np.ndarray) -> np.ndarray:
    """% of the border in runs of each length, (…, 2, runs): along the axes, turned; of counts (units, …, 2, 1 + n)."""
    summed = units.sum(0)
    return 100 * summed[..., 1:] / summed[..., :1]


def row_of(name: str, k: int, units: np.ndarray) -> tuple:
    """Shares of all units, (units, 2, 1 + runs), and what those along the axes have beyond, with its 95 % interval."""
    along, turned = shares_of(units)
    drawn = np.random.default_rng(0).integers(0, len(units), (DRAWS, len(units)))
    beyond = np.diff(shares_of(units[drawn].swapaxes(0, 1))[:, ::-1], axis=1)[:, 0]
    low, high = np.quantile(beyond, (0.025, 0.975), axis=0)
    return name, k, *np.stack([along, turned, along - turned, low, high], 1).ravel().tolist()


def main() -> None:
    """Read all fields in all directions."""
    shared, setup = Path(sys.argv[1]), learning_setup("embedded")
    counts: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)  # a unit is a field as it was turned
    for name, mpp in FIELDS.items():
        with open_slide(shared / "data" / name, source_mpp=mpp) as slide:
            width, height = slide.info.size
            field = encode_field(slide, setup, Example(0, width / 2, height / 2, 0.0, 0.0))
        with open_slide(field.rgb, source_mpp=field.mpp) as part:
            banks = [learn_from_one(part, setup, k)[0] for k in KS]
        for turn in ANGLES:
            with open_slide(turn_image(field.rgb, turn), source_mpp=field.mpp) as part:
                height, width = field.rgb.shape[:2]
                whole = encode_field(part, setup, Example(0, width / 2, height / 2, 0.0, 0.0))
            for k, bank in zip(KS, banks, strict=True):
                fine = fine_labels(whole, bank)
                along, *others = (np.array(in_runs(read_turned(fine, angle)), float) for angle in ANGLES)
                counts[name, k].append(np.stack([along, np.sum(others, 0)]))
    pooled = {k: [unit for (_, one), units in counts.items() if one == k for unit in units] for k in KS}
    rows = [row_of("all", k, np.stack(units)) for k, units in pooled.items()]
    rows += [row_of(name, k, np.stack(units)) for (name, k), units in counts.items()]
    told = ("along the axes, {} px, %", "turned, {} px, %", "beyond, {} px", "low, {} px", "high, {} px")
    header = ("field", "K", *(one.format(least) for least in RUNS for one in told))
    report("straight", header, rows, ("numba", "torch"))


if __name__ == "__main__":
    main()
