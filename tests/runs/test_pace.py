"""How fast a run goes and when it ends: right where it can be known, and not told where it cannot."""

import pytest

from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.pace import Pace, followed, told_time


class Time:
    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return self.s


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def pace(time):
    return Pace(time)


def worked(pace, time, name, seconds, status="done"):
    pace.on_input(name)
    time.s += seconds
    pace.on_outcome(Outcome(name, status))


def test_the_end_of_several_is_told_once_three_were_worked_on(pace, time):
    pace.on_run(10)
    for number in range(3):
        assert pace.standing().left_s is None
        worked(pace, time, f"{number}", 20)
    pace.on_input("3")
    standing = pace.standing()
    assert (standing.inputs, standing.ended, standing.kept, standing.failed) == (10, 3, 0, 0)
    assert standing.left_s == pytest.approx(7 * 20)
    time.s += 5
    assert pace.standing().left_s == pytest.approx(7 * 20 - 5)
    time.s += 20  # it takes longer than it should, and six others follow
    assert pace.standing().left_s == pytest.approx(6 * 20)
    time.s += 20  # it takes more than twice as long as the others
    assert pace.standing().left_s is None


def test_what_an_earlier_run_did_tells_nothing_of_the_rate(pace, time):
    pace.on_run(100)
    for number in range(50):
        worked(pace, time, f"kept {number}", 0.01, "kept")
    assert pace.standing().left_s is None
    for number in range(4):
        worked(pace, time, f"{number}", 30, "failed" if number == 1 else "done")
    standing = pace.standing()
    assert (standing.kept, standing.failed) == (50, 1)
    assert standing.left_s == pytest.approx(46 * 30, rel=0.01)


def test_the_end_of_the_last_input_is_told_by_its_windows(pace, time):
    pace.on_run(1)
    pace.on_input("a.svs")
    pace.on_window(500, 2000)  # an earlier run did these
    for step in range(1, 101):
        assert (pace.standing().windows_per_s is None) == (step <= 100 / 10)
        time.s += 1
        pace.on_window(500 + 4 * step, 2000)
    standing = pace.standing()
    assert standing.windows_per_s == pytest.approx(4, rel=0.02)
    assert standing.left_s == pytest.approx((2000 - 900) / 4, rel=0.02)
    assert (standing.input, standing.windows, standing.of) == ("a.svs", 900, 2000)


def test_a_rate_is_that_of_the_last_minute(pace, time):
    pace.on_run(1)
    pace.on_input("a.svs")
    done = 0
    for rate in (10, 1):
        for _ in range(100):
            time.s += 1
            done += rate
            pace.on_window(done, 10_000)
    assert pace.standing().windows_per_s == pytest.approx(1, rel=0.05)
    time.s += 600  # it hangs
    assert pace.standing().windows_per_s == pytest.approx(0, abs=0.01)


def test_stages_and_learning_tell_no_end(pace, time):
    pace.on_input("a.svs, to learn from")
    pace.on_window(0, 100)
    time.s += 30
    pace.on_window(60, 100)
    assert pace.standing().left_s is None
    pace.on_stage("learning concepts")
    standing = pace.standing()
    assert (standing.stage, standing.input, standing.windows_per_s, standing.left_s) == (
        "learning concepts",
        "",
        None,
        None,
    )
    time.s += 1000  # which is no time of an input
    pace.on_run(8)
    for number in range(4):
        worked(pace, time, f"{number}", 10)
    assert pace.standing().left_s == pytest.approx(40)


def test_when_all_is_done_nothing_is_left(pace, time):
    pace.on_run(1)
    worked(pace, time, "a", 5)
    assert pace.standing().left_s is None


def test_others_are_told_too():
    heard = []
    reporter = Reporter(
        on_input=lambda *given: heard.append(given),
        on_window=lambda *given: heard.append(given),
        on_outcome=heard.append,
        on_stage=heard.append,
        on_run=lambda *given: heard.append(given),
        on_note=heard.append,
    )
    pace = Pace()
    both, outcome = followed(reporter, pace), Outcome("a", "failed")
    both.on_run("run", 2)
    both.on_input("a", 0, 2)
    both.on_window(1, 3)
    both.on_outcome(outcome)
    both.on_stage("stage")
    both.on_note("note")
    assert heard == [("run", 2), ("a", 0, 2), (1, 3), outcome, "stage", "note"]
    standing = pace.standing()
    assert (standing.inputs, standing.ended, standing.failed, standing.stage) == (2, 1, 1, "stage")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h"), (36_000, "10 h"),
     (172_800, "2.0 days"), (1_000_000, "12 days")],
)  # fmt: skip
def test_times_in_words(seconds, words):
    assert told_time(seconds) == words
