"""What runs in a worker: it loads once a job, tells what happens, and ends itself where it must."""

import os
import pickle

import pytest

from histofactor.errors import EncoderError, OptionError
from histofactor.runs.execute import ray_worker as module
from histofactor.runs.execute.ray_worker import Desk, last_words
from ray_jobs import ToyJob, ToyTask

pytest.importorskip("psutil", reason="needs histofactor[ray]")


CRASH = "Fatal Python error: Segmentation fault"


@pytest.fixture
def desk(tmp_path):
    desk = Desk(None)
    assert desk.begin(pickle.dumps(ToyJob(tmp_path))) is None
    return desk


def told(desk, task, index=7):
    return list(desk.do(index, pickle.dumps(task)))


def test_a_task_is_told_from_its_beginning_to_its_end(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TELL_S", 0.2)
    begun, *under_way, ended = told(desk, ToyTask(tmp_path / "a.png", "slowly"))
    assert (begun.ended, begun.windows) == (False, (0, 0))
    assert [one.windows for one in under_way] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert ended.result == ("a.png", os.getpid(), 1)
    assert (ended.ended, ended.windows, ended.error) == (True, (4, 4), None)
    assert ended.seconds["work"] >= 2.8
    assert desk.begin(pickle.dumps(ToyJob(tmp_path))) is None
    assert told(desk, ToyTask(tmp_path / "b.png"))[-1].result == ("b.png", os.getpid(), 2)  # what is shared stays


def test_what_goes_wrong_travels(desk, tmp_path):
    error = told(desk, ToyTask(tmp_path / "a.png", "wrong"))[-1].error
    assert isinstance(error, OptionError)
    assert (error.what, error.got) == ("this cannot be done", "that")
    (tmp_path / "no weights").touch()
    assert isinstance(desk.begin(pickle.dumps(ToyJob(tmp_path))), EncoderError)
    assert isinstance(desk.begin(b"no job"), pickle.UnpicklingError)


def test_an_error_that_does_not_travel_is_told_in_words(desk, tmp_path, monkeypatch):
    def go(self, *given):
        class Local(Exception):
            pass

        raise Local("of here")

    monkeypatch.setattr(ToyJob, "go_well", go)
    error = told(desk, ToyTask(tmp_path / "a.png"))[-1].error
    assert type(error) is RuntimeError
    assert "of here" in str(error)


def test_too_much_memory_ends_it(capfd):
    codes = []
    module._look_after(0.001, codes.append)
    assert codes == [70]
    assert "GB of memory, and --memory-per-worker allows 0.001" in capfd.readouterr().err


def test_a_machine_without_its_ray_ends_it(monkeypatch):
    parents, codes = iter([5, 5, 1]), []
    monkeypatch.setattr(module.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    module._look_after(None, codes.append)
    assert codes == [70]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", ""),
        (":actor_name:Worker\n\n:task:3\n", ""),
        ("of before\n\n:task:3\none\n\ntwo\nthree\nfour\n", "two; three; four"),
        ("\n:task:3\nof before\n\n:task:4\nof now\n", "of now"),
        (
            "\n:task:3\nFatal Python error: Segmentation fault\n\nStack:\n  a\n  b\n  c\n",
            "Fatal Python error: Segmentation fault",
        ),
        ("\n:task:3\nmuch\nhistofactor: it took 3 GB\nmore\n", "it took 3 GB"),
        ("no task yet\n", "no task yet"),
    ],
)
def test_last_words(said, words, tmp_path):
    (tmp_path / "said").write_text(said)
    assert last_words(str(tmp_path / "said")) == words


def test_no_last_words(tmp_path):
    assert last_words(str(tmp_path / "gone")) == last_words("") == ""
