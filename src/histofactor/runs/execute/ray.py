"""Tasks by workers of Ray, on this machine or a cluster: paths go out, outcomes come back, attempts are counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic

import ray
from ray import cloudpickle
from ray.exceptions import RayError

from histofactor.base.text import counted
from histofactor.errors import EngineError
from histofactor.records.urls import Input
from histofactor.runs.execute.engine import Engine, Job, Result, Task
from histofactor.runs.execute.ray_cluster import Cluster
from histofactor.runs.execute.ray_fit import fault_of, must_see, on_host, spread
from histofactor.runs.execute.ray_hand import Flight, Hand, is_preempted, words_of
from histofactor.runs.execute.ray_layout import Layout, lay_out
from histofactor.runs.execute.ray_queue import ATTEMPTS, MOST_LOST, Queue
from histofactor.runs.execute.ray_worker import Told
from histofactor.runs.outcome import Observer

_TICK_S = 0.5  # between two looks at the time
_WORDS_S = 30.0  # within which a machine tells the last words of a worker, or is known to be gone
_ROOM_S = 60.0  # after which it is told that no worker has found room
_WORTH_IT = 16  # windows that are left, for each worker that is hired to help
_STARTS = 3  # so often in a row workers may end as they begin


class RayWorkers:
    """Workers of Ray, which are there until ``stop``; see ``engine.Workers``.

    Args:
        engine: what is asked for.
        cluster: where they work.

    Raises:
        EngineError: there is no room for as many.
    """

    def __init__(self, engine: Engine, cluster: Cluster) -> None:
        self.engine, self.cluster = engine, cluster
        self.layout: Layout = lay_out(cluster.machines, engine)
        self.number = self.layout.workers
        self.shared: dict[str, Any] = {}
        self.hands: list[Hand] = []
        self.homes: dict[Input, str] = {}  # the worker that had a path last
        self.settled = False  # whether any worker ever was

    def execute(
        self, job: Job[Task, Any, Result], tasks: Sequence[Task], observer: Observer
    ) -> Iterator[tuple[Task, Result]]:
        """As ``engine.Workers`` says; the largest tasks begin first."""
        if not tasks:
            return
        over = False
        try:
            with must_see(job.out, [tasks[index].path for index in spread(len(tasks))]) as seen:
                yield from _Run(self, job, tasks, observer, seen).go()
            over = True
        finally:
            if not over:
                self.stop()

    def stop(self) -> None:
        """End all workers at once."""
        hands, self.hands = self.hands, []
        for hand in hands:
            with suppress(RayError):  # Ray itself has ended
                hand.kill()


class _Run(Generic[Task, Result]):
    """One job: who has which task, and what is to be done as workers come, tell and end."""

    def __init__(
        self,
        workers: RayWorkers,
        job: Job[Task, Any, Result],
        tasks: Sequence[Task],
        observer: Observer,
        seen: Sequence[str],
    ) -> None:
        self._workers, self._job, self._tasks, self._seen = workers, job, tasks, seen
        self._reporter, self._clock = observer.reporter, observer.clock
        self._queue = Queue([tasks[index].path for index in range(len(tasks))], workers.homes)
        self._pickled: bytes = cloudpickle.dumps(job)
        self._dying: dict[Any, tuple[Hand, Flight | None, float]] = {}  # by what their last words are asked of
        self._helps = job.aid(tasks[0]) is not None
        self._waited: set[int] = set()
        self._aided: set[tuple[str, int]] = set()  # workers, and tasks that they helped with
        self._failed_starts, self._windows, self._since = 0, (0, 0), time.monotonic()
        self._told_room = False

    def go(self) -> Iterator[tuple[Task, Result]]:
        """Work until every task has its result."""
        for hand in self._workers.hands:
            hand.greet(Path.cwd(), self._seen)
        while self._queue.open:
            self._hire()
            self._give()
            yield from self._listen()
            self._look_at_the_time()
        for hand in self._workers.hands:  # what helps with what is done is not waited for
            hand.flights.clear()

    def _hire(self) -> None:
        """As many workers as there is work for."""
        hands, left = self._workers.hands, sum(one.windows[1] - one.windows[0] for one in self._under_way())
        useful = max(len(self._queue.open), left // _WORTH_IT if self._helps else 0)
        wanted = min(self._workers.number, useful)
        while len(hands) < wanted:
            hands.append(Hand(self._workers.layout, Path.cwd(), self._seen))
            self._since = time.monotonic()

    def _give(self) -> None:
        """A task to each that has none, and a small one to come next while there are enough for all."""
        hands = [hand for hand in self._workers.hands if hand.ready]
        names = {hand.name for hand in self._workers.hands}
        for hand in hands:
            if not hand.flights:
                self._give_one(hand, self._queue.take(hand.name, names))
            if not hand.flights:
                self._let_aid(hand)
        if len(hands) < len(names):  # others are about to come
            return
        for hand in hands:
            if len(hand.flights) == 1 and len(self._queue) >= len(hands):
                self._give_one(hand, self._queue.take(hand.name, names, ahead=True))

    def _give_one(self, hand: Hand, index: int | None) -> None:
        if index is not None:
            hand.give(index, cloudpickle.dumps(self._tasks[index]))

    def _let_aid(self, hand: Hand) -> None:
        """Let an idle worker help with the task that has most to do, once each."""
        under_way = [one for one in self._under_way() if (hand.name, one.index) not in self._aided]
        for flight in sorted(under_way, key=lambda one: one.windows[0] - one.windows[1]):
            task = self._job.aid(self._tasks[flight.index])
            self._aided.add((hand.name, flight.index))
            if task is not None:
                hand.give(flight.index, cloudpickle.dumps(task), aid=True)
                return

    def _under_way(self) -> list[Flight]:
        """Tasks of which windows are left to do."""
        flights = [flight for hand in self._workers.hands for flight in hand.flights if not flight.aid]
        return [flight for flight in flights if flight.windows[0] < flight.windows[1]]

    def _listen(self) -> Iterator[tuple[Task, Result]]:
        """What came of tasks that ended, of all that is told within a moment."""
        by_what = {hand.waits: hand for hand in self._workers.hands if hand.waits is not None}
        waits = [*by_what, *self._dying]
        if not waits:
            time.sleep(_TICK_S)
            return
        heard, _ = ray.wait(waits, num_returns=1, timeout=_TICK_S)
        if heard:  # others that are there by now
            heard, _ = ray.wait(waits, num_returns=len(waits), timeout=0)
        for one in heard:
            if one in self._dying:
                yield from self._bury(one)
            else:
                yield from self._hear(by_what[one])

    def _hear(self, hand: Hand) -> Iterator[tuple[Task, Result]]:
        """What a worker tells: who it is, that it is ready, or how its task goes."""
        try:
            if hand.hello is None:
                self._meet(hand)
            elif not hand.ready:
                self._let_begin(hand)
            else:
                flight, told = hand.told()
                yield from self._follow(hand, flight, told)
        except (RayError, StopIteration) as error:
            self._mourn(hand, error)

    def _meet(self, hand: Hand) -> None:
        """Take on a worker that fits, and tell of one that does not."""
        hello = hand.meet()
        if self._workers.cluster.own:
            self._workers.cluster.tell(hello.pid)
        fault = fault_of(hello)
        if fault is None:
            self._workers.settled = True
            hand.settle(self._workers.engine.memory_gb)
            hand.begin(self._pickled)
            return
        if not self._workers.settled:
            raise fault
        self._reporter.on_note(f"a worker is left out: {fault}")
        self._workers.hands.remove(hand)
        self._workers.number -= 1
        hand.kill()
        if not self._workers.number:
            raise fault

    def _let_begin(self, hand: Hand) -> None:
        error = hand.begun()
        if error is not None:
            raise on_host(error, hand.hello)
        self._failed_starts = 0

    def _follow(self, hand: Hand, flight: Flight, told: Told) -> Iterator[tuple[Task, Result]]:
        """How a task goes, and what came of it."""
        if flight.aid:
            if told.error is not None:
                raise told.error
            return
        task = self._tasks[flight.index]
        if not flight.begun:
            flight.begun = True
            if flight.index not in self._waited:
                self._reporter.on_input(task.name, flight.index, len(self._tasks))
        if not told.ended:
            self._tell_windows()
            return
        if told.error is not None:
            raise told.error
        for stage, seconds in told.seconds.items():
            self._clock.add(stage, seconds / self._workers.number)
        self._workers.homes[task.path] = hand.name
        if told.result is not None:
            self._queue.done(flight.index)
            yield task, told.result
            return
        if flight.index not in self._waited:
            self._reporter.on_wait(task.name)
            self._waited.add(flight.index)
        self._queue.elsewhere(flight.index)

    def _tell_windows(self) -> None:
        """Windows of all inputs that are at work."""
        begun = [flight.windows for hand in self._workers.hands for flight in hand.flights if not flight.aid]
        windows = sum(done for done, _ in begun), sum(total for _, total in begun)
        if windows != self._windows and windows[1]:
            self._windows = windows
            self._reporter.on_window(*windows)

    def _mourn(self, hand: Hand, error: BaseException) -> None:
        """A worker has ended: what it was at is to be known before it is tried again, and what came next is free."""
        self._workers.cluster.check()
        self._workers.hands.remove(hand)
        flight = hand.flights.popleft() if hand.flights else None
        if flight is not None and flight.aid:  # whoever is at the task itself tells of it
            return
        for other in reversed(hand.flights):
            self._queue.back(other.index)
        asked = hand.words()
        if asked is None or is_preempted(error):
            self._judge(hand, flight, None)
        else:
            self._dying[asked] = hand, flight, time.monotonic()

    def _bury(self, asked: Any) -> Iterator[tuple[Task, Result]]:
        hand, flight, _ = self._dying.pop(asked)
        yield from self._judge(hand, flight, words_of(asked))

    def _judge(self, hand: Hand, flight: Flight | None, words: str | None) -> list[tuple[Task, Result]]:
        """Whose fault the end of a worker was: of the task that it was at, unless its machine is gone (no words)."""
        why = hand.cause or f"its worker ended{f', with the last words: {words}' if words else ' without a word'}"
        if flight is None:
            self._failed_starts += words is not None
            if self._failed_starts == _STARTS:
                raise EngineError("workers end as they begin", expected="workers that stay", got=words or "no word")
            return []
        task = self._tasks[flight.index]
        if words is None and not hand.cause:
            if self._queue.lost(flight.index):
                self._reporter.on_note(f"{task.name}: its machine was lost; it goes on elsewhere")
                return []
            cause = f"its machine was lost {MOST_LOST} times"
        elif self._queue.ended(flight.index):
            self._reporter.on_note(f"{task.name}: {why}; it is tried once more")
            return []
        else:
            cause = f"{why}; tried {ATTEMPTS} times"
        self._queue.done(flight.index)
        return [(task, self._job.lost(task, cause))]

    def _look_at_the_time(self) -> None:
        """End workers that take too long, and say so where none has found room."""
        now, limit_s = time.monotonic(), self._workers.engine.slide_timeout_s
        for hand in list(self._workers.hands):
            if limit_s is not None and hand.flights and now - hand.flights[0].since > limit_s and not hand.cause:
                hand.give_up(f"it took longer than --slide-timeout {limit_s:g} s")
        if any(now - since > _WORDS_S for _, _, since in self._dying.values()):
            self._workers.cluster.check()
        if not self._told_room and now - self._since > _ROOM_S and not any(one.hello for one in self._workers.hands):
            layout, self._told_room = self._workers.layout, True
            gpus = f" and {layout.gpus:g} GPU" if layout.gpus else ""
            self._reporter.on_note(
                f"waiting for a machine with room for a worker ({counted(layout.cores, 'core')}{gpus})"
            )
