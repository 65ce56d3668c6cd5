"""A run that is killed again and again, at moments nobody chose, ends with the bytes of one that was left alone."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.slides.phantom import phantom

KILLS = 20
RUN = """
import sys
from histofactor.cli.main import main
sys.argv[0] = "histofactor"
main()
"""


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """What ``repeated_work`` found, by the layout of the windows and the kind of the bank."""
    script, scratch = Path(__file__).parents[1] / "repeated_work.py", tmp_path_factory.mktemp("repeated")
    run = subprocess.run([sys.executable, script, scratch], check=False, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize("layout", ["wide plain", "narrow plain", "wide small", "narrow drawn"])
def test_a_kill_repeats_a_row_of_windows_at_most(repeated, layout):
    """``plain``: no mean is taken off; ``small``: all is encoded to know it; ``drawn``: a few windows are."""
    found = repeated[layout]
    assert found["rows"] >= 5
    assert (found["row"] > 4) == layout.startswith("wide")  # more than lanes are ahead
    assert found["needed"] == found["windows"] + layout.endswith("drawn")
    assert len(found["told"]) == 6
    for one in found["told"]:
        assert one["killed"], one
        assert one["same"], one
        assert 0 <= one["twice"] <= found["row"], one


def whole_run(command):
    """Seconds of a run that is left alone."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def cut_off(command, seconds):
    """Run a command for so long at most; whether it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A field of several rows of windows."""
    tile = phantom((900, 900), seed=5, mpp=1.0).image
    path = tmp_path_factory.mktemp("in") / "field.tif"
    tifffile.imwrite(path, np.tile(tile, (5, 2, 1)), resolution=(1e4, 1e4), resolutionunit="CENTIMETER")
    return path


def command(slide, out):
    return [sys.executable, "-c", RUN, "segment", str(slide), "--concepts", "embedded", "-o", str(out), "-k", "8"]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "status.json"}


@pytest.mark.slow
def test_killed_at_random_moments(slide, tmp_path):
    whole_s = whole_run(command(slide, tmp_path / "whole"))
    rng, out, killed, bands = random.Random(0), tmp_path / "out", 0, [0]
    while killed < KILLS:
        killed += cut_off(command(slide, out), rng.uniform(0.2, 0.8) * whole_s)
        states = sorted((out / ".work/bands/field").glob("state-*.npz"))
        finished = (out / "field/segmentation.json").exists()
        bands.append(int(states[-1].stem.split("-")[1]) if states else 10**6 if finished else 0)
        if finished:
            assert contents(out / "field") == contents(tmp_path / "whole/field")
            for path in (out / "field").iterdir():  # begin anew
                path.unlink()
            bands = [0]
        assert bands == sorted(bands)  # nothing that was finished is lost
    subprocess.run(command(slide, out), check=True, capture_output=True)
    assert contents(out / "field") == contents(tmp_path / "whole/field")
    assert not (out / ".work").exists()


TRAIN = """
import sys
from pathlib import Path
from histofactor.concepts.bank.file import save_bank
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.learn_concepts import learn_concepts
from histofactor.runs.source import Opening
folder, out = map(Path, sys.argv[1:])
options = LearnOptions(opening=Opening(source_mpp=1.0), checkpoint_s=0.0)
learned = learn_concepts(sorted(folder.glob("*.png")), [4, 8, 16], options=options, work=out.with_suffix(".npz"))
save_bank(learned.banks, out, learned.card)
"""


@pytest.mark.slow
def test_training_of_concepts_killed_at_random_moments(tmp_path):
    folder = tmp_path / "fields"
    folder.mkdir()
    for seed in range(12):
        Image.fromarray(phantom((700, 700), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")

    def run(out):
        return [sys.executable, "-c", TRAIN, str(folder), str(out)]

    whole_s = whole_run(run(tmp_path / "whole.safetensors"))
    rng, out, killed = random.Random(1), tmp_path / "out.safetensors", 0
    while killed < KILLS // 2:
        killed += cut_off(run(out), rng.uniform(0.3, 0.9) * whole_s)
        if out.exists():
            assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
            out.unlink()
            out.with_suffix(".npz").unlink()
    subprocess.run(run(out), check=True, capture_output=True)
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def everything(out):
    """Bytes of a study, but for what tells when it was made, and what is derived from that."""
    timed = {"run.json", "report.html", "phenotypes.csv", "concepts.journal.jsonl"}
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != ".runs")
    kept = (path for path in files if path.name != "status.json" and not (path.parent == out and path.name in timed))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


@pytest.mark.slow
def test_a_study_killed_at_random_moments_of_learning_and_segmenting(slide, tmp_path):
    """Three fields that are held, and a slide of several rows of windows."""
    inputs = [slide]
    for seed in range(3):
        inputs.append(tmp_path / f"{seed}.png")
        Image.fromarray(phantom((500, 500), seed=seed, mpp=1.0).image).save(inputs[-1])

    def run(out):
        return [sys.executable, "-c", RUN, "segment", *map(str, inputs), "-o", str(out), "--source-mpp", "1", "--fast"]

    whole_s = whole_run(run(tmp_path / "whole/out"))
    rng, out, killed, learning = random.Random(2), tmp_path / "killed/out", 0, 0
    while killed < KILLS:
        killed += cut_off(run(out), rng.uniform(0.05, 0.95) * whole_s)
        learning += not (out / "concepts.safetensors").exists()
        if (out / "report.html").exists():  # finished: begin anew
            assert everything(out) == everything(tmp_path / "whole/out")
            shutil.rmtree(out)
    subprocess.run(run(out), check=True, capture_output=True)
    assert learning >= 2
    assert everything(out) == everything(tmp_path / "whole/out")
