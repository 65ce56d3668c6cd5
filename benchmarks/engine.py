"""What workers of Ray cost and bring beside one process: slides an hour, overhead a slide, work lost a kill.

    python benchmarks/engine.py SHARED [--fields N] [--tiny N] [--kills N]

Every figure is of a process of its own. ``startup`` is what Ray, its workers and their encoders take before the first
slide; ``slide`` is the time from the first slide that begins to the last that ends, by the number of slides.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from PIL import Image

from histofactor.slides.phantom import phantom

RESULTS = Path(__file__).parent / "results" / "engine.csv"
RUN = """
import sys, time
from pathlib import Path
from histofactor.runs.execute.engine import Engine
from histofactor.runs.outcome import Observer, Reporter
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions

folder, out, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
paths = sorted(path for path in Path(folder).iterdir() if path.suffix in {".png", ".jpg"})
started, times = time.perf_counter(), []
note = lambda *told: times.append(time.perf_counter() - started)
observer = Observer(Reporter(on_input=note, on_outcome=note))
engine = Engine(name="ray", workers=workers) if workers else Engine()
options = ManyOptions(
    opening=Opening(source_mpp=0.5), segment=SegmentOptions(views=1), observer=observer, engine=engine
)
outcomes = segment_many(paths, out, concepts="embedded", k=16, options=options)
failed = [one for one in outcomes if one.status not in {"done", "kept"}]
assert not failed, failed
print(times[0], times[-1] - times[0], time.perf_counter() - started)
"""


def run(folder: Path, workers: int) -> tuple[float, float, float]:
    """Seconds to the first slide, from there to the end of the last, and in all; 0 workers: this process alone."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", RUN, str(folder), out, str(workers)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    first, slides, whole = map(float, told.split())
    return first, slides, whole


def tiny(folder: Path, many: int) -> Path:
    """A folder of images of 64 px."""
    folder.mkdir()
    Image.fromarray(phantom((64, 64), seed=1, mpp=0.5).image).save(folder / "0.png")
    for number in range(1, many):
        shutil.copyfile(folder / "0.png", folder / f"{number}.png")
    return folder


def killed(folder: Path, kills: int) -> tuple[float, float, int]:
    """Seconds of a run by two workers left alone, of one whose workers are killed, and how many kills that had."""
    _, alone, _ = run(folder, 2)
    rng, done = random.Random(0), 0
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", RUN, str(folder), out, "2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while not any(map(_works, _children(process))) and process.poll() is None:
            time.sleep(0.1)
        while done < kills and process.poll() is None:
            time.sleep(rng.uniform(0.3, 0.9) * alone / kills)
            if workers := [one for one in _children(process) if _works(one)]:
                rng.choice(workers).kill()
                done += 1
        told, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(
            f"a slide was killed too often for the run to end well: fewer --kills, or more --fields: {told}"
        )
    return alone, float(told.split()[1]), done


def _children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that a run has started; none once it has ended."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        return []


def _works(process: psutil.Process) -> bool:
    """Whether a process is a worker at a slide."""
    try:
        return any("Worker.do" in part for part in process.cmdline())
    except psutil.Error:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--fields", type=int, default=22)
    parser.add_argument("--tiny", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    rows = [("what", "workers", "slides", "startup s", "slides s", "in all s", "slides an hour")]

    def tell(what: str, workers: int, slides: int, took: tuple[float, float, float]) -> None:
        rows.append(
            (what, workers or "this process", slides, *(f"{one:.2f}" for one in took), f"{slides / took[1] * 3600:.0f}")
        )
        print(*rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        fields = Path(scratch) / "fields"
        fields.mkdir()
        for path in sorted((given.shared / "data/oscc").glob("*.jpg"))[: given.fields]:
            (fields / path.name).symlink_to(path.resolve())
        for workers in (0, 1, 2, 4):
            tell("fields", workers, given.fields, run(fields, workers))
        for share, counts in ((4, (0, 1, 2)), (2, (2,)), (1, (2,))):
            many = given.tiny // share
            folder = tiny(Path(scratch) / f"tiny-{many}", many)
            for workers in counts:
                tell("tiny", workers, many, run(folder, workers))
        alone, with_kills, kills = killed(fields, given.kills)
        if kills:  # else there is nothing to tell: the difference of two runs is none of kills
            more = f"{(with_kills - alone) / kills:.2f}"
            rows.append((f"more a kill, of {kills}", 2, given.fields, "", more, "", ""))
            print(*rows[-1], flush=True)
        else:
            print("no kill found a worker at a slide: what one costs is not measured", file=sys.stderr)
    with RESULTS.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([*rows, ("cores", os.cpu_count(), "", "", "", "", "")])


if __name__ == "__main__":
    main()
