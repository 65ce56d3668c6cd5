"""Apply: followed, stopped, and killed at any moment."""

import csv
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tifffile

from histofactor.export.read import open_results
from histofactor.export.tables import read_phenotypes
from histofactor.runs.derive import derive
from histofactor.runs.edit_study import edit, merged, named
from histofactor.runs.relabel_study import relabel_study
from histofactor.viewer.apply import Applying
from histofactor.viewer.study import open_view
from viewer_client import contents


def ended(applying, limit_s=120):
    until = time.monotonic() + limit_s
    while applying.told()["state"] in {"running", "stopping"}:
        assert time.monotonic() < until
        time.sleep(0.1)
    return applying.told()


def test_what_was_named_is_written_and_told(viewer, monkeypatch):
    viewer.edit(do="name", label=2, name="gland")
    take, seen = Applying._take, []

    def taken(self, message):
        take(self, message)
        seen.append({**self.told()})

    monkeypatch.setattr(Applying, "_take", taken)
    assert viewer.post("apply").status_code == 200
    assert viewer.post("apply").status_code == 422  # one at a time
    told = ended(viewer.server.applying)
    assert (told["state"], told["done"], told["total"]) == ("done", 2, 2)
    assert [one["status"] for one in told["outcomes"]] == ["done", "done"]
    assert viewer.json("/api/apply")["state"] == "done"
    for folder in viewer.view.slides.values():
        assert read_phenotypes(viewer.view.out / folder / "phenotypes.csv")[2].name == "gland"
    assert not any(row["behind"] for row in viewer.json("/api/table").values())
    at_work = [(one["on"], one["total"], one["done"], one["at"]) for one in seen if one["at"]]
    assert [at_work[0], at_work[-1]] == [(1, 2, 0, "a.png"), (2, 2, 2, "b.png")]  # told before it is done
    stages = list(dict.fromkeys(one["stage"] for one in seen))
    assert "writing the page of the concepts" in stages
    assert stages[-1] == "writing the report"


def test_slides_without_weights_are_told(viewer):
    for folder in viewer.view.slides.values():
        shutil.rmtree(viewer.view.out / folder / "weights.zarr")
    viewer.edit(do="merge", labels=[1, 2], name="both")
    viewer.post("apply")
    told = ended(viewer.server.applying)
    assert told["state"] == "done"
    assert sorted(name for name, _ in told["encode"]) == ["a.png", "b.png"]
    assert shlex.split(told["command"]) == ["histofactor", "relabel", str(viewer.view.out)]


def test_a_study_that_cannot_be_read_is_one_message(tmp_path):
    applying = Applying(tmp_path)
    applying.start()
    told = ended(applying)
    assert told["state"] == "failed"
    assert "holds no concepts" in told["error"]["what"]
    applying.close()


def test_it_is_stopped_and_goes_on(viewer):
    viewer.edit(do="name", label=2, name="gland")
    viewer.post("apply")
    assert viewer.post("cancel").status_code == 200
    assert ended(viewer.server.applying)["state"] in {"cancelled", "failed", "done"}
    for folder in viewer.view.slides.values():
        with open_results(viewer.view.out / folder):  # whole, old or new
            pass
    viewer.post("apply")
    assert ended(viewer.server.applying)["state"] == "done"
    assert not any(row["behind"] for row in viewer.json("/api/table").values())
    viewer.post("cancel")  # of nothing
    assert viewer.json("/api/apply")["state"] == "done"


def test_killed_in_the_middle_the_study_is_the_old_or_the_new_one(study, tmp_path):
    """The server and its worker, at moments nobody chose; the viewer opens it afterwards, and Apply goes on."""
    out, _ = study
    old = contents(out)
    edit(out, None, named({2: "gland"}, {}))
    edit(out, None, merged([((1, 3), "both")]))
    shutil.copytree(out, tmp_path / "whole")
    started = time.monotonic()
    command = [sys.executable, "-m", "histofactor.viewer.worker"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    took = time.monotonic() - started
    new = contents(tmp_path / "whole")
    assert all(old[folder] != new[folder] for folder in old)
    chance, seen = random.Random(0), set()
    for number in range(8):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(out, copy)
        process = subprocess.Popen(
            [*command, str(copy)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        process.stdout.readline()  # it is at the first slide
        time.sleep(chance.uniform(0, took / 3))
        os.killpg(process.pid, signal.SIGKILL)
        with process:
            process.stdout.read()
        with open_view(copy) as view:
            assert view.why_read_only == ""
        for folder, state in contents(copy).items():
            assert state in (old[folder], new[folder])
            seen.add(state == new[folder])
        relabel_study(copy)
        assert contents(copy) == new
        assert not (copy / ".work").exists()
    assert seen


def names_in(path):
    with path.open(newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


def test_what_tells_of_all_slides_is_not_left_behind_them(viewer, monkeypatch):
    """The worker is killed after it has written the slides, and before it tells of all of them."""
    out = viewer.view.out
    whole = (out / "report.html").read_bytes()
    viewer.edit(do="name", label=2, name="gland")
    monkeypatch.setattr(sys, "executable", str(killed_at_the_end(out)))
    viewer.post("apply")
    assert ended(viewer.server.applying)["state"] == "failed"
    assert "gland" in names_in(out / "a" / "phenotypes.csv")
    assert "gland" in names_in(out / "phenotypes.csv")
    assert (out / "report.html").read_bytes() != whole


def killed_at_the_end(out):
    """A program that works as the worker does, until it would tell of all slides."""
    code = (
        "import os, signal, sys; from pathlib import Path; from histofactor.runs import derive; "
        "from histofactor.runs.relabel_study import relabel_study; "
        "derive.derive = lambda out, **how: os.kill(os.getpid(), signal.SIGKILL); relabel_study(Path(sys.argv[3]))"
    )
    path = out.parent / "worker"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
    path.chmod(0o755)
    return path


def test_a_study_whose_apply_was_killed_is_mended_as_it_is_opened(study):
    out, _ = study
    edit(out, None, named({2: "gland"}, {}))
    subprocess.run([killed_at_the_end(out), "-m", "worker", out], check=False)
    assert "gland" in names_in(out / "a" / "phenotypes.csv")
    assert "gland" not in names_in(out / "phenotypes.csv")
    with open_view(out, read_only=True):
        assert "gland" not in names_in(out / "phenotypes.csv")  # it only looks
    with open_view(out):
        assert "gland" in names_in(out / "phenotypes.csv")
    (out / ".work" / "aside").mkdir(parents=True)
    (out / "b").rename(out / ".work" / "aside" / "b")
    derive(out)
    with open_view(out):
        assert names_in(out / "phenotypes.csv").count("gland") == 2


def test_the_map_on_the_disk_is_the_one_that_is_told(viewer):
    viewer.edit(do="merge", labels=[1, 2], name="both")
    viewer.post("apply")
    ended(viewer.server.applying)
    id_ = viewer.ids[0]
    told = viewer.json(f"/api/slides/{id_}")
    labels = tifffile.imread(viewer.view.out / viewer.view.slides[id_] / "labels.ome.tif")
    assert told["k"] == 7
    assert viewer.get(f"/labels/{id_}/{told['labels_version']}/0_0_0.bin").content == labels.tobytes()


@pytest.mark.parametrize("line", [{"state": "idle"}])
def test_nothing_runs_at_first(tmp_path, line):
    assert Applying(tmp_path).told() == {**line, "outcomes": []}


def test_what_was_applied_is_undone_and_applied_again(viewer):
    out, folders = viewer.view.out, list(viewer.view.slides.values())
    before = {folder: tifffile.imread(out / folder / "labels.ome.tif") for folder in folders}
    viewer.edit(do="merge", labels=[1, 2], name="both")
    viewer.post("apply")
    assert ended(viewer.server.applying)["state"] == "done"
    assert viewer.edit(do="undo").json()["k"] == 8
    id_ = viewer.ids[0]
    assert viewer.json(f"/api/slides/{id_}")["bank"] not in viewer.json("/api/concepts")["maps"]  # shown as its own
    assert all(row["behind"] for row in viewer.json("/api/table").values())
    viewer.post("apply")
    assert ended(viewer.server.applying)["state"] == "done"
    for folder, labels in before.items():
        assert (tifffile.imread(out / folder / "labels.ome.tif") == labels).all()
