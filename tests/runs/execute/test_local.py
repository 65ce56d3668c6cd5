"""Tasks one after another; those that another process has come last."""

import pickle
from pathlib import Path

from histofactor.runs.execute import local
from histofactor.runs.outcome import Observer, Outcome, Reporter
from histofactor.runs.place import Place
from histofactor.runs.results import Outputs
from histofactor.runs.task import Request, Task


def test_what_is_taken_is_waited_for(monkeypatch):
    monkeypatch.setattr(local, "_POLL_S", 0.001)
    tasks = [Task(Path(f"{name}.png"), Place(Path("out"), name)) for name in "abc"]
    busy, seen, waited, windows = {"a.png": 3}, [], [], []

    class Busy:
        out = None

        def start(self, shared):
            shared["begun"] = shared.get("begun", 0) + 1
            return "loaded"

        def do(self, state, task, watch):
            assert state == "loaded"
            if busy.get(task.name, 0):
                busy[task.name] -= 1
                return None
            with watch.clock("work"):
                watch.on_window(1, 2)
            return Outcome(task.name, "done", task.place.name)

    reporter = Reporter(
        on_input=lambda name, index, total: seen.append((name, index, total)),
        on_window=lambda done, total: windows.append((done, total)),
        on_wait=waited.append,
    )
    workers, observer = local.LocalWorkers(), Observer(reporter)
    ended = list(workers.execute(Busy(), tasks, observer))
    assert [(task.name, outcome.input) for task, outcome in ended] == [(f"{name}.png",) * 2 for name in "bca"]
    assert windows == [(1, 2)] * 3
    assert "work" in observer.clock.seconds
    assert list(workers.execute(Busy(), [], observer)) == []
    assert workers.shared == {"begun": 2}  # kept from one job to the next
    assert seen == [("a.png", 0, 3), ("b.png", 1, 3), ("c.png", 2, 3)]
    assert waited == ["a.png"]


def test_tasks_and_requests_travel():
    task = Task(Path("a.png"), Place(Path("out"), "a"), Outputs(weights=True), 0.5, False, "run")
    assert pickle.loads(pickle.dumps(task)) == task
    request = Request(encoder="uni", concepts=Path("bank"), k=16)
    assert pickle.loads(pickle.dumps(request)) == request
