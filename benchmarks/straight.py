"""Do borders run along the axes of the image more than they run along any other line?

Six fields, the embedded encoder, concepts of the field itself. Weights are decoded on a grid four times as fine as px,
so that a border has no steps, and the map is read along its axes and turned by 22.5, 45 and 67.5 degrees: the share of
the border px of each reading that lie in straight runs of at least 8, 16 and 32 px. What lies in such runs in the
turned readings is what curves that bend slowly give; more of it along the axes are edges that the encoder or the grid
made.

    python benchmarks/straight.py ../shared        writes results/straight.csv
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

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
KS, FINER, ANGLES, RUNS = (8, 16), 4, (0.0, 22.5, 45.0, 67.5), (8, 16, 32)


def fine_labels(field: Field, bank: ConceptBank) -> np.ndarray:
    """Labels of a field on a grid four times as fine as its px."""
    whole = replace(field, tissue=np.ones_like(field.tissue))
    height, width = (cells * field.stride_px * FINER for cells in field.tissue.shape)
    return label_pixels(weigh_field(whole, bank), (height, width))[0]


def read_turned(fine: np.ndarray, degrees: float) -> np.ndarray:
    """The largest square about the middle that a map holds however it is turned, at every fourth fine px."""
    side = int(min(fine.shape) / np.sqrt(2) / FINER)
    at = (np.arange(side) - (side - 1) / 2) * FINER
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    y, x = (
        (part + (size - 1) / 2).round().astype(int)
        for part, size in zip((at[:, None] * cos + at * sin, -at[:, None] * sin + at * cos), fine.shape, strict=True)
    )
    return fine[y, x]


def in_runs(labels: np.ndarray) -> tuple[int, dict[int, int]]:
    """Border px between rows and between columns, and those of them in straight runs of at least so many."""
    total, found = 0, dict.fromkeys(RUNS, 0)
    for across in (labels, labels.T):
        border = across[:, 1:] != across[:, :-1]  # runs go down the columns
        padded = np.pad(border, ((1, 1), (0, 0))).astype(np.int8).T.ravel()
        starts, ends = np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1)
        lengths = ends - starts
        total += int(lengths.sum())
        for least in RUNS:
            found[least] += int(lengths[lengths >= least].sum())
    return total, found


def main() -> None:
    """Read all fields in all directions."""
    shared, setup = Path(sys.argv[1]), learning_setup("embedded")
    counts: dict[tuple[str, int, float], tuple[int, dict[int, int]]] = {}
    for name, mpp in FIELDS.items():
        with open_slide(shared / "data" / name, source_mpp=mpp) as slide:
            width, height = slide.info.size
            field = encode_field(slide, setup, Example(0, width / 2, height / 2, 0.0, 0.0))
        for k in KS:
            with open_slide(field.rgb, source_mpp=field.mpp) as part:
                bank, _ = learn_from_one(part, setup, k)
            fine = fine_labels(field, bank)
            counts |= {(name, k, angle): in_runs(read_turned(fine, angle)) for angle in ANGLES}
    rows, sums = [], defaultdict(lambda: np.zeros((2, 1 + len(RUNS))))
    for (name, k, angle), (total, found) in counts.items():
        one = np.array([total, *found.values()], float)
        for key in ((name, k), ("all", k)):
            sums[key][int(angle != 0)] += one
    for (name, k), (along, turned) in sums.items():
        shares = np.stack([along[1:] / along[0], turned[1:] / turned[0]], 1)
        rows.append((name, k, *(100 * shares).ravel().tolist()))
    header = ("field", "K", *(f"{way}, {least} px, %" for least in RUNS for way in ("along the axes", "turned")))
    report("straight", header, rows, ("numba", "torch"))


if __name__ == "__main__":
    main()
