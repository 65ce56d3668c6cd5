"""``histofactor status``."""

import json
from pathlib import Path

from PIL import Image

from histofactor.base import lease
from histofactor.runs.beacon import WAITING, lit
from histofactor.runs.ledger import begin
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.pace import Standing
from histofactor.runs.place import claim
from histofactor.runs.status import write_status
from histofactor.runs.study import study_lock

FACTS = {"arguments": [], "bank_sha256": "", "method": "project"}


def lines(histofactor, *arguments):
    code, told, err = histofactor("status", *arguments)
    assert code == 0, err
    return told.splitlines()


def stand(signal, monkeypatch, **how):
    monkeypatch.setattr(signal._pace, "standing", lambda: Standing(**how))
    signal._tell()


def test_a_run_that_has_ended(histofactor, tissue, tmp_path):
    Image.fromarray(tissue[:96, :96]).save(tmp_path / "a.png")
    out = tmp_path / "out"
    options = ("--concepts", "embedded", "-o", out, "--source-mpp", 1, "-k", 8, "--fast")
    assert histofactor("segment", tmp_path / "a.png", tmp_path / "none.png", *options)[0] == 1
    told = lines(histofactor, out)
    assert told[:2] == ["2 inputs: 1 done, 1 failed", "all is done"]
    assert "none.png does not exist" in told[2]
    found = json.loads("\n".join(lines(histofactor, out, "--json")))
    assert found["inputs"] == {"done": 1, "failed": 1}
    assert "none.png does not exist" in found["failures"][0]["error"]


def test_a_run_that_is_at_work(histofactor, tmp_path, monkeypatch):
    host, pid = lease.me().host, lease.me().pid
    paths = [Path(f"/in/{number}.svs") for number in range(1200)]
    run, places = begin(tmp_path, FACTS, paths)
    write_status(Outcome(str(paths[0]), "failed", error="it is\x1b damaged"), places[0], run)
    with lit(tmp_path, Reporter()) as signal, claim(places[5]):
        stand(signal, monkeypatch, inputs=1200, ended=1, kept=0, failed=1, input="/in/5.svs", windows=1500, of=4000,
              windows_per_s=12.34, left_s=7.5 * 3600)  # fmt: skip
        told = lines(histofactor, tmp_path)
    assert told[0] == "1,200 inputs: 1 failed, 1 under way, 1,198 waiting"
    assert told[1] == f"process {pid} of {host}: 1 of 1,200 done, 1 failed, 12.3 windows/s"
    assert told[2] == f"under way: 5.svs, by process {pid} of {host}, 1,500 of 4,000 windows"
    assert told[3].startswith("all will be done in 7.5 h, at ")
    assert told[4] == r"failed: /in/0.svs: it is\x1b damaged"


def test_shards_of_which_one_is_not_at_work(histofactor, tmp_path, monkeypatch):
    begin(tmp_path, {**FACTS, "shards": 2}, [Path(f"/in/{number}.svs") for number in range(12)])
    with lit(tmp_path, Reporter(), "1/2") as signal:
        stand(signal, monkeypatch, inputs=5)
        told = lines(histofactor, tmp_path)
    assert told[1].startswith("shard 1/2: ")
    assert told[1].endswith(" inputs to do")
    assert told[2].endswith(" inputs to do, and nobody is at it")
    assert ", shard 1/2: 0 of 5 done" in told[3]
    assert told[4] == "when all will be done is not known: nobody is at shard 2/2"


def test_concepts_that_are_waited_for(histofactor, tmp_path, monkeypatch):
    with study_lock(tmp_path), lit(tmp_path, Reporter()) as signal:
        stand(signal, monkeypatch, stage=WAITING)
        told = lines(histofactor, tmp_path)
    assert told[0] == "no input is begun yet"
    assert told[1].endswith("; 1 process waits for it")
    assert told[2].endswith(": waiting for the concepts")


def test_a_folder_that_holds_none(histofactor, tmp_path):
    code, _, err = histofactor("status", tmp_path)
    assert code == 2
    assert "no results" in err
