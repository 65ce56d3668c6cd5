"""A folder of 2,000 tiny inputs: no input costs more than the ones before it, and what is derived stays light.

``segment_many`` works on images of 48 px with the embedded encoder in one view, in three runs into one folder: a first
half, the whole (whose first half is kept), and all of it again, kept. Printed: the median time of an input among the
first and the last tenth, and their ratio; bytes written by one hundred inputs at the beginning and at the end; how long
it takes to derive report.html and run.json, and their sizes.

    python benchmarks/many.py [N]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import report
from PIL import Image

from histofactor.encoders.build import load_encoder
from histofactor.runs.derive import derive
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom

INPUTS, SIDE = 2000, 48


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else INPUTS
    tissue = phantom((400, 300), seed=3, mpp=1.0).image
    rng = np.random.default_rng(0)
    encoder = load_encoder("embedded", transform="split-root")
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "in", Path(name) / "out"
        folder.mkdir()
        paths = [folder / f"case-{number:04d}.png" for number in range(n)]
        for path in paths:
            y, x = rng.integers(0, (300 - SIDE, 400 - SIDE))
            Image.fromarray(tissue[y : y + SIDE, x : x + SIDE]).save(path)
        seconds: list[float] = []
        last = time.perf_counter()

        def on_outcome(outcome: Outcome) -> None:
            nonlocal last
            now = time.perf_counter()
            if outcome.status == "done":
                seconds.append(now - last)
            elif outcome.status != "kept":
                raise SystemExit(outcome.error)
            last = now

        options = ManyOptions(
            opening=Opening(source_mpp=1.0),
            segment=SegmentOptions(views=1),
            observer=Observer(Reporter(on_outcome=on_outcome)),
        )
        for part in (paths[: n // 2], paths, paths):
            started = last = time.perf_counter()
            segment_many(part, out, encoder=encoder, concepts="embedded", k=8, options=options)
            whole = time.perf_counter() - started
        tenth = len(seconds) // 10
        first, end = (float(np.median(part)) for part in (seconds[1 : tenth + 1], seconds[-tenth:]))
        early, late = (sum(size_of(out / path.stem) for path in part) for part in (paths[:100], paths[-100:]))
        started = time.perf_counter()
        derive(out)
        derived = time.perf_counter() - started
        sizes = [(out / file).stat().st_size / 1e6 for file in ("report.html", "run.json")]
        row = (n, first, end, end / first, early / 1e6, late / 1e6, whole, derived, *sizes)
    header = (
        "inputs", "s an input, first tenth", "last tenth", "ratio", "MB of 100 inputs, first", "last",
        "s to keep all", "s to derive", "MB report.html", "MB run.json",
    )  # fmt: skip
    report("many", header, [row], ("torch", "numba"))


if __name__ == "__main__":
    main()
