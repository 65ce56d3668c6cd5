"""What is known of all runs into a folder, whoever they were."""

from pathlib import Path

import pytest
from PIL import Image

from histofactor.base.digests import write_digested
from histofactor.base.names import STATUS
from histofactor.errors import OptionError, OutputError
from histofactor.runs import ledger, status
from histofactor.runs.derive import derive
from histofactor.runs.ledger import begin, scan
from histofactor.runs.outcome import Outcome
from histofactor.runs.place import Place, claim, key_of, under_way
from histofactor.runs.status import write_status

FACTS = {
    "histofactor": "0", "versions": {"python": "3"}, "arguments": ["segment", "x"], "method": "project", "k": 2,
    "encoder": {"name": "tiny", "revision": None, "layer": "conv", "transform": "relu"}, "concepts": "embedded",
    "bank_sha256": "ab", "mpp": 1.0,
}  # fmt: skip


def test_the_same_run_again_is_written_down_once(tmp_path):
    for _ in range(3):
        begin(tmp_path, FACTS, [Path("a.png")])
    assert len(scan(tmp_path).runs) == 1


def test_a_folder_of_nobody(tmp_path):
    with pytest.raises(OptionError, match="no results"):
        scan(tmp_path)


def test_damaged_facts_of_one_run_leave_the_others(tmp_path):
    begin(tmp_path, FACTS, [Path("a.png")])
    begin(tmp_path, FACTS, [Path("b.png")])
    damaged = sorted((tmp_path / ledger.RUNS).glob("*.json"))[0]
    written = damaged.read_text()
    changed = [written.replace('"arguments"', '"argument"'), written.replace('"segment"', "7"), "{"]
    assert written not in changed
    for content in changed:
        damaged.write_text(content)
        assert len(scan(tmp_path).runs) == 1
        derive(tmp_path)


@pytest.mark.parametrize("folder", ["..", "../beside", ".", "", ".work", "a/b", "/tmp", 7, None])
def test_a_run_that_names_folders_elsewhere_is_left_out(tmp_path, folder):
    path = Path("a.png")
    begin(tmp_path, FACTS, [path])
    write_digested(
        {"started": "2", **FACTS, "inputs": [["a.png", folder, key_of(path)]]}, tmp_path / ledger.RUNS / "x.json"
    )
    _, (place,) = begin(tmp_path, FACTS, [path])
    assert place.name == "a"


def test_results_are_looked_for_where_the_run_put_them(tmp_path):
    run, (place,) = begin(tmp_path, FACTS, [Path("a.png")])
    write_status(Outcome("in/a.png", "done", "../elsewhere"), place, run)
    assert [outcome.folder for outcome in scan(tmp_path).outcomes] == ["a"]


@pytest.mark.parametrize("link", [ledger.RUNS, ".work", ".work/locks"])
def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path, link):
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    (elsewhere / "locks").mkdir(parents=True)
    locks = [elsewhere / "a.lock", elsewhere / "locks/a.lock"]
    for lock in locks:
        lock.write_text("not ours")
    (out / link).parent.mkdir(parents=True)
    (out / link).symlink_to(elsewhere)
    with pytest.raises(OutputError, match="without links"):
        begin(out, FACTS, [Path("a.png")])
    if link != ledger.RUNS:
        with pytest.raises(OutputError, match="without links"):
            under_way(out)
    assert sorted(path for path in elsewhere.rglob("*") if path.is_file()) == locks


def test_who_is_at_work(tmp_path):
    begin(tmp_path, FACTS, [Path("a.png"), Path("b.png")])
    with claim(Place(tmp_path, "b")):
        assert under_way(tmp_path).keys() == {"b"}
    assert under_way(tmp_path).keys() == set()


def test_a_ledger_of_which_nothing_can_be_read_says_so(tmp_path):
    begin(tmp_path, FACTS, [Path("a.png")])
    (file,) = (tmp_path / ledger.RUNS).glob("*.json")
    file.write_text("[]")
    with pytest.raises(OptionError, match="damaged") as raised:
        scan(tmp_path)
    assert "segment` again" in str(raised.value)


def test_inputs_that_no_run_names_keep_their_folder_and_are_listed(tmp_path):
    path = tmp_path / "in" / "a.png"
    run, (place,) = begin(tmp_path / "out", FACTS, [path])
    write_status(Outcome(str(path), "done", "a", 1.0), place, run)
    (file,) = (tmp_path / "out" / ledger.RUNS).glob("*.json")
    file.write_text("{")
    told = []
    _, (other,) = begin(tmp_path / "out", FACTS, [tmp_path / "b" / "a.png"], told.append)
    assert [str(file) in note for note in told] == [True]
    assert other.name.startswith("a-")
    assert begin(tmp_path / "out", FACTS, [path], told.append)[1] == [place]
    assert len(told) == 1
    assert file.with_name(f"{file.name}.damaged").read_text() == "{"
    assert {outcome.folder: outcome.status for outcome in scan(tmp_path / "out").outcomes} == {
        "a": "done", other.name: "waiting",
    }  # fmt: skip


def test_every_file_is_read_once(tmp_path, monkeypatch):
    run, places = begin(tmp_path, FACTS, [Path("a.png"), Path("b.png")])
    begin(tmp_path, FACTS, [Path("c.png")])
    for place in (*places, Place(tmp_path, "unnamed")):
        write_status(Outcome(f"{place.name}.png", "done", place.name), place, run)
    runs = {path.name for path in (tmp_path / ledger.RUNS).glob("*.json")}
    read = []
    for module, name in ((ledger, "read_digested"), (status, "read_digested")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda path, original=original: read.append(path) or original(path))
    scan(tmp_path)
    assert sorted(path.parent.name for path in read) == [ledger.RUNS, ledger.RUNS, "a", "b", "c", "unnamed"]
    read.clear()
    begin(tmp_path, FACTS, [Path("d.png")])
    assert sorted(path.name for path in read) == sorted([*runs, STATUS])


def test_a_ledger_of_which_all_is_damaged_is_read_once(tmp_path, monkeypatch):
    begin(tmp_path, FACTS, [Path("a.png")])
    (file,) = (tmp_path / ledger.RUNS).glob("*.json")
    file.write_text("{")
    read, original = [], ledger.read_digested
    monkeypatch.setattr(ledger, "read_digested", lambda path: read.append(path) or original(path))
    with pytest.raises(OptionError, match="damaged"):
        scan(tmp_path)
    assert read == [file]


def test_damaged_runs_behind_a_link_are_not_renamed(segmented, tissue, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/theirs.json").write_text("{")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ledger.RUNS).symlink_to(tmp_path / "elsewhere")
    Image.fromarray(tissue[:64, :64]).save(tmp_path / "a.png")
    with pytest.raises(OutputError, match="without links"):
        segmented([tmp_path / "a.png"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["theirs.json"]
