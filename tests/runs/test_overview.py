"""How far a folder is: inputs, processes, shards, what waits for what, and an end that is told only if it is known."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from histofactor.base import lease
from histofactor.errors import OptionError, OutputError
from histofactor.runs import beacon
from histofactor.runs.beacon import WAITING, lit
from histofactor.runs.ledger import begin
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.overview import overview
from histofactor.runs.pace import Standing
from histofactor.runs.place import claim
from histofactor.runs.shards import number_of
from histofactor.runs.status import write_status
from histofactor.runs.study import study_lock

FACTS = {
    "histofactor": "0", "versions": {"python": "3"}, "arguments": ["segment", "x"], "method": "project", "k": 2,
    "encoder": {"name": "tiny", "revision": None, "layer": "conv", "transform": "relu"}, "concepts": "embedded",
    "bank_sha256": "ab", "mpp": 1.0,
}  # fmt: skip
PATHS = [Path(f"/in/{number}.svs") for number in range(12)]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def standing(monkeypatch):
    """Lets processes tell that they are so far."""

    def stand(signal, **how):
        monkeypatch.setattr(signal._pace, "standing", lambda: Standing(**how))
        signal._tell()

    return stand


def begun(out, done=4, **facts):
    run, places = begin(out, {**FACTS, **facts}, PATHS)
    for number in range(done):
        failed = number == 1
        outcome = Outcome(str(PATHS[number]), "failed" if failed else "done", "" if failed else str(number), 1.0)
        write_status(Outcome(**asdict(outcome) | {"error": "why" if failed else ""}), places[number], run)
    return run, places


def test_what_is_there_without_a_process(out):
    begun(out)
    found = overview(out)
    assert found.inputs == {"done": 3, "failed": 1, "waiting": 8}
    assert found.failures == [{"input": "/in/1.svs", "status": "failed", "error": "why"}]
    assert (found.under_way, found.processes, found.shards, found.concepts) == ([], [], [], None)
    assert (found.left_s, found.why) == (None, "no process is at work")
    assert json.loads(json.dumps(asdict(found))) == asdict(found)


def test_who_works_on_what(out, standing):
    _, places = begun(out)
    with lit(out, Reporter()) as signal, claim(places[5]), claim(places[6]):
        standing(signal, inputs=12, ended=4, kept=1, failed=1, input="/in/5.svs", windows=30, of=90, windows_per_s=2.5)
        before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*"))
        found = overview(out)
        assert sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*")) == before  # it only looks
    host, pid = lease.me().host, lease.me().pid
    assert found.inputs == {"done": 3, "failed": 1, "waiting": 6, "under way": 2}
    assert found.under_way == [
        {"input": "/in/5.svs", "folder": "5", "host": host, "pid": pid, "windows": 30, "of": 90, "windows_per_s": 2.5},
        {"input": "/in/6.svs", "folder": "6", "host": host, "pid": pid, "windows": None, "of": None,
         "windows_per_s": None},
    ]  # fmt: skip
    assert found.processes == [
        {"host": host, "pid": pid, "shard": "", "stage": "", "inputs": 12, "ended": 4, "kept": 1, "failed": 1,
         "windows_per_s": 2.5, "left_s": None},
    ]  # fmt: skip
    assert (found.left_s, found.why) == (None, "too few inputs are done yet")


def test_the_end_of_one_process_is_its_own(out, standing):
    begun(out)
    with lit(out, Reporter()) as signal:
        standing(signal, inputs=12, ended=4, left_s=800.0)
        assert overview(out).left_s == pytest.approx(800)


def test_processes_that_share_a_folder_add_up(out, standing):
    begun(out)  # 8 of 12 are left
    with lit(out, Reporter()) as one, lit(out, Reporter()) as other:
        standing(one, inputs=12, ended=4, left_s=800.0)  # 100 s each
        standing(other, inputs=12, ended=2, left_s=500.0)  # 50 s each
        assert overview(out).left_s == pytest.approx(8 / (1 / 100 + 1 / 50))
        standing(other, inputs=12, ended=2)
        assert (overview(out).left_s, overview(out).why) == (None, "too few inputs are done yet")


def test_shards_end_with_the_last_of_them(out, standing):
    begun(out, shards=2)
    todo = [sum(number_of(path, 2) == index for path in PATHS[4:]) for index in (1, 2)]
    assert all(todo)
    with lit(out, Reporter(), "1/2") as one:
        standing(one, inputs=6, ended=2, left_s=300.0)
        found = overview(out)
        assert [(share["shard"], share["waiting"], share["at_work"]) for share in found.shards] == [
            ("1/2", todo[0], True), ("2/2", todo[1], False),
        ]  # fmt: skip
        assert (found.left_s, found.why) == (None, "nobody is at shard 2/2")
        with lit(out, Reporter(), "2/2") as other:
            standing(other, inputs=6, ended=2, left_s=700.0)
            assert overview(out).left_s == pytest.approx(700)


def test_what_waits_for_the_concepts(out, standing):
    with study_lock(out), lit(out, Reporter()) as one, lit(out, Reporter()) as other:
        standing(one, stage="learning concepts")
        standing(other, stage=WAITING)
        found = overview(out)
    assert found.inputs == {}  # before the first run is written down
    assert found.concepts == {"host": lease.me().host, "pid": lease.me().pid, "waiting": 1}
    assert {one["stage"] for one in found.processes} == {WAITING, "learning concepts"}


def test_a_process_that_was_not_heard_of_is_told(out, standing, monkeypatch):
    begun(out)
    with lit(out, Reporter()) as signal:
        standing(signal, inputs=12)
        (token,) = next((out / ".work/locks").glob("process-*")).iterdir()
        lease.os.utime(token, (0, 0))
        assert overview(out).processes[0]["silent_s"] > 10**6


def test_when_all_is_done(out):
    begun(out, done=12)
    found = overview(out)
    assert (found.left_s, found.why) == (None, "")


def test_a_folder_of_nobody(tmp_path):
    with pytest.raises(OptionError, match="no results"):
        overview(tmp_path)


def test_links_are_not_followed(out, tmp_path):
    begun(out)
    (tmp_path / "elsewhere").mkdir()
    (out / ".work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="without links"):
        overview(out)
    assert beacon.LOCKS.startswith(".work")
