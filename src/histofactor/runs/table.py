"""A table of inputs: where they lie, their µm/px, their group, and a mask of their tissue."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histofactor.errors import HistofactorError, ImageError, OptionError, ResolutionError
from histofactor.records.urls import Input, Url, as_input, is_url, told
from histofactor.runs.source import Stated, name_sources
from histofactor.slides.inputs import find_inputs
from histofactor.slides.resolution import check_mpp

_TOLD = 10  # rows of which it is told what is wrong
_COLUMNS = ("mpp", "group", "mask")
_PATH = "path"


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as it was read: its path, its header, and of every row the line and the cells."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    key: str  # the column that tells the input
    group: str  # the column of groups


def read_table(
    table: Path,
    inputs: Sequence[Input] = (),
    group: str | None = None,
    on_note: Callable[[str], None] = lambda sentence: None,
) -> dict[Input, Stated]:
    """Read what a CSV says of inputs: of those that are given, or else of those that its column ``path`` names.

    A column ``path`` holds paths relative to the table, or URLs; without it the first column holds names of files, with
    or without suffix. Columns ``mpp``, ``group`` and ``mask`` (relative to the table too) are read where they are
    there; a cell may be empty, but for one of the column of groups that is asked for. Columns are known in any case of
    letters; others are told. An input without a row is worked as if there were no table, unless groups are asked for,
    or there is none of any input.

    Args:
        table: the file, with a header.
        inputs: those of which it tells; none: its rows are the inputs.
        group: the column that holds the groups; default ``group``.
        on_note: called with a sentence on columns that are not read, on inputs without a row, and on groups whose names
            are nearly the same.

    Returns:
        By path, in the order of the inputs or of the rows.

    Raises:
        OptionError: the table cannot be read, lacks a column, does not name an input, or has several rows that cannot
            be used, each told by its line.
        ResolutionError, ImageError: one row has no plausible µm/px, or names a folder that is no single input.
    """
    read = _read(table, group)
    if unread := [name for name in read.header if name not in {read.key, read.group, *_COLUMNS, ""}]:
        on_note(f"columns of {table} that are not read: {', '.join(unread)}")
    if not inputs and read.key != _PATH:
        raise OptionError(
            f"{table} has no column {_PATH!r}, and no inputs are named",
            expected="inputs, or paths of them in the table",
            got=", ".join(read.header),
        )
    named = [(line, cells, _path(read, cells)) for line, cells in read.rows]
    rows = _matched(read, inputs, on_note) if inputs else named
    found: dict[Input, Stated] = {}
    lines: dict[Input, int] = {}
    faults: list[HistofactorError] = []
    for line, cells, path in rows:
        try:
            if not _cell(cells, read.key):
                raise OptionError(f"the {read.key} is empty", expected="where an input lies")
            (one,) = _inputs(path, inputs)
            real = one.resolve()
            if real in lines:
                raise OptionError(
                    f"{told(_cell(cells, read.key))} is there again", expected=f"once, as in line {lines[real]}"
                )
            found[one], lines[real] = _stated(read, cells, group is not None), line
        except HistofactorError as error:
            faults.append(type(error)(f"line {line} of {table}: {error.what}", expected=error.expected, got=error.got))
    if len(faults) > 1:
        listed = "; ".join(str(fault).removeprefix("line ").replace(f" of {table}", "", 1) for fault in faults[:_TOLD])
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        raise OptionError(f"{len(faults)} rows of {table} cannot be used", got=f"in lines {listed}{more}")
    if faults:
        raise faults[0]
    for called in _alike(one.group for one in found.values() if one.group is not None):
        on_note(f"groups of {table} that differ in spaces or capitals alone, and are groups of their own: {called}")
    return found


def _alike(groups: Iterable[str]) -> list[str]:
    """Names that differ in spaces or capitals alone, those that are alike in one text."""
    found: dict[str, list[str]] = {}
    for group in sorted({*groups}):
        found.setdefault("".join(group.casefold().split()), []).append(repr(group))
    return [", ".join(names) for names in found.values() if len(names) > 1]


def _read(table: Path, group: str | None) -> _Table:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=";" if ";" in first and "," not in first else ",")
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, ValueError, csv.Error) as error:
        raise OptionError(f"cannot read the table {table}", expected="a CSV file", got=str(error)) from error
    header = tuple(_known(cell.strip(), group) for cell in lines[0][1]) if lines else ()
    rows = tuple((line, dict(zip(header, cells, strict=False))) for line, cells in lines[1:])
    key = _PATH if _PATH in header else header[0] if header else ""
    others = set(header) - {key}
    mend = "" if group or not rows else "call the column of groups group, or name it: `concepts train --group`"
    if not rows or (group not in others if group else key != _PATH and not others & set(_COLUMNS)):
        raise OptionError(
            f"{table} has no column {group or 'mpp'!r} after the first" if rows else f"{table} has no rows",
            expected=f"file names, then {group}" if group else "columns path, mpp, group and mask, or some of them",
            got=", ".join(header) if rows else "no rows",
            mend=mend,
        )
    return _Table(table, header, rows, key, group or "group")


def _known(column: str, group: str | None) -> str:
    """A column by the name that it is read by, whatever the case of its letters; that of groups is as it was named."""
    plain = column.casefold()
    return plain if column != group and plain in {_PATH, *_COLUMNS} else column


def _matched(
    table: _Table, inputs: Sequence[Input], on_note: Callable[[str], None]
) -> list[tuple[int, Mapping[str, str], Input]]:
    """The row of every input: by its path, or else by what tells it from the others, its name, or its stem."""
    by_path: dict[Input, tuple[int, Mapping[str, str]]] = {}
    by_name: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
    for row in table.rows:
        name = _cell(row[1], table.key)
        by_name.setdefault(name, []).append(row)
        if table.key == _PATH and name:
            by_path[_path(table, row[1]).resolve()] = row
    found, left_out = [], list[str]()
    for path, source in zip(inputs, name_sources(inputs), strict=True):
        at = by_path.get(path.resolve())
        names = (source.name, path.name, path.stem)
        rows = [at] if at else next((by_name[name] for name in names if name in by_name), [])
        if not rows and table.group == "group":
            left_out.append(source.name)
            continue
        if not rows or (table.group != "group" and not _cell(rows[0][1], table.group)):
            raise OptionError(f"{table.path} does not say the {table.group} of {source.name}", mend="add a row for it")
        if len(rows) > 1:
            again = ", ".join(str(line) for line, _ in rows)
            raise OptionError(
                f"{table.path} names {source.name} more than once", expected="one row", got=f"lines {again}"
            )
        found.append((*rows[0], path))
    if inputs and not found:
        raise OptionError(
            f"{table.path} has no row for any of the inputs",
            expected=f"in its column {table.key!r}, names such as {left_out[0]}",
            got=f"names such as {told(_cell(table.rows[0][1], table.key))}",
        )
    if left_out:
        some = ", ".join(left_out[:_TOLD]) + (", …" if len(left_out) > _TOLD else "")
        on_note(f"{table.path} says nothing of {len(left_out)} of {len(inputs)} inputs, worked as without it: {some}")
    return found


def _inputs(path: Input, given: Sequence[Input]) -> list[Input]:
    """The one input that a row is of."""
    found = [path] if given or isinstance(path, Url) or not path.is_dir() else find_inputs([path])
    if len(found) > 1:
        raise ImageError(f"{path} is no single input", expected="one slide a row", got=f"{len(found)} of them")
    return found


def _stated(table: _Table, cells: Mapping[str, str], group_needed: bool) -> Stated:
    name, mask, group = (_cell(cells, column) for column in (table.key, "mask", table.group))
    name = told(name)
    if group_needed and not group:
        raise OptionError(f"no {table.group} of {name}")
    return Stated(_mpp(_cell(cells, "mpp"), name), group or None, table.path.parent / mask if mask else None)


def _path(table: _Table, cells: Mapping[str, str]) -> Input:
    cell = _cell(cells, table.key)
    return as_input(cell) if is_url(cell) else table.path.parent / cell


def _cell(cells: Mapping[str, str], column: str) -> str:
    return cells.get(column, "").strip()


def _mpp(text: str, name: str) -> float | None:
    try:
        mpp = float(text) if text else None
    except ValueError as error:
        raise ResolutionError(f"the µm/px of {name} is no number", expected="for example 0.25", got=text) from error
    if mpp is not None:
        check_mpp(mpp, f"the mpp of {name}")
    return mpp
