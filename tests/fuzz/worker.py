"""A process of its own that reads cases, so that one that hangs, crashes or eats memory is seen and ended."""

import faulthandler
import importlib
import multiprocessing
import os
import shutil
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Self

from fuzz.case import Result, Target, prepare, run_case, write_case

HANG_S = 10.0  # a case that takes longer hangs; 2 s are meant
MEMORY_MB = 1000.0  # 10⁶ bytes that a case may take
_START_S = 300.0  # to import, and to make and read the inputs of a target
_EVERY_S = 0.1  # that memory is looked at
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Worker:
    """A process that reads one case after another, and is made anew where one ends it.

    Args:
        folder: for corpora and cases; shared by all workers.
        module: whose ``TARGETS`` are read, by name: a process of its own imports them itself.
        hang_s: seconds after which a case is ended.
        memory_mb: 10⁶ bytes more than before after which a case is ended.
    """

    def __init__(self, folder: Path, module: str, *, hang_s: float = HANG_S, memory_mb: float = MEMORY_MB) -> None:
        self._module = module
        self._folder, self._hang_s, self._memory_mb = folder, hang_s, memory_mb
        self._process: multiprocessing.process.BaseProcess | None = None
        self._ready: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def prepare(self, target: str) -> None:
        """Make and read the inputs of a target, once for this process.

        Raises:
            RuntimeError: that fails, though nothing is spoiled yet.
        """
        if self._process is None:
            self._start()
        if target in self._ready:
            return
        result = self._ask((target, None, None), _START_S, float("inf"))
        if result.kind != "read":
            raise RuntimeError(f"the inputs of {target} cannot be made or read: {result.told}")
        self._ready.add(target)

    def run(self, target: str, seed: int, number: int) -> Result:
        """Read a case; one that hangs, crashes or takes more than it may is a failure."""
        self.prepare(target)
        result = self._ask((target, seed, number), self._hang_s, self._memory_mb)
        if result.kind != "failed" and result.seconds > self._hang_s:
            return Result("failed", result.seconds, result.grown_mb, f"took {result.seconds:.1f} s")
        if result.kind != "failed" and (result.grown_mb or 0.0) > self._memory_mb:
            return Result("failed", result.seconds, result.grown_mb, f"took {result.grown_mb:.0f} MB more")
        return result

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._log = self._folder / f"log-{id(self)}.txt"
        self._process = context.Process(
            target=_serve, args=(theirs, self._module, self._folder, self._log), daemon=True
        )
        self._process.start()
        theirs.close()
        self._ready = set()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _ask(self, question: tuple[str, int | None, int | None], limit_s: float, memory_mb: float) -> Result:
        self._pipe.send(question)
        started, before = monotonic(), self._resident_mb()
        while not self._pipe.poll(_EVERY_S):
            took, grown = monotonic() - started, self._resident_mb() - before
            if took > limit_s + 1 or grown > memory_mb:  # reading is timed by itself, from a moment later on
                self._end()
                told = f"ended after {took:.1f} s, with {grown:.0f} MB more"
                return Result("failed", took, grown, told)
        try:
            result: Result = self._pipe.recv()
        except EOFError:
            assert self._process is not None
            self._process.join()
            told = f"crashed with exit code {self._process.exitcode}\n{self._log.read_text(errors='replace')[-3000:]}"
            self._end()
            return Result("failed", monotonic() - started, None, told)
        return result

    def _resident_mb(self) -> float:
        assert self._process is not None
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE / 1e6
        except OSError:  # not Linux, or just ended
            return 0.0


def _serve(pipe: Connection, module: str, folder: Path, log: Path) -> None:
    """Answer questions until the pipe closes; what libraries print goes to a log."""
    with log.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        faulthandler.enable(file)
        targets = {target.name: target for target in importlib.import_module(module).TARGETS}
        while True:
            try:
                name, seed, number = pipe.recv()
            except EOFError:
                return
            pipe.send(_answer(targets[name], seed, number, folder))


def _answer(target: Target, seed: int | None, number: int | None, folder: Path) -> Result:
    corpus = folder / "corpus" / target.name
    try:
        if seed is None or number is None:
            prepare(target, corpus)
            return Result("read", 0.0, None)
        case = folder / f"case-{os.getpid()}"
        shutil.rmtree(case, ignore_errors=True)
        return run_case(target, write_case(target, corpus, seed, number, case))
    except Exception:  # noqa: BLE001 - told, and counted as a failure
        return Result("failed", 0.0, None, traceback.format_exc())
