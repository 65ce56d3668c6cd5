"""Workers, Ray and the process that leads are killed at moments nobody chose: the same command ends with the bytes of
a run that was left alone, and nothing stays behind.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image

from histofactor.slides.phantom import phantom

KILLS = 10
GIVEN = ("--concepts", "embedded", "-k", "8")  # one that ends its worker twice is left out where concepts are learned
ENDS = {  # exit codes
    "worker": {0, 1},
    "raylet": {0, 1, 2},  # 1, without a word: Ray itself ends a process whose raylet ends as it connects
    "driver": {0, -signal.SIGKILL},
}
RUN = "import sys; from histofactor.cli.main import main; sys.argv[0] = 'histofactor'; main()"
TIMED = {"run.json", "report.html", "phenotypes.csv", "phenotypes.parquet", "concepts.journal.jsonl"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Three fields, and one of several rows of windows."""
    folder = tmp_path_factory.mktemp("in")
    for seed in range(3):
        Image.fromarray(phantom((500, 500), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    tile = phantom((900, 900), seed=5, mpp=1.0).image
    tifffile.imwrite(folder / "field.tif", np.tile(tile, (4, 1, 1)), resolution=(1e4, 1e4), resolutionunit="CENTIMETER")
    return folder


def start(inputs, out, soon, *more):
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", RUN, "segment", str(inputs), "-o", str(out), "--source-mpp", "1", "--fast", *more]
    return subprocess.Popen(command, env={**known, **soon}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def everything(out):
    """Bytes of a study, but for what tells when it was made, and what is derived from that."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != ".runs")
    kept = (path for path in files if path.name != "status.json" and not (path.parent == out and path.name in TIMED))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory, soon):
    """What one process makes of the inputs, by what it is given more, and the seconds that two workers take."""
    folder, made = tmp_path_factory.mktemp("whole"), {}
    runs = {"one": (), "two": ("--engine", "ray", "--workers", "2"), "given": GIVEN}
    seconds = {}
    for name, more in runs.items():
        started = time.monotonic()
        process = start(inputs, folder / name / "out", soon, *more)
        told, _ = process.communicate()
        assert process.returncode == 0, told
        seconds[name] = time.monotonic() - started
        made[name] = everything(folder / name / "out")
    assert made["one"] == made["two"]
    return {(): made["one"], GIVEN: made["given"]}, seconds["two"]


def victims(process, kind):
    """Processes of a run that are of a kind."""
    if kind == "driver":
        return [process.pid]
    wanted = {"worker": "ray::Worker", "raylet": "raylet/raylet"}[kind]
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if any(part.startswith(wanted) or part.endswith(wanted) for part in child.cmdline()):
                found.append(child.pid)
        except psutil.Error:  # it has just ended
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["worker", "raylet", "driver"])
def test_killed_at_random_moments(inputs, whole, soon, tmp_path, kind):
    made, seconds = whole
    more = GIVEN if kind == "worker" else ()
    wanted = made[more]
    rng, out, killed, seen = random.Random(kind), tmp_path / "out", 0, {}
    for _ in range(10 * KILLS):
        process, begun = start(inputs, out, soon, "--engine", "ray", "--workers", "2", *more), time.monotonic()
        while process.poll() is None and killed < KILLS:
            end = time.monotonic() + rng.uniform(0.1, 0.9) * seconds
            while time.monotonic() < end and process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    seen[child.pid] = child
                time.sleep(0.1)
            if process.poll() is None and (found := victims(process, kind)):
                os.kill(rng.choice(found), signal.SIGKILL)
                killed += 1
        told, _ = process.communicate()
        assert process.returncode in ENDS[kind], told
        _, alive = psutil.wait_procs(list(seen.values()), timeout=20)
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
        if killed == KILLS and process.returncode == 0:
            break
        if process.returncode == 0:  # finished between two kills: begin anew
            seconds = min(seconds, time.monotonic() - begun)  # the machine may be less busy now
            assert everything(out) == wanted
            shutil.rmtree(out)
    assert killed == KILLS
    assert everything(out) == wanted
    assert not (out / ".work").exists()
