"""The clock adds up, and counts what fails."""

import pytest

from histofactor.base.clock import Clock


def test_stages_add_up(monkeypatch):
    ticks = iter([0.0, 1.0, 10.0, 12.5, 20.0, 20.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    clock = Clock()
    with clock("a"):
        pass
    with clock("b"):
        pass
    with clock("a"):
        pass
    assert clock.seconds == {"a": 1.25, "b": 2.5}


def test_a_stage_that_fails_counts():
    clock = Clock()
    with pytest.raises(ValueError, match="by design"), clock("a"):
        raise ValueError("by design")
    assert clock.seconds["a"] >= 0


def test_workers_at_a_stage_each_count_their_part(monkeypatch):
    ticks = iter([0.0, 3.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    clock = Clock()
    with clock("a", workers=3):
        pass
    assert clock.seconds == {"a": 1.0}
