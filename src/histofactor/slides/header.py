"""What a slide's header tells beside geometry: its maker, its objective, and whatever else it states as text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_MAX_PROPERTIES = 500
_MAX_TEXT = 1000  # characters of a value
_MAX_DESCRIPTION = 2**16
_TAGS = {271: "tiff.Make", 272: "tiff.Model", 305: "tiff.Software", 306: "tiff.DateTime", 315: "tiff.Artist"}
_POWER = re.compile(r"\bNominalMagnification\s*+=\s*+\"([^\"]{0,20}+)\"|\bAppMag\s*+=\s*+([0-9.,]{1,20}+)")
_VENDORS = {"Aperio": "aperio", "ImageJ": "imagej", "<?xml": "ome", "<OME": "ome"}


def capped(items: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Properties as text, no more and no longer than a reader can want."""
    kept: dict[str, str] = {}
    for key, value in items:
        if len(kept) == _MAX_PROPERTIES:
            break
        kept[key[:_MAX_TEXT]] = str(value)[:_MAX_TEXT]
    return kept


def objective_of(text: str | None) -> float | None:
    """The magnification of an objective that a header states, or None where it is no positive number."""
    try:
        power = float((text or "").strip().rstrip("xX").replace(",", ".", 1))
    except ValueError:
        return None
    return power if math.isfinite(power) and power > 0 else None


def tiff_header(first: Any, base: Any) -> tuple[str, float | None, Mapping[str, str]]:
    """Read what the first page of a TIFF and the page of an image state.

    Returns:
        The maker, or "" where it is not told; the objective's magnification or None; properties.
    """
    description = str(base.description or first.description)[:_MAX_DESCRIPTION]
    vendor = next((name for start, name in _VENDORS.items() if description.startswith(start)), "")
    if vendor == "ome" and "openmicroscopy" not in description:
        vendor = ""
    fields = [("tiff.ImageDescription", description)]
    fields += [(name, page.tags.valueof(tag)) for tag, name in _TAGS.items() for page in (base,) if tag in page.tags]
    if vendor == "aperio":
        pairs = (part.partition("=") for part in description.split("|")[1:])
        fields += [(f"aperio.{key.strip()}", value.strip()) for key, equals, value in pairs if equals]
    properties = capped(fields)
    power = _POWER.search(description)
    return vendor, objective_of(power[1] or power[2] if power else None), properties
