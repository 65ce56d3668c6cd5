"""Phenotype tables: how much there is of every phenotype, and how sure that is."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.files import atomic
from histofactor.base.text import csv_plain, csv_safe, csv_text, utf8
from histofactor.concepts.bank.unnamed import number_of
from histofactor.concepts.hints import hints_of, shown_hint
from histofactor.errors import ImageError
from histofactor.records import Color, Segmentation

UNASSIGNED = "no tissue / unassigned"
COLUMNS = (
    "label",
    "name",
    "color",
    "area_px",
    "area_um2",
    "fraction",
    "mean_margin",
    "mean_residual",
    "hint",
    "excluded",
)
_BAND_PX = 2**22  # px measured at a time
_ROUNDED, _ROUNDED_UM2 = 1e-5, 0.02  # by which a share and an area in a file may be off


@dataclass(frozen=True, slots=True)
class PhenotypeRow:
    """One label of one segmentation; None where a number does not exist.

    Attributes:
        label: 0 for what is unassigned, i + 1 for concept i.
        name: the phenotype's name.
        color: its colour; None for label 0.
        area_px: px of the label map.
        area_um2: area in µm²; None if the µm/px is unknown.
        fraction: share of all px with a label ≥ 1 that is no artefact; None for label 0, for an artefact, and where
            nothing is labelled.
        mean_margin: mean of the margin over its px; None for label 0 and for an area of 0.
        mean_residual: mean over its px of the residual of the token each lies in; None likewise.
        hint: what was measured of its concept, in words, see ``concepts.hints``; "" where nothing was.
        marked: whether its concept is marked as an artefact, here or not; files of earlier versions do not tell.
    """

    label: int
    name: str
    color: Color | None
    area_px: int
    area_um2: float | None
    fraction: float | None
    mean_margin: float | None
    mean_residual: float | None
    hint: str = ""
    marked: bool = False

    @property
    def shown_hint(self) -> str:
        """The hint to show beside the name: none where somebody gave that name."""
        return shown_hint(self.name, self.hint)

    @property
    def told_label(self) -> str:
        """``label 5`` where the name has another number, as after a merge by earlier versions; else ""."""
        return f"label {self.label}" if number_of(self.name) not in {None, self.label} else ""

    @property
    def excluded(self) -> bool:
        """Whether it counts in no share: an artefact."""
        return self.marked or (self.label > 0 and self.area_px > 0 and self.fraction is None)


def phenotype_table(segmentation: Segmentation) -> list[PhenotypeRow]:
    """Return one row for label 0 and one for each of the K concepts, present or not, so that tables stack.

    Args:
        segmentation: its labels and margins (height, width) and residuals (h, w).

    Returns:
        K + 1 rows in the order of their labels. The fractions of the labels ≥ 1 that are no artefacts add up to 1.
    """
    label_map = segmentation.label_map
    counts, margins, residuals = _sums(segmentation)
    rows, hints = [], ("", *_hints(segmentation))
    for label, (name, color) in enumerate(zip((UNASSIGNED, *label_map.names), (None, *label_map.colors), strict=True)):
        area = int(counts[label])
        measured = label > 0 and area > 0
        rows.append(
            PhenotypeRow(
                label=label,
                name=name,
                color=color,
                area_px=area,
                area_um2=None if label_map.mpp is None else area * label_map.mpp**2,
                fraction=None,
                mean_margin=float(margins[label] / area) if measured else None,
                mean_residual=float(residuals[label] / area) if measured else None,
                hint=hints[label] if label < len(hints) else "",  # tissue unlike the bank has none
            )
        )
    return with_shares(rows, label_map.excluded)


def _hints(segmentation: Segmentation) -> tuple[str, ...]:
    """The hint of every concept, as its recipe tells of the bank; none where labels are groups of its concepts."""
    bank = segmentation.recipe.get("bank")
    return () if bank is None or "relabel" in segmentation.recipe else hints_of(bank["provenance"], bank["k"])


def with_shares(rows: Sequence[PhenotypeRow], excluded: Collection[int]) -> list[PhenotypeRow]:
    """Rows of one input with their fractions, by their areas.

    Args:
        rows: all labels, 0 among them.
        excluded: labels of artefacts.
    """
    counted = {row.label: row.area_px for row in rows if row.label > 0 and row.label not in excluded}
    whole = sum(counted.values())
    shares = {label: area / whole for label, area in counted.items()} if whole else {}
    return [replace(row, fraction=shares.get(row.label), marked=row.label in excluded) for row in rows]


def by_name(rows: Sequence[PhenotypeRow]) -> list[tuple[PhenotypeRow, ...]]:
    """Rows that are shown and summed together, the largest of each name first; artefacts stay apart from the rest.

    Args:
        rows: of one input; label 0 is left out.
    """
    found: dict[tuple[str, bool], list[PhenotypeRow]] = {}
    for row in rows:
        if row.label:
            found.setdefault((row.name, row.fraction is None), []).append(row)
    return [tuple(sorted(same, key=lambda row: -row.area_px)) for same in found.values()]


def summed(rows: Sequence[PhenotypeRow]) -> PhenotypeRow:
    """Rows of one name as one, which has the label and colour of the first: areas and shares add up, means weighed."""
    area = sum(row.area_px for row in rows)
    um2, shares = ([getattr(row, name) for row in rows] for name in ("area_um2", "fraction"))

    def mean(name: str) -> float | None:
        measured = [(getattr(row, name), row.area_px) for row in rows if getattr(row, name) is not None]
        weight = sum(px for _, px in measured)
        return sum(value * px for value, px in measured) / weight if weight else None

    return replace(
        rows[0],
        area_px=area,
        area_um2=None if None in um2 else sum(um2),
        fraction=None if None in shares else sum(shares),
        mean_margin=mean("mean_margin"),
        mean_residual=mean("mean_residual"),
    )


def write_phenotypes(segmentation: Segmentation, path: str | os.PathLike[str]) -> None:
    """Write ``phenotypes.csv``: the rows of ``phenotype_table`` in UTF-8, empty where a number does not exist.

    ``excluded`` is ``yes`` for an artefact, which counts in no share, else empty.

    Names are written as ``base.text.csv_safe`` says, so that no spreadsheet takes one for a formula.

    Args:
        segmentation: what to measure.
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    write_rows(phenotype_table(segmentation), path)


def write_rows(rows: Sequence[PhenotypeRow], path: str | os.PathLike[str]) -> None:
    """Write rows as ``write_phenotypes`` does.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [COLUMNS, *map(_fields, rows)]
    with atomic(path) as temporary:
        temporary.write_bytes(utf8(csv_text(lines)))


def _fields(row: PhenotypeRow) -> tuple[object, ...]:
    """A row of the file."""
    return (
        row.label,
        csv_safe(row.name),
        "" if row.color is None else hex_color(row.color),
        row.area_px,
        "" if row.area_um2 is None else f"{row.area_um2:.2f}",
        *("" if mean is None else f"{mean:.6f}" for mean in (row.fraction, row.mean_margin, row.mean_residual)),
        row.hint,
        told_excluded(row) or "",
    )


def told_excluded(row: PhenotypeRow) -> str | None:
    """What the column ``excluded`` tells of a row: ``yes`` for an artefact, else None."""
    return "yes" if row.excluded else None


def read_phenotypes(path: str | os.PathLike[str]) -> list[PhenotypeRow]:
    """Read what ``write_phenotypes`` wrote.

    Raises:
        ImageError: the file is missing or damaged.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123 - any path
            return [_row(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        expected = "a table that histofactor wrote"
        raise ImageError(f"cannot read {os.fspath(path)}", expected=expected, got=str(error)) from error


def table_fault(rows: Sequence[PhenotypeRow], k: int) -> str:
    """What is wrong with the rows of one input, as read from its file; "" where they belong together.

    Args:
        rows: as ``read_phenotypes`` returns them.
        k: how many concepts there must be a row for; tissue unlike the bank has one more.
    """
    if [row.label for row in rows] != list(range(len(rows))) or len(rows) <= k:
        return f"{len(rows)} rows for {k} concepts and label 0"
    for row, counted in zip(rows, with_shares(rows, {row.label for row in rows if row.excluded}), strict=True):
        stated, share = (-1.0 if one.fraction is None else one.fraction for one in (row, counted))
        if row.area_px and not abs(stated - share) <= _ROUNDED:  # earlier versions tell no artefact of area 0
            return f"an area of {row.area_px} px and a share of {row.fraction} at label {row.label}"
    largest = max(rows, key=lambda row: row.area_px)
    for row in rows:
        um2, of_largest = (-1.0 if one.area_um2 is None else one.area_um2 for one in (row, largest))
        meant = -1.0 if largest.area_um2 is None else of_largest * row.area_px / max(largest.area_px, 1)
        if not abs(um2 - meant) <= _ROUNDED_UM2:
            return f"areas of {row.area_px} px and {row.area_um2} µm² at label {row.label}"
    return ""


def _row(row: dict[str, str]) -> PhenotypeRow:
    area_um2, fraction, margin, residual = (
        float(row[name]) if row[name] else None for name in ("area_um2", "fraction", "mean_margin", "mean_residual")
    )
    color, name = bytes.fromhex(row["color"].removeprefix("#")), csv_plain(row["name"])
    return PhenotypeRow(
        int(row["label"]), name, (color[0], color[1], color[2]) if color else None, int(row["area_px"]),
        area_um2, fraction, margin, residual, row.get("hint") or "", row.get("excluded") == "yes",
    )  # fmt: skip


def hex_color(color: Color) -> str:
    """Return an 8-bit sRGB colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _sums(segmentation: Segmentation) -> NDArray[np.float64]:
    """Return (3, K + 1): px, and sums of margin and residual over them, of every label; many token rows at a time."""
    labels, tokens = segmentation.label_map.labels, segmentation.tokens
    height, width = labels.shape
    sums = np.zeros((3, len(segmentation.label_map.names) + 1))
    g_rows = max(1, _BAND_PX // (tokens.stride_px * width))
    for g_top in range(0, -(-height // tokens.stride_px), g_rows):
        rows = slice(g_top * tokens.stride_px, (g_top + g_rows) * tokens.stride_px)
        residual = tokens.residual[g_top : g_top + g_rows]
        _add(labels[rows], segmentation.margin[rows], residual, tokens.stride_px, sums)
    return sums


@numba.njit(cache=True, nogil=True, boundscheck=True)
def _add(labels, margin, residual, stride, sums):
    for y in range(labels.shape[0]):
        token_row = residual[y // stride]
        for x in range(labels.shape[1]):
            label = labels[y, x]
            sums[0, label] += 1.0
            sums[1, label] += margin[y, x]
            sums[2, label] += token_row[x // stride]
