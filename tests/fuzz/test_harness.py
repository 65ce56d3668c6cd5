"""The harness finds the faults that are planted, makes each case again, and passes readers without faults."""

import pytest

from fuzz import planted
from fuzz.case import Target, run_case, write_case
from fuzz.harness import Limits, Tally, fuzz, main, table
from fuzz.worker import Worker

LIMITS = Limits(seed=1, cases=3, jobs=1, hang_s=0.5, memory_mb=200.0)


def tally_of(name, tmp_path, limits=LIMITS, failures=None):
    target = next(target for target in planted.TARGETS if target.name == name)
    (tally,) = fuzz("fuzz.planted", [target], tmp_path / "work", limits, failures)
    return tally


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raises", "ValueError: unforeseen"),
        ("hangs", "ended after"),
        ("slow", "took 0.7 s"),
        ("eats", "MB more"),
        ("gulps", "MB more"),
        ("crashes", "crashed with exit code -6"),
    ],
)
def test_a_planted_fault_is_found_every_time(folder, name, told):
    tally = tally_of(name, folder)
    assert tally.kinds == {"read": 0, "refused": 0, "failed": 3}
    assert [number for number, _ in tally.failures] == [0, 1, 2]
    assert all(told in result.told for _, result in tally.failures)


def test_a_careful_reader_passes(folder):
    tally = tally_of("careful", folder, Limits(cases=40, jobs=2))
    assert tally.kinds["failed"] == 0
    assert tally.kinds["refused"] >= 30
    assert tally.failures == []


def test_inputs_that_cannot_be_read_before_they_are_spoiled_are_no_test(folder):
    with pytest.raises(RuntimeError, match="refuses_all cannot be made or read"):
        tally_of("refuses_all", folder)


def test_failures_are_kept_and_a_seed_makes_them_again(folder):
    tally = tally_of("raises", folder, failures=folder / "kept")
    target = next(target for target in planted.TARGETS if target.name == "raises")
    assert sorted(path.name for path in (folder / "kept").iterdir()) == [f"raises-1-{number}" for number in range(3)]
    for number, result in tally.failures:
        kept = folder / f"kept/raises-1-{number}"
        assert (kept / "told.txt").read_text() == result.told
        again = write_case(target, folder / "work/corpus/raises", 1, number, folder / f"again-{number}")
        assert again.read_bytes() == (kept / "input/a.bin").read_bytes() != planted.GOOD
        assert run_case(target, again).kind == "failed"
    other = write_case(target, folder / "work/corpus/raises", 2, 0, folder / "other")
    assert other.read_bytes() != (folder / "again-0/a.bin").read_bytes()


def test_a_worker_goes_on_after_a_case_that_ended_it(folder):
    with Worker(folder / "work", "fuzz.planted", hang_s=1.0) as worker:
        assert worker.run("crashes", 0, 0).kind == "failed"
        assert worker.run("careful", 0, 0).kind == "refused"


def test_crafted_inputs_come_first_and_checksums_are_mended(tmp_path):
    (tmp_path / "corpus").mkdir()
    planted.make(tmp_path / "corpus")
    mended = []

    def craft(folder):
        (folder / "crafted.bin").write_bytes(b"crafted")
        return folder / "crafted.bin"

    target = Target("t", planted.make, planted.careful, mend=mended.append, crafted={"one": craft})
    paths = [write_case(target, tmp_path / "corpus", 0, number, tmp_path / str(number)) for number in range(21)]
    assert paths[0].read_bytes() == b"crafted"
    assert {path.name for path in paths[1:]} == {"a.bin"}
    assert paths[0] not in mended
    assert 4 <= len(mended) <= 16


def test_the_table_tells_what_came_of_each():
    tally = Tally("banks", {"read": 3, "refused": 4, "failed": 1}, 1, 2.5, 120.0)
    assert table([tally]).splitlines()[1].split() == ["banks", "8", "3", "4", "1", "1", "2.50", "s", "120", "MB"]


def test_the_command_runs_a_target_with_what_is_left_out(capsys):
    assert main(["--target", "manifests", "--cases", "2"]) == 0
    assert "2 cases by seed 0, 0 failed" in capsys.readouterr().out
