"""The process that derives a study's results again: ``python -m histofactor.viewer.worker OUT [bound]``.

It tells what it does in lines of JSON, and ends well when it is interrupted. Where it is ``bound``, its standard input
is a pipe that the server holds: it closes however the server ends, and the worker ends with it. It is a process of its
own since what it needs would stay in the memory of the server.
"""

from __future__ import annotations

import _thread
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from histofactor.errors import HistofactorError
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.relabel_study import relabel_study
from histofactor.viewer.apply import BOUND
from histofactor.viewer.origin import error_parts

_PATIENCE_S = 20.0  # for what is under way to be left in order, once the server is gone


def run(arguments: Sequence[str]) -> int:
    """Work as the command line says; returns the exit code."""
    if BOUND in arguments[1:]:
        threading.Thread(target=_end_with_server, daemon=True).start()
    return main(Path(arguments[0]))


def main(out: Path) -> int:
    """Bring a study up to date with its concepts; returns the exit code."""
    reporter = Reporter(
        on_input=lambda name, index, total: _tell(at=Path(name).name, on=index + 1, total=total),
        on_run=lambda name, inputs: _tell(total=inputs),
        on_stage=lambda name: _tell(stage=name, at=""),
        on_outcome=_tell_outcome,
        on_wait=lambda name: _tell(waits=Path(name).name),
        on_note=lambda sentence: _tell(note=sentence),
    )
    try:
        made = relabel_study(out, arguments=("view",), reporter=reporter)
    except KeyboardInterrupt:
        _tell(cancelled=True)
        return 130
    except HistofactorError as error:
        _tell(error=error_parts(error))
        return 2
    _tell(encode=[[one.path.name, one.why] for one in made.encode], k=made.k)
    return 1 if any(one.status == "failed" for one in made.outcomes) else 0


def _tell_outcome(outcome: Outcome) -> None:
    name = Path(outcome.input).name
    _tell(outcome={"name": name, "status": outcome.status, "error": outcome.error, "notes": list(outcome.notes)})


def _tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _end_with_server() -> None:
    """Wait until the server is gone, then stop as where it is interrupted."""
    while os.read(0, 1):
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # no one reads what is told from here on
        os.dup2(nowhere, stream)
    _thread.interrupt_main()
    time.sleep(_PATIENCE_S)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
