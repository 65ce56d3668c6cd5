"""What the report shows of an input, kept beside its results, so that a later run can show it again."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from histofactor.base.files import atomic
from histofactor.export.report import ReportEntry
from histofactor.export.tables import PhenotypeRow
from histofactor.records import SlideInfo

NAME = ".preview.json"


def write_preview(entry: ReportEntry, folder: Path) -> None:
    """Write an entry into the folder of its results; how long it took is left out, so equal results give equal bytes.

    Raises:
        OutputError: the folder cannot be written.
    """
    content = asdict(replace(entry, seconds=None))
    with atomic(folder / NAME) as temporary:
        text = json.dumps(content, default=_plain, ensure_ascii=False)
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))  # file names need not be Unicode


def read_preview(folder: Path) -> ReportEntry | None:
    """The entry in a folder, or None where there is none that can be read."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        slide = content["slide"]
        slide |= {"path": None if slide["path"] is None else Path(slide["path"])}
        slide |= {name: tuple(slide[name]) for name in ("size", "level_downsamples", "notes")}
        rows = (row | {"color": None if row["color"] is None else tuple(row["color"])} for row in content["rows"])
        patches = {int(label): tuple(map(base64.b64decode, found)) for label, found in content["patches"].items()}
        return ReportEntry(
            **content
            | {
                "slide": SlideInfo(**slide),
                "rows": tuple(PhenotypeRow(**row) for row in rows),
                "image": base64.b64decode(content["image"]),
                "overlay": base64.b64decode(content["overlay"]),
                "patches": patches,
                "notes": tuple(content["notes"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError):  # gone, or of another version: only the report is the poorer
        return None


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
