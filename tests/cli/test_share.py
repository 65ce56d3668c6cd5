"""The share of a run that a process works on, and the log that it writes."""

from pathlib import Path

import pytest

from histofactor.cli.share import log_of, share
from histofactor.errors import OptionError
from histofactor.runs.shards import Shard


@pytest.fixture
def array(monkeypatch):
    """Makes this a task of a job array of Slurm."""

    def be(task, count, lowest):
        for name, value in (("ID", task), ("COUNT", count), ("MIN", lowest), ("STEP", 1)):
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))

    return be


def test_by_the_option_or_by_slurm(array):
    assert share(None, 10) == (None, "")
    assert share("2/3", 10) == (Shard(2, 3), "")
    array(5, 4, 3)
    shard, note = share(None, 10)
    assert shard == Shard(3, 4)
    assert "read from the job array of Slurm" in note
    shard, note = share("2/3", 10)
    assert shard == Shard(2, 3)
    assert "although this is task 3/4" in note
    with pytest.raises(OptionError):
        share("0/3", 10)


def test_tasks_with_inputs_of_their_own_are_no_shards(array):
    array(5, 200, 1)
    shard, note = share(None, 1)
    assert shard is None
    assert note == "1 input for 200 tasks of a job array of Slurm: this one works on all of them"
    assert share(None)[0] == Shard(5, 200)  # where all tasks know the same
    assert share("5/200", 1)[0] == Shard(5, 200)  # who asks for it gets it


def test_every_shard_has_a_log_of_its_own():
    assert log_of(None, Shard(1, 2)) is None
    assert log_of(Path("a/run.jsonl"), None) == Path("a/run.jsonl")
    assert log_of(Path("a/run.jsonl"), Shard(1, 1)) == Path("a/run.jsonl")
    assert log_of(Path("a/run.jsonl"), Shard(3, 8)) == Path("a/run-3-of-8.jsonl")
