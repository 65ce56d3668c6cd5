"""What one input of a run was asked for, of what ``request.stated`` wrote down of the run; loads no encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histofactor.runs.source import Stated


def of_input(request: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What one input of a run was asked for, of what ``stated`` wrote; ``key`` as in ``place.key_of``."""
    rest = {name: value for name, value in request.items() if name != "known"}
    one = known_of(request, key)
    if one is None:
        return rest
    opening = request["opening"] | ({"source_mpp": one.mpp} if one.mpp else {})
    segment = request["segment"] | ({"tissue_mask": str(one.mask)} if one.mask else {})
    return rest | {"opening": opening, "segment": segment}


def known_of(request: Mapping[str, Any], key: str) -> Stated | None:
    """What was said of one input of a run; None where nothing was."""
    known = request.get("known")
    one = known.get(key) if isinstance(known, dict) else None
    return Stated(one["mpp"], one["group"], one["mask"] and Path(one["mask"])) if isinstance(one, dict) else None
