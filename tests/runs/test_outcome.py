"""One boundary for the errors of an input, foreseen or not."""

import pickle
from dataclasses import fields

import pytest

from histofactor.errors import ImageError
from histofactor.runs.outcome import Outcome, Reporter, attempt, told_first


def failing(error):
    def work():
        raise error

    return work


def test_what_was_foreseen_is_one_message():
    outcome = attempt("a.png", failing(ImageError("a.png is damaged", mend="copy it again")))
    assert (outcome.input, outcome.status, outcome.traceback) == ("a.png", "failed", "")
    assert outcome.error == "a.png is damaged; copy it again"


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("CUDA out of memory"), RecursionError()])
def test_what_was_not_keeps_its_traceback(error):
    outcome = attempt("a.png", failing(error))
    assert outcome.error.startswith(type(error).__name__)
    assert "in work" in outcome.traceback


def test_interruptions_go_through():
    with pytest.raises(KeyboardInterrupt):
        attempt("a.png", failing(KeyboardInterrupt()))


def test_outcomes_get_their_time_and_travel():
    outcome = attempt("a.png", lambda: Outcome("a.png", "done", "a"))
    assert outcome.seconds >= 0
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert attempt("a.png", lambda: None) is None


def test_one_reporter_is_told_everything_before_another():
    told = []

    def recording(who):
        calls = {one.name: (lambda *given, name=one.name: told.append((who, name, given))) for one in fields(Reporter)}
        return Reporter(**calls)

    both = told_first(recording("first"), recording("then"))
    both.on_input("a.png", 0, 3)
    both.on_run("run", 3)
    assert told == [
        ("first", "on_input", ("a.png", 0, 3)), ("then", "on_input", ("a.png", 0, 3)),
        ("first", "on_run", ("run", 3)), ("then", "on_run", ("run", 3)),
    ]  # fmt: skip
    for one in fields(Reporter):
        getattr(both, one.name)()
    assert [name for who, name, _ in told[4:] if who == "then"] == [one.name for one in fields(Reporter)]
