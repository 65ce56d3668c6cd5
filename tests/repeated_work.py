"""An input is segmented, killed at a bad moment and gone on with, each in a process of its own: what is encoded twice?

    python repeated_work.py FOLDER        prints JSON: what was found of every layout, moment by moment

The encoder writes a byte for every window that it begins, so that a killed process has told all that it did.
"""

import json
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import tiny
from histofactor.base.clock import Watch
from histofactor.encoders import batch
from histofactor.records import Centring
from histofactor.segmentation import encoding, sampling
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.segmentation.store import DiskStore
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide

LANES = 2
SIZES = {"wide": (620, 420), "narrow": (200, 700)}  # of the image, in px: 6 or 2 windows a row, about
LAYOUTS = [
    ("wide", "plain"),
    ("narrow", "plain"),
    ("wide", "small"),
    ("narrow", "drawn"),
]
AHEAD_S = 0.04  # in which lanes do what they can before the process ends
REAL = encoding.encode


def tiny_segmenter(bank):
    """A segmenter of twelve random channels and six random concepts."""
    encoder = tiny.encoder()
    concepts = tiny.bank(encoder)
    if bank != "plain":
        concepts = replace(concepts, centring=Centring(0.5, concepts.vectors.mean(0)))
    return prepare(encoder=encoder, concepts=concepts, options=SegmentOptions(views=1, tissue=False))


class Dies(DiskStore):
    """Ends the process before a state is written, once its bands are, or once it is."""

    def __init__(self, folder, when, count):
        self._when, self._left = when, count
        super().__init__(folder, "recipe")

    def _write_index(self, *given):
        ends = bool(self._digests)
        self._left -= ends
        if ends and self._left == 0 and self._when == "before":
            end()
        super()._write_index(*given)
        if ends and self._left == 0 and self._when == "after":
            end()


def end():
    """The end of a process that is killed, after its lanes had time to go ahead."""
    time.sleep(AHEAD_S)
    os._exit(9)


def run(slide, segmenter, folder, when="", count=0):
    """Segment in a process of its own, which may die; returns how many windows it began."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "begun"
    before = log.stat().st_size if log.exists() else 0
    if child := os.fork():
        os.waitpid(child, 0)
        return log.stat().st_size - before
    try:
        begun = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def counted(encoder, pixels):
            os.write(begun, b"x" * len(pixels))
            if when == "begun" and os.fstat(begun).st_size - before >= count:
                end()
            time.sleep(0.002)
            return REAL(encoder, pixels)

        encoding.encode = counted
        torch.set_num_threads(LANES)
        found = segment_slide(slide, segmenter, store=Dies(folder / "work", when, count), watch=Watch())
        np.save(folder / "labels.npy", found.label_map.labels[:])
        os._exit(0)
    except BaseException:  # noqa: BLE001 - told, and the process ends
        traceback.print_exc()
    finally:
        os._exit(1)


def moments(rows, needed):
    """When a process dies: at states of rows, and amid windows."""
    states = [("before", 1), ("before", rows - 1), ("after", rows // 2)]
    return [*states, *(("begun", round(share * needed)) for share in (0.3, 0.6, 0.95))]


def layout(folder, name, bank):
    """What is found with one layout of windows and one bank."""
    batch._CPU_MOST = 1 if name == "wide" else 16
    sampling.SMALL_BYTES = 0 if bank == "drawn" else 2**29
    segmenter = tiny_segmenter(bank)
    with open_slide(phantom(SIZES[name], seed=3, mpp=1.0).image, source_mpp=1.0) as slide:
        plan = make_plan(slide, segmenter.setup)
        segment_slide(slide, segmenter)  # once for all that is loaded with it
        needed, told = run(slide, segmenter, folder / "alone"), []
        whole = np.load(folder / "alone/labels.npy")
        for when, count in moments(len(plan.rows), needed):
            here = folder / f"{when}-{count}"
            first = run(slide, segmenter, here, when, count)
            killed = not (here / "labels.npy").exists()
            again = run(slide, segmenter, here)
            same = bool(np.array_equal(np.load(here / "labels.npy"), whole))
            told.append({"moment": here.name, "killed": killed, "same": same, "twice": first + again - needed})
    row = max(len(one.windows) for one in plan.rows)
    return {"row": row, "rows": len(plan.rows), "windows": plan.windows, "needed": needed, "told": told}


def main():
    torch.set_num_threads(1)  # no pool of threads that a child would lack
    found = {f"{name} {bank}": layout(Path(sys.argv[1]) / name / bank, name, bank) for name, bank in LAYOUTS}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
