"""The files that tell of all inputs of an output folder, derived by a scan: run.json, tables and the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histofactor.base.files import check_folder, sweep, write_json
from histofactor.base.names import COHORT, PAGE, RUN, TABLE
from histofactor.errors import ImageError
from histofactor.export.cohort import NO_PARQUET, SlideRow, write_cohort, write_study
from histofactor.export.report import ReportRun
from histofactor.export.tables import PhenotypeRow, read_phenotypes, table_fault
from histofactor.records import EncoderKey
from histofactor.runs.ledger import OF_THE_LEDGER, Ledger, scan, shares
from histofactor.runs.made_with import MadeWith, made_with, told_apart
from histofactor.runs.outcome import Observer, Outcome
from histofactor.runs.place import LOCKS, locked
from histofactor.runs.source import shown_names
from histofactor.slides.warnings import is_warning

_OF_A_RUN = ("histofactor", "arguments", "encoder", "method", "k", "concepts", "bank_sha256", "mpp")  # told of each
_INTERRUPTED_S = 4.0  # that deriving may take once a run was interrupted


class _TooLongError(Exception):
    """There was no time to derive the files."""


@contextmanager
def deriving(out: Path, observer: Observer, is_last: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Derive the files once the block has ended, however; after an interruption only if that takes a few seconds.

    Args:
        out: the output folder.
        observer: who is told.
        is_last: whether no other process will do it.

    Raises:
        OptionError, OutputError: as ``derive``.
    """
    until = None
    try:
        yield
    except KeyboardInterrupt:
        until = time.monotonic() + _INTERRUPTED_S
        raise
    finally:
        if is_last():
            _derive_in_time(out, observer, until)
        else:
            observer.reporter.on_note("others are still at work: the last of them writes the report")


def _derive_in_time(out: Path, observer: Observer, until: float | None) -> None:
    """Derive the files, and say so where there is no time for it."""
    observer.reporter.on_stage("writing the report")
    try:
        with observer.clock("report"):
            derive(out, until=until, on_note=observer.reporter.on_note)
    except _TooLongError:
        observer.reporter.on_note(f"the report is as it was before: `histofactor report {out}` derives it again")


def derive(
    out: Path, *, until: float | None = None, on_note: Callable[[str], None] = lambda sentence: None
) -> list[Path]:
    """Write ``run.json``, ``phenotypes.csv``, ``.parquet`` and ``report.html`` of a folder anew; returns their paths.

    Parquet needs the extra of that name, see ``export.cohort``.

    One process does it at a time, so what is written last has seen what all have told before; what one that was killed
    left of them is cleared.

    Args:
        out: the output folder.
        until: when to give up, by ``time.monotonic``; None takes the time that it takes.
        on_note: called with a sentence for each input whose table is damaged, and where Parquet is not written.

    Raises:
        OptionError: no run ever wrote into it.
        OutputError: a file cannot be written.
    """

    def hurry() -> None:
        if until is not None and time.monotonic() > until:
            raise _TooLongError

    targets = [out / name for name in (RUN, TABLE, COHORT, PAGE)]
    check_folder(out / LOCKS, inside=out)
    with locked(out / LOCKS / "derived.lock.json", blocking=until is None, guards=targets) as mine:
        if not mine:
            raise _TooLongError
        sweep(out, {path.name for path in targets})
        ledger = scan(out, hurry)
        newest, rows, names = ledger.runs[-1], [], shown_names(one.input for one in ledger.outcomes)
        for outcome in ledger.outcomes:
            hurry()
            rows.append(_row(out, outcome, names[outcome.input], newest, on_note))
        write_json(_told(ledger), out / RUN)
        hurry()
        tables = write_cohort(rows, out / TABLE)
        hurry()
        write_study(rows, [_report_run(run) for run in ledger.runs], out / PAGE)
    if out / COHORT not in tables:
        on_note(NO_PARQUET)
    return [out / RUN, *tables, out / PAGE]


def _told(ledger: Ledger) -> dict[str, Any]:
    """What ``run.json`` tells."""
    newest = ledger.runs[-1]
    facts = {name: value for name, value in newest.items() if name not in OF_THE_LEDGER}
    if "shards" in newest:
        facts["shards"] = shares(ledger)
    runs = [{name: run[name] for name in ("started", *_OF_A_RUN)} for run in ledger.runs]
    return {**facts, "runs": runs, "inputs": [asdict(outcome) for outcome in ledger.outcomes]}


def _report_run(facts: Mapping[str, Any]) -> ReportRun:
    return ReportRun(
        version=facts["histofactor"],
        encoder=EncoderKey(**facts["encoder"]),
        concepts=facts["concepts"],
        bank_hash=facts["bank_sha256"],
        k=facts["k"],
        method=facts["method"],
        mpp=facts["mpp"],
        command=" ".join(facts["arguments"]),
        versions=facts["versions"],
        started=facts["started"][:16].replace("T", " "),
    )


def _row(out: Path, outcome: Outcome, name: str, newest: Mapping[str, Any], on_note: Callable[[str], None]) -> SlideRow:
    """What a table of all inputs says of one."""
    has_results = outcome.status in {"done", "damaged"}
    made = made_with(out / outcome.folder) if has_results else None
    phenotypes, fault = _phenotypes(out / outcome.folder, made) if has_results else ([], "")
    if fault:
        on_note(f"{name}: {fault}")
    return SlideRow(
        name=name,
        status=outcome.status,
        folder=outcome.folder,
        seconds=outcome.seconds,
        error=outcome.error,
        phenotypes=tuple(phenotypes),
        note=told_apart(made, newest) if has_results else "",
        warnings=tuple(filter(None, (fault, *filter(is_warning, outcome.notes)))),
        k=None if made is None else made.k,
    )


def _phenotypes(folder: Path, made: MadeWith | None) -> tuple[list[PhenotypeRow], str]:
    """The table of an input, and ""; or no rows, and what is wrong with it: nothing where results are gone with it."""
    try:
        rows = read_phenotypes(folder / TABLE)
        fault = "" if made is None else table_fault(rows, made.k)
    except ImageError as error:
        rows, fault = [], "" if made is None else error.got or error.what
    if fault:
        mend = "delete it and segment the input again"
        return [], f"its {TABLE} is damaged or was changed and counts nowhere: {fault}; {mend}"
    return rows, ""
