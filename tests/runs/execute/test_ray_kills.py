"""Workers, Ray and the process that leads are killed at moments nobody chose: the same command ends with the bytes of
a run that was left alone, nothing stays behind, and a kill repeats a row of windows a worker that it ends, at most.
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
    "worker": {0, 1, 2},  # 2: three in a row were ended as they began
    "raylet": {0, 1, 2},  # 1, without a word: Ray itself ends a process whose raylet ends as it connects
    "driver": {0, -signal.SIGKILL},
}
RUN = "import sys; from histofactor.cli.main import main; sys.argv[0] = 'histofactor'; main()"
ENDED = {"worker": 1, "raylet": 2, "driver": 2}  # workers that a kill ends
ROW = 1  # windows in a row of the field, which are more than in those of other inputs
COUNTED = """
import os, sys
from importlib.util import find_spec

class Counted:
    def find_spec(self, name, path=None, target=None):
        if name != "histofactor.segmentation.encoding":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def patched(module):
            execute(module)
            encode, log = module.encode, os.open(os.environ["WINDOWS_BEGUN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

            def counted(encoder, pixels):
                os.write(log, b"x" * len(pixels))
                return encode(encoder, pixels)

            module.encode = counted

        spec.loader.exec_module = patched
        return spec

sys.meta_path.insert(0, Counted())
"""
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
    """Every process writes a byte beside the output folder for each window that it begins to encode."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    log = out.with_name("begun")
    site = log.with_name("site")
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(COUNTED)
    paths = [str(site), *filter(None, [known.get("PYTHONPATH")])]
    known |= {"PYTHONPATH": os.pathsep.join(paths), "WINDOWS_BEGUN": str(log)}
    command = [sys.executable, "-c", RUN, "segment", str(inputs), "-o", str(out), "--source-mpp", "1", "--fast", *more]
    return subprocess.Popen(command, env={**known, **soon}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def begun(out):
    """Windows that were encoded, or begun to be."""
    log = out.with_name("begun")
    return log.stat().st_size if log.exists() else 0


def everything(out):
    """Bytes of a study, but for what tells when it was made, and what is derived from that."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != ".runs")
    kept = (path for path in files if path.name != "status.json" and not (path.parent == out and path.name in TIMED))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory, soon):
    """What one process makes of the inputs, by what it is given more; the seconds that two workers take; windows."""
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
    (windows,) = {begun(folder / name / "out") for name in runs}  # none is encoded twice
    assert windows > 3 + 3 * ROW
    return {(): made["one"], GIVEN: made["given"]}, seconds["two"], windows


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
    made, seconds, windows = whole
    more = GIVEN if kind == "worker" else ()
    wanted = made[more]
    rng, out, killed, seen, before = random.Random(kind), tmp_path / "out", 0, {}, 0

    def check():
        """What is there is right, and little of it was made more than once."""
        assert everything(out) == wanted
        assert 0 <= begun(out) - windows <= ROW * ENDED[kind] * (killed - before)

    for _ in range(10 * KILLS):
        process, started = start(inputs, out, soon, "--engine", "ray", "--workers", "2", *more), time.monotonic()
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
        _, alive = psutil.wait_procs(list(seen.values()), timeout=60)  # a busy machine
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
        if killed == KILLS and process.returncode == 0:
            break
        if process.returncode == 0:  # finished between two kills: begin anew
            seconds = min(seconds, time.monotonic() - started)  # the machine may be less busy now
            check()
            before = killed
            shutil.rmtree(out)
            out.with_name("begun").unlink()
    assert killed == KILLS
    check()
    assert not (out / ".work").exists()
