"""``Apply``: results derived again in a process of their own, watched and perhaps cancelled."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histofactor.errors import HistofactorError, OptionError
from histofactor.runs.derive import derive
from histofactor.runs.staging import restore
from histofactor.viewer.origin import error_parts

BOUND = "bound"  # what tells a worker to end with the server
_PATIENCE_S = 20.0  # for a slide to be finished after the wish to stop


@dataclass(slots=True, eq=False)
class Applying:
    """Work on a study that goes on in the background; there is one at a time.

    Args:
        out: the output folder.
    """

    out: Path
    _process: subprocess.Popen[str] | None = None
    _watcher: threading.Thread | None = None
    _told: dict[str, Any] = field(default_factory=lambda: {"state": "idle"})
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin.

        Raises:
            OptionError: it has begun already.
        """
        with self._lock:
            if self._process is not None:
                raise OptionError("the changes are being applied already")
            command = [sys.executable, "-m", "histofactor.viewer.worker", str(self.out), BOUND]
            self._told = {
                "state": "running",
                "done": 0,
                "total": 0,
                "on": 0,
                "at": "",
                "stage": "getting ready",
                "outcomes": [],
                "encode": [],
                "notes": [],
                "command": f"histofactor relabel {shlex.quote(str(self.out))}",
            }
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._watcher = threading.Thread(target=self._watch, args=(self._process,), daemon=True)
            self._watcher.start()

    def cancel(self) -> None:
        """Stop after the slide that is at work, or within it where that takes long; without a word if nothing runs."""
        with self._lock:
            process = self._process
            if process is None:
                return
            self._told["state"] = "stopping"
        process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        killer = threading.Timer(_PATIENCE_S, process.kill)
        killer.daemon = True
        killer.start()

    def told(self) -> Mapping[str, Any]:
        """How far it is, JSON types."""
        with self._lock:
            return {**self._told, "outcomes": list(self._told.get("outcomes", ()))}

    def close(self) -> None:
        """Stop, and wait until nothing is written any more."""
        watcher = self._watcher
        self.cancel()
        if watcher is not None:
            watcher.join()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """Follow what the process tells, to its end."""
        errors: list[str] = []
        drain = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
        with process:
            drain.start()
            for line in process.stdout or ():
                self._take(json.loads(line))
            code = process.wait()
            drain.join()
        fault = None if code in (0, 1) else self._derive()
        with self._lock:
            self._process = None
            stopped = self._told["state"] == "stopping" or self._told.get("cancelled", False)
            self._told["state"] = "cancelled" if stopped and code else "done" if code in (0, 1) else "failed"
            if self._told["state"] == "failed" and "error" not in self._told:
                self._told["error"] = {"what": "the changes could not be applied", "got": "".join(errors[-3:])[-500:]}
            if fault is not None:
                self._told.setdefault("error", fault)

    def _derive(self) -> dict[str, str] | None:
        """Derive what tells of all slides, as the process may not have come to it; returns why that failed."""
        try:
            restore(self.out)
            derive(self.out)
        except HistofactorError as error:
            return error_parts(error)
        return None

    def _take(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            for name, value in message.items():
                if name == "outcome":
                    self._told["outcomes"].append(value)
                    self._told["done"] = len(self._told["outcomes"])
                elif name == "note":
                    self._told["notes"].append(value)
                else:
                    self._told[name] = value
