"""What finished results were made with, and whether their labels compare with those of the newest run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histofactor.base.names import SEAL
from histofactor.export.seal import read_seal


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What results were made with.

    Attributes:
        bank: ``bank_hash`` of the concepts.
        k: how many they are.
        method: how they were weighed.
        min_area_um2: below which pieces were merged, or None.
        borders: what they follow, see ``masks.borders``.
    """

    bank: str
    k: int
    method: str
    min_area_um2: float | None = None
    borders: str = "exact"


def made_with(folder: Path, *, checked: bool = True) -> MadeWith | None:
    """What the seal in the folder of an input tells; None where there are no results, or none that tell.

    Args:
        folder: of the input's results.
        checked: make sure that the seal is as it was written; else it is only told, and ten thousand take a second.
    """
    try:
        seal = read_seal(folder) if checked else json.loads((folder / SEAL).read_bytes())
        least = seal.get("min_area_um2")
        least = None if least is None else float(least)
        bank, borders = seal["bank"], str(seal.get("borders", "exact"))
        return MadeWith(str(bank["sha256"]), int(bank["k"]), str(seal["method"]), least, borders)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def told_apart(made: MadeWith | None, newest: Mapping[str, Any]) -> str:
    """What is to be told of results whose labels do not compare with those of the newest run; "" where they do."""
    if made is None:
        return ""
    if newest["bank_sha256"] not in {"", made.bank}:
        return f"with other concepts than the newest run, K = {made.k}"
    if made.method != newest["method"]:
        return f"by method {made.method}, the newest run by {newest['method']}"
    least = newest.get("min_area_um2")
    if made.min_area_um2 != least:
        return f"pieces below {_area(made.min_area_um2)} merged, in the newest run {_area(least)}"
    borders = newest.get("borders", "exact")
    if made.borders != borders:
        return f"with --borders {made.borders}, the newest run with {borders}"
    return ""


def _area(um2: float | None) -> str:
    return "0 µm²" if um2 is None else f"{um2:g} µm²"
