"""The log of events: every line is one JSON object, whole at once, whatever names hold and whatever the disk does."""

import errno
import json
import os
from datetime import datetime

import pytest

from histofactor.errors import OutputError
from histofactor.runs import event_log as module
from histofactor.runs.event_log import logged
from histofactor.runs.outcome import Outcome, Reporter


def lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_every_event_has_its_line_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PROGRESS_S", 0.0)
    path, heard = tmp_path / "logs" / "run.jsonl", []
    with logged(path, Reporter(on_note=heard.append), ["segment", "a.svs"]) as reporter:
        reporter.on_stage("learning concepts")
        reporter.on_run("0123", 2)
        reporter.on_input("a.svs", 0, 2)
        reporter.on_window(3, 40)
        assert lines(path)[-1]["event"] == "progress"  # nothing is held back
        reporter.on_outcome(Outcome("a.svs", "failed", "a", 1.5, "damaged"))
        reporter.on_wait("b.svs")
        reporter.on_note("a note")
    found = lines(path)
    assert [one["event"] for one in found] == [
        "begun", "stage", "run", "input", "progress", "outcome", "waiting", "note", "ended",
    ]  # fmt: skip
    for one in found:
        assert list(one)[:6] == ["time", "event", "host", "pid", "run", "input"]
        assert datetime.fromisoformat(one["time"]).utcoffset().total_seconds() == 0
        assert one["pid"] == os.getpid()
        assert one["host"]
    assert [one["run"] for one in found] == ["", ""] + ["0123"] * 7
    assert found[0]["arguments"] == ["segment", "a.svs"]
    assert found[1]["text"] == "learning concepts"
    assert found[2]["inputs"] == 2
    assert (found[3]["input"], found[3]["index"], found[3]["inputs"]) == ("a.svs", 0, 2)
    assert {name: found[4][name] for name in ("input", "windows", "of", "ended", "inputs", "left_s")} == {
        "input": "a.svs", "windows": 3, "of": 40, "ended": 0, "inputs": 2, "left_s": None,
    }  # fmt: skip
    assert found[5] | {"time": "", "host": "", "pid": 0} == {
        "time": "", "event": "outcome", "host": "", "pid": 0, "run": "0123", "input": "a.svs", "status": "failed",
        "folder": "a", "seconds": 1.5, "error": "damaged", "traceback": "", "notes": [],
    }  # fmt: skip
    assert found[6]["input"] == "b.svs"
    assert found[7]["text"] == "a note"
    assert (found[8]["how"], found[8]["error"]) == ("done", "")
    assert heard == ["a note"]


def test_progress_is_told_every_ten_seconds_at_most(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with logged(tmp_path / "log.jsonl", Reporter(), []) as reporter:
        for second in range(60):
            now[0] = 100.0 + second
            reporter.on_window(second, 60)
    assert sum(one["event"] == "progress" for one in lines(tmp_path / "log.jsonl")) == 5


def test_names_are_data(tmp_path):
    name = 'a\n{"event": "ended"}\x1b[2J\udce9\u2028é.svs'
    with logged(tmp_path / "log.jsonl", Reporter(), [name]) as reporter:
        reporter.on_input(name, 0, 1)
    content = (tmp_path / "log.jsonl").read_bytes()
    assert content.count(b"\n") == 3
    assert all(byte >= 0x20 or byte == 0x0A for byte in content)
    assert lines(tmp_path / "log.jsonl")[1]["input"] == name


@pytest.mark.parametrize(("error", "how"), [(KeyboardInterrupt, "interrupted"), (ValueError("why"), "failed")])
def test_how_it_ended_is_told(tmp_path, error, how):
    with pytest.raises((KeyboardInterrupt, ValueError)), logged(tmp_path / "log.jsonl", Reporter(), []):
        raise error
    assert lines(tmp_path / "log.jsonl")[-1]["how"] == how
    with logged(tmp_path / "log.jsonl", Reporter(), []):
        pass
    assert [one["event"] for one in lines(tmp_path / "log.jsonl")] == ["begun", "ended"] * 2  # it is appended to


def test_a_full_disk_is_told_once_and_stops_nothing(tmp_path, monkeypatch):
    path, notes, real, room = tmp_path / "log.jsonl", [], os.write, [None]

    def write(file, data):
        if room[0] is None:
            return real(file, data)
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        cut, room[0] = data[: room[0]], 0
        return real(file, cut)

    monkeypatch.setattr(module.os, "write", write)
    with logged(path, Reporter(on_note=notes.append), []) as reporter:
        room[0] = 9
        for number in range(5):
            reporter.on_stage(f"{number}")
        room[0] = None  # there is room again
        reporter.on_stage("last")
    assert len(notes) == 1
    assert f"lines are missing in {path}" in notes[0]
    found = path.read_text().splitlines()
    assert len(found) == 4
    assert len(found[1]) == 9  # what was cut short stays alone
    assert [json.loads(found[index])["event"] for index in (0, 2, 3)] == ["begun", "stage", "ended"]


def test_a_log_that_cannot_be_opened_is_told_before_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"), logged(tmp_path / "file" / "log.jsonl", Reporter(), []):
        pytest.fail("it began")


def test_no_log(tmp_path):
    reporter = Reporter()
    with logged(None, reporter, []) as same:
        assert same is reporter
