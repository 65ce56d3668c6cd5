"""A job for workers of Ray whose tasks do what they are called: they go well, end their worker, hang, and so on."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histofactor.errors import EncoderError, OptionError
from histofactor.runs.source import Opening


@dataclass(frozen=True)
class ToyTask:
    path: Path
    how: str = "well"

    @property
    def name(self):
        return str(self.path)


@dataclass(frozen=True)
class ToyJob:
    """Every attempt leaves a line in ``log``."""

    log: Path
    out: Path | None = None
    aided: bool = False

    def start(self, shared):
        shared["starts"] = shared.get("starts", 0) + 1
        if (self.log / "no weights").exists():
            raise EncoderError("the weights are not there", mend="copy them")
        return shared

    def do(self, state, task, watch):
        with (self.log / task.path.name).open("a") as file:
            file.write(f"{os.getpid()}\n")
        tries = len((self.log / task.path.name).read_text().splitlines())
        with watch.clock("work"):
            return getattr(self, f"go_{task.how}")(state, task, watch, tries)

    def go_well(self, state, task, watch, tries):
        return task.path.name, os.getpid(), state["starts"]

    def go_slowly(self, state, task, watch, tries):
        for done in range(4):
            watch.on_window(done + 1, 4)
            time.sleep(0.7)
        return task.path.name, os.getpid(), state["starts"]

    def go_meet(self, state, task, watch, tries):
        """Wait for another worker."""
        (self.log / f"worker {os.getpid()}").touch()
        for _ in range(600):
            if len(list(self.log.glob("worker *"))) > 1:
                return self.go_slowly(state, task, watch, tries)
            time.sleep(0.1)
        raise TimeoutError("nobody came")

    def go_exit(self, state, task, watch, tries):
        print("the last words", file=sys.stderr, flush=True)
        os._exit(13)

    def go_exit_once(self, state, task, watch, tries):
        return self.go_well(state, task, watch, tries) if tries > 1 else os._exit(13)

    def go_lost(self, state, task, watch, tries):
        """Lost with its machine at first, then it ends its worker."""
        return [self.go_slowly, self.go_exit, self.go_well][tries - 1](state, task, watch, tries)

    def go_largely(self, state, task, watch, tries):
        """Much to do, until somebody helps."""
        for done in range(600):
            watch.on_window(done, 6000)
            if (self.log / f"aid {task.path.name}").exists():
                return self.go_well(state, task, watch, tries)
            time.sleep(0.1)
        raise TimeoutError("nobody helped")

    def go_hang(self, state, task, watch, tries):
        time.sleep(1000)

    def go_eat(self, state, task, watch, tries):
        eaten = []
        while True:
            eaten.append(np.ones(10**7))
            time.sleep(0.05)

    def go_wrong(self, state, task, watch, tries):
        raise OptionError("this cannot be done", got="that")

    def go_busy(self, state, task, watch, tries):
        return None if tries < 3 else self.go_well(state, task, watch, tries)

    def go_count(self, state, task, watch, tries):
        import numba
        import torch

        return torch.get_num_threads(), numba.get_num_threads()

    def aid(self, task):
        return ToyTask(task.path.with_name(f"aid {task.path.name}")) if self.aided else None

    def lost(self, task, cause):
        return "lost", cause


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonOpening(Opening):
    """Opens inputs, but for those called poison, which end the process."""

    def open(self, path, source_mpp=None):
        if path.stem == "poison":
            os._exit(13)
        return Opening(source_mpp=self.source_mpp).open(path, source_mpp)
