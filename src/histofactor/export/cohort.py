"""All inputs of an output folder: one table of their phenotypes, and one light page that links a page for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from histofactor.base.extras import install
from histofactor.base.files import atomic, remove
from histofactor.base.names import COHORT, CONCEPTS_PAGE
from histofactor.base.text import csv_safe, csv_text, utf8
from histofactor.export.report import ReportRun, page_environment
from histofactor.export.scripts import load_script
from histofactor.export.tables import PhenotypeRow, by_name, summed, told_excluded

TEXTS, NUMBERS = ("slide", "label", "name"), ("area_mm2", "share", "mean_margin", "mean_residual")
COLUMNS = (*TEXTS[:1], "k", *TEXTS[1:], *NUMBERS, "excluded")
NO_PARQUET = f"{COHORT} is not written, since pyarrow is not installed: {install('parquet')}"
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
        k: how many concepts it was segmented with; None where it has no results.
    """

    name: str
    status: str
    folder: str
    seconds: float
    error: str
    phenotypes: tuple[PhenotypeRow, ...]
    note: str = ""
    warnings: tuple[str, ...] = ()
    k: int | None = None


def write_cohort(rows: Sequence[SlideRow], path: Path) -> list[Path]:
    """Write ``phenotypes.csv`` of all inputs, and ``.parquet`` beside it: a line for every input and phenotype.

    Parquet is written where pyarrow is there, which the extra ``parquet`` brings. Where it is not, a Parquet file of
    before is deleted: it would tell something else than the table. Who calls tells ``NO_PARQUET`` then.

    Labels of one name are one phenotype: their areas and shares add up, and ``label`` tells them all, as ``3+4``. ``k``
    is what the input was segmented with: phenotypes of different K do not compare. ``excluded`` is ``yes`` for
    artefacts, which count in no share. Where nothing is to be told the field is empty in the one, null in the other.
    Names in the Parquet file are as they are, with what UTF-8 cannot hold escaped (``base.text.utf8``); those in the
    CSV are kept from being formulas too.

    Args:
        rows: the inputs.
        path: of the CSV; the Parquet file has its stem.

    Returns:
        The files that were written.

    Raises:
        OutputError: a file cannot be written.
    """
    found = [line for row in rows for line in _lines(row)]
    told = [[_csv_field(line[column]) for column in COLUMNS] for line in found]
    with atomic(path) as temporary:
        temporary.write_bytes(utf8(csv_text([COLUMNS, *told])))
    typed = path.with_suffix(".parquet")
    if find_spec("pyarrow") is None:
        remove(typed, inside=path.parent)
        return [path]
    _write_parquet(found, typed)
    return [path, typed]


def _write_parquet(lines: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    kinds = dict.fromkeys(TEXTS, pyarrow.string()) | {"k": pyarrow.int32()} | dict.fromkeys(NUMBERS, pyarrow.float64())
    kinds["excluded"] = pyarrow.string()
    schema = pyarrow.schema([(column, kinds[column]) for column in COLUMNS])
    typed = [
        {name: utf8(one).decode() if isinstance(one, str) else one for name, one in line.items()} for line in lines
    ]
    with atomic(path) as temporary:
        parquet.write_table(pyarrow.Table.from_pylist(typed, schema), temporary)


def _lines(row: SlideRow) -> Iterator[dict[str, Any]]:
    """What the tables tell of one input: a line for every phenotype, by column."""
    for same in by_name(row.phenotypes):
        one, labels = summed(same), sorted(phenotype.label for phenotype in same)
        area = None if one.area_um2 is None else one.area_um2 / 1e6
        measures = (area, one.fraction, one.mean_margin, one.mean_residual)
        texts = {
            "slide": row.folder,
            "k": row.k,
            "label": "+".join(map(str, labels)),
            "name": one.name,
            "excluded": told_excluded(one),
        }
        yield texts | dict(zip(NUMBERS, measures, strict=True))


def _csv_field(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else csv_safe(str(value))


def write_study(rows: Sequence[SlideRow], runs: Sequence[ReportRun], path: str | os.PathLike[str]) -> None:
    """Write ``report.html``: a line for every input with its largest phenotypes, linking its own page.

    The page of the study's concepts is linked where it lies beside it.

    The page loads nothing but the small previews beside it, as they come into view, and runs one script, which sorts.

    Args:
        rows: the inputs, in the order shown.
        runs: all of them, the newest last.
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
        rows=rows, run=runs[-1], runs=runs, counts=counts, concepts=concepts, script=load_script("study.js"),
        mixed=sum(bool(row.note) for row in rows), warned=sum(bool(row.warnings) for row in rows),
    )  # fmt: skip
    with atomic(path) as temporary, temporary.open("wb") as file:
        page.dump(file, encoding="utf-8")


def _largest(row: SlideRow) -> str:
    """The largest phenotypes of an input, and their shares."""
    present = [phenotype for phenotype in map(summed, by_name(row.phenotypes)) if phenotype.fraction]
    first = sorted(present, key=lambda phenotype: -(phenotype.fraction or 0))[:_LARGEST]
    return " · ".join(f"{_named(phenotype)}: {100 * (phenotype.fraction or 0):.0f} %" for phenotype in first)


def _named(phenotype: PhenotypeRow) -> str:
    """The name of a phenotype, and its label where the name has another number."""
    told = f" ({phenotype.told_label})" if phenotype.told_label else ""
    return phenotype.name[:_NAMED_PX] + told
