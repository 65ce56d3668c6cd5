"""Manifests: lists of files to fetch, in the tab-separated format of the Genomic Data Commons.

The first five columns are those of its own manifests, so its own client can fetch the same files.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from histofactor.base.files import atomic
from histofactor.base.text import csv_plain, csv_safe, csv_text, utf8
from histofactor.errors import OptionError
from histofactor.tcga.gdc import GdcFile, wrong_field

_COLUMNS = ("id", "filename", "md5", "size", "state", "project", "case")
_NEEDED = ("id", "filename", "md5", "size")
_READ = (*_NEEDED, "project", "case")
_MAX_BYTES = 2**26  # a manifest of all of TCGA has some 5 MB


def write_manifest(files: Sequence[GdcFile], path: str | Path) -> None:
    """Write a manifest.

    Args:
        files: what to fetch.
        path: the file, by custom ``NAME.tsv``.

    Raises:
        OutputError: it cannot be written.
    """
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for file in files:
        texts = (file.file_id, file.name, file.md5, str(file.size), "released", file.project, file.case)
        rows.append(tuple(map(csv_safe, texts)))
    with atomic(path) as temporary:
        temporary.write_bytes(utf8(csv_text(rows, "\t")))


def read_manifest(path: str | Path) -> list[GdcFile]:
    """Read a manifest, ours or one of the Genomic Data Commons.

    Args:
        path: the file.

    Raises:
        OptionError: it cannot be read, lacks a column, or a row is not as it should be.
    """
    try:
        if (held := Path(path).stat().st_size) > _MAX_BYTES:
            raise ValueError(f"{held:,} bytes, where {_MAX_BYTES:,} are the most that is read")
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", restkey=""))
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
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise OptionError(f"{path} has two files of the {what} {value}", mend="delete one of the rows")
    return files


def _file(path: str | Path, number: int, row: dict[str, str]) -> GdcFile:
    """One row."""
    file_id, name, md5, size, project, case = (csv_plain(row.get(column) or "") for column in _READ)
    if wrong := wrong_field(file_id, name, md5, size):
        raise OptionError(
            f"{path}, row {number}: the {wrong.field} is not valid", expected=wrong.expected, got=wrong.got
        )
    return GdcFile(file_id, name, md5, int(size), project, case)
