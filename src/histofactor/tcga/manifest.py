"""Manifests: lists of files to fetch, in the tab-separated format of the Genomic Data Commons.

The first five columns are those of its own manifests, so its own client can fetch the same files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from histofactor.base.files import atomic
from histofactor.errors import OptionError
from histofactor.tcga.gdc import GdcFile

_COLUMNS = ("id", "filename", "md5", "size", "state", "project", "case")
_NEEDED = ("id", "filename", "md5", "size")


def write_manifest(files: Sequence[GdcFile], path: str | Path) -> None:
    """Write a manifest.

    Args:
        files: what to fetch.
        path: the file, by custom ``NAME.tsv``.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(_COLUMNS)
        for file in files:
            writer.writerow([file.file_id, file.name, file.md5, file.size, "released", file.project, file.case])


def read_manifest(path: str | Path) -> list[GdcFile]:
    """Read a manifest, ours or one of the Genomic Data Commons.

    Args:
        path: the file.

    Raises:
        OptionError: it cannot be read, lacks a column, or a row is not as it should be.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, ValueError, csv.Error) as error:
        raise OptionError(f"cannot read the manifest {path}", got=str(error)) from error
    missing = [name for name in _NEEDED if not rows or name not in rows[0]]
    if missing:
        raise OptionError(
            f"{path} is not a manifest",
            expected=f"tab-separated rows with {', '.join(_NEEDED)}",
            got=f"no {', '.join(missing)}" if rows else "no rows",
            mend="write one with: histofactor tcga list",
        )
    files = [_file(path, number, row) for number, row in enumerate(rows, 2)]
    for what, values in (("id", [file.file_id for file in files]), ("filename", [file.name for file in files])):
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise OptionError(f"{path} has two files of the {what} {twice[0]}", mend="delete one of the rows")
    return files


def _file(path: str | Path, number: int, row: dict[str, str]) -> GdcFile:
    """One row; its name must be a plain file name, so that nothing is written outside of the folder."""
    name, md5, size, file_id = (row.get(field) or "" for field in ("filename", "md5", "size", "id"))
    plain = name not in {"", ".", ".."} and not re.search(r'[/\\\0:*?"<>|]', name) and not name.startswith(".")
    checks = {
        "filename": (plain, "a plain file name", name),
        "md5": (re.fullmatch("[0-9a-f]{32}", md5), "32 hexadecimal digits", md5),
        "size": (size.isdecimal() and int(size) > 0, "bytes", size),
        "id": (re.fullmatch("[0-9A-Za-z-]{1,64}", file_id), "letters, digits and dashes", file_id),
    }
    for field, (right, expected, got) in checks.items():
        if not right:
            raise OptionError(f"{path}, row {number}: the {field} is not valid", expected=expected, got=repr(got)[:80])
    return GdcFile(file_id, name, md5, int(size), row.get("project") or "", row.get("case") or "")
