"""What does learning concepts from the inputs cost, beside segmenting with concepts that are given?

``histofactor segment`` without ``--concepts`` beside the same with ``--concepts`` and the bank that it learned: 22 oral
fields, and a phantom slide of 20,000 px a side at 0.5 µm/px (about 56 % tissue). Encoder, K and method are equal, and
both write weights; both sides are run in turn, in processes of their own. The time of the processors (all cores
together) is told beside that of the clock: it hangs less on what else a machine does.

    python benchmarks/study_time.py ../shared [RUNS [fields|slide]]     prints a table and writes results/study_time.csv

With ``fields`` the slide is left out, which takes half an hour a side on two cores. With ``slide`` it is the slide
alone, in one view (``--fast``) instead of four: encoding takes a fourth of the time, so that all that learning costs
beyond encoding weighs four times as much as by default; results go to results/study_time_slide.csv.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from common import in_fresh_process, report

from histofactor.base.clock import Clock
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
from histofactor.runs.source import Opening
from histofactor.runs.study import BANK, open_study
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom_slide import write_phantom_slide

RUNS, SIZE, MPP = 3, 20, 0.5  # thousand px
FIELD_MPP = 0.25


def timed(
    inputs: list[Path], out: Path, concepts: Path | None, k: int | None, mpp: float | None, views: int
) -> dict[str, Any]:
    """Seconds of a run by the clock and by the processors, of learning in it, and the K that was used."""
    clock = Clock()
    with clock("in all"):
        options = ManyOptions(
            opening=Opening(source_mpp=mpp),
            segment=SegmentOptions(views=views),
            outputs=Outputs(weights=True),
            observer=Observer(clock=clock),
        )
        outcomes = segment_many(inputs, out, concepts=concepts, k=k, options=options)
    if any(outcome.error for outcome in outcomes):
        raise SystemExit(outcomes)
    k = k or open_study(out / BANK).k
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = {"whole": clock.seconds["in all"], "cpu": used.ru_utime + used.ru_stime}
    return {**seconds, "learning": clock.seconds["concepts"], "k": k}


def compared(name: str, inputs: list[Path], folder: Path, runs: int, mpp: float | None = None, views: int = 4) -> tuple:
    """A row: medians of both sides, and their ratio; what is given is what the first run learned."""
    bank, k = folder / f"{name}-own-0" / BANK, None
    ours, theirs, learning, busy, busy_given = ([] for _ in range(5))
    for run in range(runs):
        own = in_fresh_process(timed, inputs, folder / f"{name}-own-{run}", None, k, mpp, views)
        k = own["k"]
        given = in_fresh_process(timed, inputs, folder / f"{name}-given-{run}", bank, k, mpp, views)
        ours.append(own["whole"]), theirs.append(given["whole"]), learning.append(own["learning"])
        busy.append(own["cpu"]), busy_given.append(given["cpu"])
        print(f"{name}: {own}, given {given}", file=sys.stderr, flush=True)
    by_clock, by_cpu = (
        median(a / b for a, b in zip(*pair, strict=True)) for pair in ((ours, theirs), (busy, busy_given))
    )
    return name, len(inputs), k, median(ours), median(learning), median(theirs), by_clock, by_cpu


def main() -> None:
    """Time fields and a slide."""
    shared, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else RUNS
    only, rows = sys.argv[3] if len(sys.argv) > 3 else "", []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fields = sorted((shared / "data/oscc").iterdir())
        in_fresh_process(timed, fields[:1], folder / "compiles", None, None, FIELD_MPP, 4)
        if only != "slide":
            rows.append(compared("fields", fields, folder, runs, FIELD_MPP))
        if only != "fields":
            path = folder / f"phantom-{SIZE}k.tif"
            write_phantom_slide(path, (SIZE * 1000, SIZE * 1000), seed=1, mpp=MPP)
            views, times = (1, runs) if only == "slide" else (4, max(1, runs - 1))
            rows.append(compared(path.stem, [path], folder, times, views=views))
    header = (
        "inputs",
        "number",
        "K",
        "learning and segmenting s",
        "before the first label s",
        "concepts given s",
        "ratio",
        "ratio of CPU time",
    )
    report("study_time_slide" if only == "slide" else "study_time", header, rows, ("torch", "numba"))


if __name__ == "__main__":
    main()
