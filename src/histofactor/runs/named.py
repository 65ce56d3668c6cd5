"""Names of what is exported: those of its concepts, and what is to be told where a table or the study has others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from histofactor.base.names import TABLE
from histofactor.base.text import markup_text
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import BankError
from histofactor.export.labels import LabelLegend
from histofactor.export.mapped import Mapped
from histofactor.export.tables import PhenotypeRow, hex_color, read_phenotypes
from histofactor.records import Color
from histofactor.runs.study import BANK, open_study, read_journal

STUDY_CHANGED = (
    "the concepts of the study were changed since: `histofactor relabel` brings its results up to date, "
    "then export them again"
)


def named(rows: Sequence[PhenotypeRow], legend: LabelLegend) -> list[PhenotypeRow]:
    """Rows of a table, which anyone may edit, with the names and colours of the label map, which its seal vouches for.

    Args:
        rows: as ``read_phenotypes`` returns them, a row for each label of the legend.
        legend: of the label map.

    Raises:
        KeyError: the legend lacks a label.
    """
    found = []
    for row in rows:
        name, color = legend.names[row.label], legend.colors.get(row.label)
        found.append(row if _is_called(row, name, color) else replace(row, name=name, color=color))
    return found


def _is_called(row: PhenotypeRow, name: str, color: Color | None) -> bool:
    return _told(row.name) == _told(name) and row.color == color


def _told(name: str) -> str:
    """A name as a label map holds it: XML may change blanks and line ends."""
    return " ".join(markup_text(name).split())


def names_apart(folder: Path, one: Mapped) -> Iterator[str]:
    """What is to be told of names that are elsewhere not what they are in an export, one sentence each.

    Args:
        folder: of the results of one input.
        one: what is exported.

    Raises:
        ImageError: their table cannot be read.
    """
    for row, known in zip(read_phenotypes(folder / TABLE), one.rows, strict=True):
        if not _is_called(row, known.name, known.color):
            others = f"{_shown(row)} in {TABLE} and {_shown(known)} in the label map, which is exported"
            yield f"label {row.label} is {others}: `histofactor concepts name` gives a name everywhere"
    bank = folder.parent / BANK
    if "relabel" in one.made_by or not bank.exists():
        return
    try:
        if _is_behind(bank, one):
            yield STUDY_CHANGED
    except BankError as error:
        yield f"whether its names are still those of the study is not known: {error.what}"


def _shown(row: PhenotypeRow) -> str:
    return f"{row.name!r} ({'no colour' if row.color is None else hex_color(row.color)})"


def _is_behind(path: Path, one: Mapped) -> bool:
    """Whether the study that results are of has other concepts, names, colours or artefacts by now.

    Raises:
        BankError: as ``open_study``.
    """
    study = open_study(path)
    bank, of = in_one_color(study.file.banks[study.k]), one.made_by["bank"]["sha256"]
    if of != bank_hash(bank):
        return any(of in entry["vectors"].values() for entry in read_journal(path))  # else it is of another bank
    rows = one.phenotypes[: study.k]
    excluded = {concept + 1 for concept in bank.excluded}
    same = all(_is_called(*one) for one in zip(rows, bank.names, bank.colors, strict=True))
    return not same or {*one.label_map.excluded} != excluded
