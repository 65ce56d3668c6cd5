"""What the report shows of an input, kept beside its results, so that a later run can show it again."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histofactor.base.digests import read_digested, write_digested
from histofactor.base.names import PREVIEW
from histofactor.export.picture import Maps
from histofactor.export.report import ReportEntry
from histofactor.export.tables import PhenotypeRow
from histofactor.records import SlideInfo
from histofactor.records.urls import as_input


def write_preview(entry: ReportEntry, folder: Path) -> None:
    """Write an entry into the folder of its results; equal entries give equal bytes.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_digested(json.loads(json.dumps(asdict(entry), default=_plain)), folder / PREVIEW)


def read_preview(folder: Path) -> ReportEntry | None:
    """The entry in a folder, or None where there is none that is as it was written."""
    try:
        content = read_digested(folder / PREVIEW)
        slide = content["slide"]
        slide |= {"path": None if slide["path"] is None else as_input(slide["path"])}
        slide |= {name: tuple(slide[name]) for name in ("size", "level_downsamples", "notes", "associated")}
        rows = (row | {"color": None if row["color"] is None else tuple(row["color"])} for row in content["rows"])
        maps = content["maps"]
        maps |= {name: tuple(maps[name]) for name in ("size", "margin_size")}
        maps |= {name: base64.b64decode(maps[name]) for name in ("labels", "margin")}
        patches = {int(label): tuple(map(base64.b64decode, found)) for label, found in content["patches"].items()}
        return ReportEntry(
            **content
            | {
                "slide": SlideInfo(**slide),
                "rows": tuple(PhenotypeRow(**row) for row in rows),
                "image": base64.b64decode(content["image"]),
                "overlay": base64.b64decode(content["overlay"]),
                "maps": Maps(**maps),
                "patches": patches,
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # gone, damaged, or of another version
        return None


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
