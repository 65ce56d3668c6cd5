"""What is derived by a scan: all runs into a folder, whoever they were; small and linear."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from histofactor.base.clock import Clock
from histofactor.export.tables import PhenotypeRow
from histofactor.runs import derive as module
from histofactor.runs import ledger
from histofactor.runs.derive import derive, deriving
from histofactor.runs.ledger import begin
from histofactor.runs.outcome import Observer, Outcome, Reporter
from histofactor.runs.place import LOCKS, Place, locked
from histofactor.runs.shards import number_of
from histofactor.runs.status import write_status

FACTS = {
    "histofactor": "0", "versions": {"python": "3"}, "arguments": ["segment", "x"], "method": "project", "k": 2,
    "encoder": {"name": "tiny", "revision": None, "layer": "conv", "transform": "relu"}, "concepts": "embedded",
    "bank_sha256": "ab", "mpp": 1.0,
}  # fmt: skip

RUN = "import sys; from histofactor.cli.main import main; sys.argv[0] = 'histofactor'; main()"


def inputs_of(out):
    return json.loads((out / "run.json").read_text())["inputs"]


def test_several_runs_and_what_waits(tmp_path):
    paths = [Path(f"in/{name}.png") for name in "abc"]
    _, (first, _) = begin(tmp_path, FACTS, paths[:2])
    run, (_, last) = begin(tmp_path, FACTS, paths[1:])
    write_status(Outcome("in/a.png", "done", "a", 1.0), first, run)
    write_status(Outcome("in/c.png", "failed", error="c.png is damaged"), last, run)
    derive(tmp_path)
    assert [(one["input"], one["status"]) for one in inputs_of(tmp_path)] == [
        ("in/a.png", "done"), ("in/b.png", "waiting"), ("in/c.png", "failed"),
    ]  # fmt: skip
    runs = json.loads((tmp_path / "run.json").read_text())["runs"]
    assert [one["k"] for one in runs] == [FACTS["k"]] * 2
    assert runs[0]["started"] < runs[1]["started"]
    page = (tmp_path / "report.html").read_text()
    assert "1 of 3 inputs segmented, 1 failed, 1 waiting" in page
    assert "c.png is damaged" in page


def test_what_a_killed_process_left_is_cleared_and_nothing_of_others(tmp_path):
    begin(tmp_path, FACTS, [Path("a.png")])
    for name in ("run.json", "report.html", "phenotypes.parquet", "concepts.html"):
        (tmp_path / f".0123456789ab-{name}").write_text("half")
    derive(tmp_path)
    assert [path.name for path in tmp_path.glob(".0*")] == [".0123456789ab-concepts.html"]


def test_ten_thousand_inputs_make_a_light_page(tmp_path, monkeypatch):
    names = [f"TCGA-{i:05d}-01Z-00-DX1.svs" for i in range(10_000)]
    rows = [PhenotypeRow(0, "none", None, 1, 1.0, None, None, None)] + [
        PhenotypeRow(label, f"Concept {label}", (1, 2, 3), 10, 10.0, 1 / 16, 0.5, 0.5) for label in range(1, 17)
    ]
    monkeypatch.setattr(module, "read_phenotypes", lambda path: rows)
    run, _ = begin(tmp_path, FACTS, [Path(name) for name in names])
    read = ledger.read_status
    write_status(Outcome("x", "done", "x", 12.3), Place(tmp_path, "x"), run)
    one = read(tmp_path / "x")
    monkeypatch.setattr(ledger, "read_status", lambda folder: one)
    derive(tmp_path)
    assert (tmp_path / "report.html").stat().st_size <= 3 * 2**20
    assert (tmp_path / "run.json").stat().st_size <= 6 * 2**20


def test_two_processes_in_one_folder(tissue, tmp_path):
    out = tmp_path / "out"
    for name in ("a", "b", "c", "d"):
        Image.fromarray(tissue[:96, :96]).save(tmp_path / f"{name}.png")
    groups = [["a", "b", "c"], ["c", "d", "a"]]
    options = ["-o", str(out), "--concepts", "embedded", "-k", "8", "--fast", "--source-mpp", "1"]
    processes = []
    for group in groups:
        command = [sys.executable, "-c", RUN, "segment", *(str(tmp_path / f"{name}.png") for name in group), *options]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    found = {Path(one["input"]).name: one["status"] for one in inputs_of(out)}
    assert found == dict.fromkeys(("a.png", "b.png", "c.png", "d.png"), "done")
    with (out / "phenotypes.csv").open() as file:
        assert {row["slide"] for row in csv.DictReader(file)} == {"a", "b", "c", "d"}
    assert not (out / ".work").exists()


def test_shards_are_told_with_what_each_has_done(tmp_path):
    paths = [Path(f"in/{name}.png") for name in "abcdefgh"]
    run, places = begin(tmp_path, {**FACTS, "shards": 3}, paths)
    for path, place in zip(paths[:5], places, strict=False):
        write_status(Outcome(str(path), "failed" if path.stem == "a" else "done", place.name), place, run)
    derive(tmp_path)
    told = json.loads((tmp_path / "run.json").read_text())["shards"]
    assert [one["shard"] for one in told] == ["1/3", "2/3", "3/3"]
    for index, one in enumerate(told, 1):
        own = [path for path in paths if number_of(path, 3) == index]
        assert one["inputs"] == len(own)
        assert one["done"] == len(set(own) & set(paths[1:5]))
        assert one["failed"] == (paths[0] in own)
        assert one["waiting"] == len(set(own) & set(paths[5:]))
    begin(tmp_path, FACTS, paths)
    derive(tmp_path)
    assert "shards" not in json.loads((tmp_path / "run.json").read_text())


def test_one_derives_at_a_time(tmp_path, monkeypatch):
    begin(tmp_path, FACTS, [Path("a.png")])
    held = []
    write = module.write_json

    def looked(content, path):
        with locked(tmp_path / LOCKS / "derived.lock.json", blocking=False) as free:
            held.append(not free)
        write(content, path)

    monkeypatch.setattr(module, "write_json", looked)
    derive(tmp_path)
    assert held == [True]
    assert not (tmp_path / ".work").exists()


def interrupted(out):
    notes, stages, clock = [], [], Clock()
    observer = Observer(Reporter(on_note=notes.append, on_stage=stages.append), clock)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), deriving(out, observer):
        raise KeyboardInterrupt
    assert stages == ["writing the report"]
    return notes, time.monotonic() - started


@pytest.mark.parametrize("spoil", ["", "label,name\n0,x\n", "semicolons", "cut", "an area"])
def test_an_input_whose_table_is_damaged_counts_nowhere_and_is_told(study, spoil):
    out, _ = study
    table, notes = out / "a/phenotypes.csv", []
    before = table.read_text()
    changed = {
        "semicolons": before.replace(",", ";"),
        "cut": "".join(before.splitlines(keepends=True)[:3]),
        "an area": before.replace(f",{largest_area(before)},", ",99999,", 1),
    }
    table.write_text(changed.get(spoil, spoil))
    derive(out, on_note=notes.append)
    (note,) = notes
    assert note.startswith("a.png: its phenotypes.csv is damaged or was changed and counts nowhere: ")
    with (out / "phenotypes.csv").open(newline="") as file:
        assert {row["slide"] for row in csv.DictReader(file)} == {"b"}
    assert "counts nowhere" in (out / "report.html").read_text()
    table.write_text(before)
    derive(out, on_note=notes.append)
    assert len(notes) == 1
    with (out / "phenotypes.csv").open(newline="") as file:
        assert {row["slide"] for row in csv.DictReader(file)} == {"a", "b"}


def largest_area(table):
    """The largest area in px that a table tells of a concept."""
    return max((row["area_px"] for row in csv.DictReader(table.splitlines()) if row["label"] != "0"), key=int)


def test_a_missing_parquet_file_is_told_once_and_how_to_have_it(tmp_path, monkeypatch):
    begin(tmp_path, FACTS, [Path("a.png"), Path("b.png")])
    notes = []
    observer = Observer(Reporter(on_note=notes.append), Clock())
    with deriving(tmp_path, observer):
        pass
    assert notes == []
    assert tmp_path / "phenotypes.parquet" in derive(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with deriving(tmp_path, observer):
        pass
    assert notes == [
        "phenotypes.parquet is not written, since pyarrow is not installed: pip install 'histofactor[parquet]'"
    ]
    assert not (tmp_path / "phenotypes.parquet").exists()


def test_an_interrupted_run_derives_what_it_can_in_a_few_seconds(tmp_path, monkeypatch):
    begin(tmp_path, FACTS, [Path(f"{number}.png") for number in range(50)])
    assert interrupted(tmp_path)[0] == []
    assert (tmp_path / "report.html").exists()
    (tmp_path / "report.html").write_text("before")
    read = ledger.read_status
    monkeypatch.setattr(module, "_INTERRUPTED_S", 0.2)
    monkeypatch.setattr(ledger, "read_status", lambda folder: (time.sleep(0.05), read(folder))[1])  # a slow disk
    (note,), seconds = interrupted(tmp_path)
    assert f"`histofactor report {tmp_path}` derives it again" in note
    assert seconds < 1.5  # of 2.5 that it takes
    assert (tmp_path / "report.html").read_text() == "before"
    assert not (tmp_path / ".work").exists()


def test_an_interrupted_run_does_not_wait_for_another_that_derives(tmp_path):
    begin(tmp_path, FACTS, [Path("a.png")])
    with locked(tmp_path / LOCKS / "derived.lock.json"):
        (note,), _ = interrupted(tmp_path)
    assert "as it was before" in note
