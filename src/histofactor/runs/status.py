"""``status.json`` of one input: what became of it, told beside its results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from histofactor.base.digests import read_digested, write_digested
from histofactor.base.files import check_folder
from histofactor.base.names import STATUS
from histofactor.errors import OutputError
from histofactor.runs.outcome import Outcome
from histofactor.runs.place import Place

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Status:
    """What became of an input, and in which run.

    Attributes:
        outcome: as the run told it.
        run: name of the run in the ledger.
    """

    outcome: Outcome
    run: str


def write_status(outcome: Outcome, place: Place, run: str) -> None:
    """Write ``status.json``; of results that are kept, what the run that made them told stays.

    Raises:
        OutputError: it cannot be written, or the folder of the results is a link that leads elsewhere.
    """
    check_folder(place.results, inside=place.out)
    if outcome.status == "kept":
        before = read_status(place.results)
        if before is not None and not before.outcome.error:
            return
        outcome = Outcome(outcome.input, "done", outcome.folder, notes=outcome.notes)
    write_digested({"format": FORMAT, **asdict(outcome), "run": run}, place.results / STATUS)


def tell_status(outcome: Outcome, told: Outcome, place: Place, run: str) -> Outcome:
    """Write what is told of an outcome as its status; returns the outcome, which has failed where that cannot be."""
    try:
        write_status(told, place, run)
    except OutputError as error:
        return replace(outcome, status="failed", error=outcome.error or str(error))
    return outcome


def read_status(folder: Path) -> Status | None:
    """The status in a folder of results, or None where there is none that can be read."""
    try:
        content: dict[str, Any] = read_digested(folder / STATUS)
        if content["format"] != FORMAT:
            return None
        stated = {field.name: content[field.name] for field in fields(Outcome)}
        return Status(Outcome(**stated | {"notes": tuple(stated["notes"])}), str(content["run"]))
    except (ValueError, KeyError, TypeError):  # none, or damaged: the results say whether they are whole
        return None
