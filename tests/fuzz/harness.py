"""Spoiled and crafted inputs for every reader: each is read or refused, in time and without much memory.

PYTHONPATH=tests python -m fuzz.harness --seed 0 --cases 800                   all targets
PYTHONPATH=tests python -m fuzz.harness --seed 0 --target banks --case 17      one case, again
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from fuzz.case import Result, Target, write_case
from fuzz.worker import HANG_S, MEMORY_MB, Worker

MEANT_S = 2.0
_MODULE = "fuzz.targets"
_BLOCK = 50  # cases that a worker takes at a time
_SHOWN = 20  # kinds of failures that are printed, an example of each


@dataclass(slots=True)
class Tally:
    """What came of the cases of a target.

    Attributes:
        target: its name.
        kinds: how many were read, refused and failed.
        slow: how many took longer than is meant.
        slowest_s, largest_mb: of any case.
        failures: (number, result) of those that failed.
    """

    target: str
    kinds: dict[str, int] = field(default_factory=lambda: {"read": 0, "refused": 0, "failed": 0})
    slow: int = 0
    slowest_s: float = 0.0
    largest_mb: float | None = None
    failures: list[tuple[int, Result]] = field(default_factory=list)

    def add(self, number: int, result: Result) -> None:
        """Count a case."""
        self.kinds[result.kind] += 1
        self.slow += result.seconds > MEANT_S
        self.slowest_s = max(self.slowest_s, result.seconds)
        if result.grown_mb is not None:
            self.largest_mb = max(self.largest_mb or 0.0, result.grown_mb)
        if result.kind == "failed":
            self.failures.append((number, result))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is run, and what a case may take.

    Attributes:
        seed: of all cases.
        cases: of every target that is not slow.
        jobs: processes at a time.
        hang_s, memory_mb: that a case may take.
    """

    seed: int = 0
    cases: int = 800
    jobs: int = 2
    hang_s: float = HANG_S
    memory_mb: float = MEMORY_MB


def fuzz(
    module: str, targets: Sequence[Target], folder: Path, limits: Limits, failures: Path | None = None
) -> list[Tally]:
    """Run the cases of targets.

    Args:
        module: where ``targets`` are among the ``TARGETS``.
        targets: whose cases.
        folder: empty, for what is made on the way.
        limits: how many, and what each may take.
        failures: folder to write cases that fail into, each with what came of it; none is written if None.

    Returns:
        What came of them, target by target.
    """
    blocks: SimpleQueue[tuple[Target, range]] = SimpleQueue()
    for target in targets:
        cases = max(1, limits.cases // target.slow)
        for start in range(0, cases, _BLOCK):
            blocks.put((target, range(start, min(start + _BLOCK, cases))))
    tallies, making = {target.name: Tally(target.name) for target in targets}, Lock()

    def work() -> None:
        with Worker(folder, module, hang_s=limits.hang_s, memory_mb=limits.memory_mb) as worker:
            while True:
                try:
                    target, numbers = blocks.get_nowait()
                except Empty:
                    return
                with making:
                    worker.prepare(target.name)
                for number in numbers:
                    result = worker.run(target.name, limits.seed, number)
                    tallies[target.name].add(number, result)
                    if result.kind == "failed" and failures is not None:
                        _keep(target, folder, limits.seed, number, result, failures)

    with ThreadPoolExecutor(limits.jobs) as pool:
        for done in [pool.submit(work) for _ in range(limits.jobs)]:
            done.result()
    for tally in tallies.values():
        tally.failures.sort(key=lambda failure: failure[0])
    return list(tallies.values())


def _keep(target: Target, folder: Path, seed: int, number: int, result: Result, failures: Path) -> None:
    kept = failures / f"{target.name}-{seed}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    if (folder / "corpus" / target.name).exists():
        write_case(target, folder / "corpus" / target.name, seed, number, kept / "input")
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "told.txt").write_text(result.told, encoding="utf-8", errors="backslashreplace")


def table(tallies: Iterable[Tally]) -> str:
    """What came of all cases, a line for each target."""
    lines = [
        f"{'target':<14}{'cases':>7}{'read':>7}{'refused':>9}{'failed':>8}{'> 2 s':>7}{'slowest':>10}{'memory':>10}"
    ]
    for tally in tallies:
        kinds = tally.kinds
        memory = "–" if tally.largest_mb is None else f"{tally.largest_mb:.0f} MB"
        lines.append(
            f"{tally.target:<14}{sum(kinds.values()):>7}{kinds['read']:>7}{kinds['refused']:>9}{kinds['failed']:>8}"
            f"{tally.slow:>7}{tally.slowest_s:>8.2f} s{memory:>10}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names; returns 1 where a case failed."""
    from fuzz.targets import TARGETS

    options = _parse(arguments, [target.name for target in TARGETS])
    targets = [target for target in TARGETS if not options.target or target.name in options.target]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        if options.case is not None:
            return _again(targets[0], Path(folder), options.seed, options.case)
        limits = Limits(seed=options.seed, cases=options.cases, jobs=options.jobs)
        tallies = fuzz(_MODULE, targets, Path(folder), limits, options.failures)
    print(table(tallies))
    failures = [(tally.target, *failure) for tally in tallies for failure in tally.failures]
    shown = {
        (name, result.told.strip().splitlines()[-1][:60]): (name, number, result) for name, number, result in failures
    }
    for name, number, result in list(shown.values())[:_SHOWN]:
        print(f"\n--target {name} --seed {options.seed} --case {number}: {result.told.strip()[-1500:]}")
    print(
        f"\n{sum(sum(tally.kinds.values()) for tally in tallies)} cases by seed {options.seed}, {len(failures)} failed"
    )
    if failures:
        print(f"their inputs and all that was told are in {options.failures}")
    return 1 if failures else 0


def _again(target: Target, folder: Path, seed: int, number: int) -> int:
    """One case, with all that it tells."""
    with Worker(folder, _MODULE) as worker:
        result = worker.run(target.name, seed, number)
    print(f"{result.kind} in {result.seconds:.2f} s: {result.told}")
    return 1 if result.kind == "failed" else 0


def _parse(arguments: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz.harness", description="Spoiled and crafted inputs for every reader.")
    limits = Limits()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=limits.cases, help="of every target, fewer of slow ones")
    parser.add_argument("--jobs", type=int, default=limits.jobs, help="processes")
    parser.add_argument("--target", action="append", choices=names, help="this one alone; may be given several times")
    parser.add_argument("--case", type=int, help="this case of the target alone, again")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder for inputs that failed")
    options = parser.parse_args(arguments)
    if options.case is not None and len(options.target or ()) != 1:
        parser.error("--case needs one --target")
    return options


if __name__ == "__main__":
    sys.exit(main())
