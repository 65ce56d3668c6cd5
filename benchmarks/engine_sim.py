"""How long do 10,000 slides take on 8 and 64 GPUs, and what bounds it? A simulation, with no claim.

Slides have lognormal sizes, and work and bytes in proportion. Every GPU has one worker. A slide is worked once its file
is there: files come from one storage, one after another at its full rate, each asked for as the slide before it in line
begins. A node is taken away once every two hours, at a phase of its own, and comes back later; what its workers had
begun goes on elsewhere, but for what was done since the last band was written. Compared are slides as they are given,
each worked by one worker, and the largest first, of which idle workers take half of the rest at the end.

All costs are assumed. What ``results/engine.csv`` measured, of small inputs on two cores, is less: it says nothing of
slides on GPUs, and is not used here.

    python benchmarks/engine_sim.py    prints a table and writes results/engine_sim.csv
"""

from __future__ import annotations

import csv
import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results"
SLIDES, MEDIAN_S, SPREAD, MEDIAN_BYTES = 10_000, 120.0, 1.0, 1e9  # assumed: seconds on one GPU, and of a file
GPUS, PER_NODE = (8, 64), 8
STORAGE, KILL_EVERY_S, DOWN_S, LOAD_S = 1e9, 7200.0, 300.0, 30.0  # bytes/s; the last two are assumed
OVERHEAD_S, WASTED_S = 1.0, 30.0  # assumed
LEAST_S = 10.0  # of work that is worth being shared


@dataclass(frozen=True, slots=True)
class Cluster:
    """Machines and what they share.

    Attributes:
        gpus: in all.
        per_node: GPUs that go together.
        storage: bytes/s, shared by all.
        kill_every_s: seconds between two times that a node is taken away; inf for never.
        down_s: seconds until it is back.
        phases: when each node is taken away first, in parts of that time; None draws them.
    """

    gpus: int
    per_node: int = PER_NODE
    storage: float = STORAGE
    kill_every_s: float = KILL_EVERY_S
    down_s: float = DOWN_S
    phases: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a task, the start of a worker, and a kill cost beyond the work itself."""

    overhead_s: float = OVERHEAD_S
    load_s: float = LOAD_S
    wasted_s: float = WASTED_S


@dataclass(frozen=True, slots=True)
class Policy:
    """Whether the largest slides come first, and whether idle workers share the rest of others' slides."""

    largest_first: bool
    share: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: seconds until the last slide is done, and seconds of all GPUs by what they were spent on."""

    seconds: float
    spent: dict[str, float]

    def part(self, kind: str) -> float:
        """Share of the time of all GPUs."""
        return self.spent[kind] / sum(self.spent.values())


@dataclass(slots=True)
class _Piece:
    """Work on a slide; ``ready`` is when its file is there, None where nobody asked for it."""

    slide: int
    work: float
    ready: float | None = None


@dataclass(slots=True)
class _Worker:
    """One GPU; ``begin`` and ``end`` are those of the work on its piece."""

    node: int
    up: bool = False
    piece: _Piece | None = None
    begin: float = 0.0
    end: float = 0.0
    asked: float = 0.0  # when it got the piece
    version: int = 0  # events of earlier ones are void


@dataclass(slots=True)
class _Run:
    """A simulation under way."""

    work: NDArray[np.float64]
    size: NDArray[np.float64]
    cluster: Cluster
    cost: Cost
    policy: Policy
    workers: list[_Worker]
    queue: deque[_Piece]
    events: list[tuple[float, int, str, int, int]] = field(default_factory=list)
    number: Iterator[int] = field(default_factory=count)
    spans: list[tuple[str, float, float]] = field(default_factory=list)  # kind, from, to; of one GPU
    storage_free: float = 0.0
    ended: float = 0.0

    def at(self, time: float, kind: str, index: int, version: int = 0) -> None:
        """Note what will happen."""
        heapq.heappush(self.events, (time, next(self.number), kind, index, version))

    def fetch(self, piece: _Piece, now: float) -> float:
        """When the file of a piece is there; it is asked for now unless it was."""
        if piece.ready is None:
            self.storage_free = max(now, self.storage_free) + self.size[piece.slide] / self.cluster.storage
            piece.ready = self.storage_free
        return piece.ready

    def give(self, index: int, now: float) -> None:
        """Give a free worker something to do, if there is anything."""
        worker = self.workers[index]
        piece = self.queue.popleft() if self.queue else self.part(now)
        if piece is None:
            return
        worker.piece, worker.asked = piece, now
        worker.begin = max(now, self.fetch(piece, now)) + self.cost.overhead_s
        worker.end = worker.begin + piece.work
        worker.version += 1
        self.at(worker.end, "done", index, worker.version)
        for following in islice(self.queue, len(self.workers)):
            if following.ready is None:
                self.fetch(following, now)
                break

    def part(self, now: float) -> _Piece | None:
        """Half of what is left of the slide that would end last, or None where that is not worth it."""
        if not self.policy.share:
            return None
        last = max((one for one in self.workers if one.piece), key=lambda one: one.end, default=None)
        if last is None or last.piece is None:
            return None
        start = max(now, self.storage_free) + self.size[last.piece.slide] / self.cluster.storage + self.cost.overhead_s
        half = min((last.end - start) / 2, last.end - max(now, last.begin))  # so that both end together
        if half < LEAST_S:
            return None
        last.end -= half
        last.piece.work -= half
        last.version += 1
        self.at(last.end, "done", self.workers.index(last), last.version)
        return _Piece(last.piece.slide, half)

    def leave(self, index: int, now: float) -> float:
        """End the work of a worker, and note what its time went to; returns the work that it did."""
        worker = self.workers[index]
        piece, worker.piece = worker.piece, None
        worker.version += 1
        if piece is None:
            return 0.0
        there = min(now, max(worker.asked, piece.ready or 0.0))
        begin = min(now, worker.begin)
        self.spans += [("waiting for files", worker.asked, there), ("overhead", there, begin)]
        return max(0.0, now - worker.begin)


def simulate(
    work: NDArray[np.float64], size: NDArray[np.float64], cluster: Cluster, cost: Cost, policy: Policy, seed: int = 0
) -> Outcome:
    """Work slides on a cluster.

    Args:
        work: seconds on one GPU, of each slide.
        size: bytes of each.
        cluster, cost, policy: how.
        seed: of the phases in which nodes are taken away.
    """
    order = np.argsort(-work, kind="stable") if policy.largest_first else np.arange(len(work))
    workers = [_Worker(index // cluster.per_node) for index in range(cluster.gpus)]
    nodes = -(-cluster.gpus // cluster.per_node)
    run = _Run(work, size, cluster, cost, policy, workers, deque(_Piece(int(one), float(work[one])) for one in order))
    phases = cluster.phases or tuple(np.random.default_rng(seed).random(nodes))
    for node in range(nodes):
        run.at(0.0, "up", node)
        if np.isfinite(cluster.kill_every_s):
            run.at(phases[node] * cluster.kill_every_s, "kill", node)
    while run.queue or any(worker.piece for worker in workers):
        now, _, kind, index, version = heapq.heappop(run.events)
        if kind == "done" and version == workers[index].version:
            done = run.leave(index, now)
            run.spans.append(("work", now - done, now))
            run.ended = now
            run.give(index, now)
        elif kind == "up":
            run.spans += [("overhead", now, now + cost.load_s)] * len(_of(workers, index))
            run.at(now + cost.load_s, "loaded", index)
        elif kind == "loaded":
            for one in _of(workers, index):
                workers[one].up = True
                run.give(one, now)
        elif kind == "kill":
            _kill(run, index, now)
    return Outcome(run.ended, _spent(run))


def _of(workers: list[_Worker], node: int) -> list[int]:
    return [index for index, worker in enumerate(workers) if worker.node == node]


def _kill(run: _Run, node: int, now: float) -> None:
    """Take a node away; what it worked on is the next to be worked."""
    for index in _of(run.workers, node):
        worker, piece = run.workers[index], run.workers[index].piece
        done = run.leave(index, now)
        worker.up = False
        if piece is not None:
            lost = min(done, run.cost.wasted_s)
            run.spans += [("work", now - done, now - lost), ("done again", now - lost, now)]
            run.queue.appendleft(_Piece(piece.slide, piece.work - done + lost))
        run.spans.append(("nodes away", now, now + run.cluster.down_s))
    run.at(now + run.cluster.down_s, "up", node)
    run.at(now + run.cluster.kill_every_s, "kill", node)
    for index, worker in enumerate(run.workers):
        if worker.up and worker.piece is None and run.queue:
            run.give(index, now)


def _spent(run: _Run) -> dict[str, float]:
    """Seconds of all GPUs by what they were spent on, until the end; the rest had nothing to do."""
    spent = dict.fromkeys(("work", "overhead", "waiting for files", "done again", "nodes away"), 0.0)
    for kind, start, end in run.spans:
        spent[kind] += max(0.0, min(end, run.ended) - min(start, run.ended))
    return {**spent, "idle": run.cluster.gpus * run.ended - sum(spent.values())}


def bounds(work: NDArray[np.float64], size: NDArray[np.float64], cluster: Cluster) -> dict[str, float]:
    """Seconds that nothing can be faster than, by what it is."""
    return {
        "GPUs": float(work.sum()) / cluster.gpus,
        "storage": float(size.sum()) / cluster.storage,
        "the largest slide": float(work.max()),
    }


def slides(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Work in seconds and bytes of 10,000 slides."""
    scale = np.random.default_rng(seed).lognormal(0.0, SPREAD, SLIDES)
    return MEDIAN_S * scale, MEDIAN_BYTES * scale


def main() -> None:
    work, size = slides()
    rows = []
    for gpus in GPUS:
        cluster = Cluster(gpus)
        for name, policy in (("as given", Policy(False, False)), ("largest first, shared", Policy(True, True))):
            made = simulate(work, size, cluster, Cost(), policy)
            least = bounds(work, size, cluster)
            bound = max(least, key=lambda one: least[one])
            rows.append(
                {
                    "gpus": gpus,
                    "order": name,
                    "hours": f"{made.seconds / 3600:.2f}",
                    "bound": bound,
                    "bound_hours": f"{least[bound] / 3600:.2f}",
                    **{f"{kind} %": f"{100 * made.part(kind):.2f}" for kind in made.spent},
                    "costs": "assumed",
                }
            )
    with (RESULTS / "engine_sim.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    widths = [max(len(str(row[name])) for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]) for name in rows[0]]
    for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]:
        print("  ".join(str(value).ljust(width) for value, width in zip(row.values(), widths, strict=True)))


if __name__ == "__main__":
    main()
