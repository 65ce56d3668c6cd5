"""Tasks one after another; those that another process has come last."""

import pickle
from pathlib import Path

from histofactor.runs.execute import local
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.place import Place
from histofactor.runs.results import Outputs
from histofactor.runs.task import Request, Task


def test_what_is_taken_is_waited_for(monkeypatch):
    monkeypatch.setattr(local, "_POLL_S", 0.001)
    tasks = [Task(Path(f"{name}.png"), Place(Path("out"), name)) for name in "abc"]
    busy, seen, waited = {"a.png": 3}, [], []

    def work(task):
        if busy.get(str(task.path), 0):
            busy[str(task.path)] -= 1
            return None
        return Outcome(str(task.path), "done", task.place.name)

    reporter = Reporter(on_input=lambda name, index, total: seen.append((name, index, total)), on_wait=waited.append)
    outcomes = list(local.execute(tasks, work, reporter))
    assert [outcome.input for outcome in outcomes] == ["b.png", "c.png", "a.png"]
    assert seen == [("a.png", 0, 3), ("b.png", 1, 3), ("c.png", 2, 3)]
    assert waited == ["a.png"]


def test_tasks_and_requests_travel():
    task = Task(Path("a.png"), Place(Path("out"), "a"), Outputs(weights=True), 0.5, False, "run")
    assert pickle.loads(pickle.dumps(task)) == task
    request = Request(encoder="uni", concepts=Path("bank"), k=16)
    assert pickle.loads(pickle.dumps(request)) == request
