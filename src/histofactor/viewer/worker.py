"""The process that derives a study's results again: ``python -m histofactor.viewer.worker OUT``.

It tells what it does in lines of JSON, and ends well when it is interrupted. It is a process of its own since what it
needs would stay in the memory of the server.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from histofactor.errors import HistofactorError
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.relabel_study import relabel_study
from histofactor.viewer.slide import error_parts


def main(out: Path) -> int:
    """Bring a study up to date with its concepts; returns the exit code."""
    reporter = Reporter(
        on_input=lambda name, index, total: _tell(at=Path(name).name, done=index, total=total),
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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
