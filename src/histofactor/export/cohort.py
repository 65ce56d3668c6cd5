"""All inputs of an output folder: one table of their phenotypes, and one light page that links a page for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from histofactor.base.files import atomic
from histofactor.base.text import csv_safe, csv_text, utf8
from histofactor.export.names import CONCEPTS_PAGE
from histofactor.export.report import ReportRun, page_environment
from histofactor.export.scripts import load_script
from histofactor.export.tables import PhenotypeRow

COLUMNS = ("slide", "label", "name", "area_mm2", "share", "mean_margin", "mean_residual")
_LARGEST = 3  # phenotypes named for each input
_NAMED_PX = 24  # letters of their names


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One input among many.

    Attributes:
        name: what it is called.
        status: ``done``, ``damaged``, ``failed`` or ``waiting``.
        folder: where its results lie, seen from the output folder; "" where it has none.
        seconds: how long it took.
        error: one message, or "".
        phenotypes: its phenotypes, label 0 first; none where it has no results.
        note: what else is to be told of it, or "".
        warnings: what may make its map meaningless, one sentence each.
    """

    name: str
    status: str
    folder: str
    seconds: float
    error: str
    phenotypes: tuple[PhenotypeRow, ...]
    note: str = ""
    warnings: tuple[str, ...] = ()


def write_cohort(rows: Sequence[SlideRow], path: str | os.PathLike[str]) -> None:
    """Write ``phenotypes.csv`` of all inputs: a line for every input and phenotype, empty where no number exists.

    Raises:
        OutputError: the file cannot be written.
    """
    lines: list[tuple[object, ...]] = [COLUMNS]
    for row in rows:
        for phenotype in row.phenotypes:
            if phenotype.label == 0:
                continue
            area = None if phenotype.area_um2 is None else phenotype.area_um2 / 1e6
            measures = (area, phenotype.fraction, phenotype.mean_margin, phenotype.mean_residual)
            numbers = ("" if measure is None else f"{measure:.6f}" for measure in measures)
            lines.append((csv_safe(row.folder), phenotype.label, csv_safe(phenotype.name), *numbers))
    with atomic(path) as temporary:
        temporary.write_bytes(utf8(csv_text(lines)))


def write_study(rows: Sequence[SlideRow], run: ReportRun, path: str | os.PathLike[str]) -> None:
    """Write ``report.html``: a line for every input with its largest phenotypes, linking its own page.

    The page of the study's concepts is linked where it lies beside it.

    The page loads nothing but the small previews beside it, as they come into view, and runs one script, which sorts.

    Args:
        rows: the inputs, in the order shown.
        run: the newest run.
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    environment = page_environment()
    environment.filters["largest"] = _largest
    source = resources.files("histofactor.export").joinpath("study.html.jinja").read_text(encoding="utf-8")
    counts = Counter(row.status for row in rows)
    concepts = CONCEPTS_PAGE if Path(path).with_name(CONCEPTS_PAGE).exists() else None
    page = environment.from_string(source).stream(
        rows=rows, run=run, counts=counts, concepts=concepts, script=load_script("study.js"),
        mixed=sum(bool(row.note) for row in rows), warned=sum(bool(row.warnings) for row in rows),
    )  # fmt: skip
    with atomic(path) as temporary, temporary.open("wb") as file:
        page.dump(file, encoding="utf-8")


def _largest(row: SlideRow) -> str:
    """The largest phenotypes of an input, and their shares."""
    present = [phenotype for phenotype in row.phenotypes if phenotype.label and phenotype.fraction]
    first = sorted(present, key=lambda phenotype: -(phenotype.fraction or 0))[:_LARGEST]
    return ", ".join(f"{phenotype.name[:_NAMED_PX]} {100 * (phenotype.fraction or 0):.0f} %" for phenotype in first)
