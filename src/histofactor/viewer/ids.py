"""What slides are called in addresses: opaque, and the same on every start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_DIGITS = 12


def slide_id(folder: str) -> str:
    """The id of a slide, 12 hexadecimal digits of a hash of the name of its folder."""
    return hashlib.sha256(b"slide\n" + folder.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]


def by_id(folders: Iterable[str]) -> dict[str, str]:
    """Folder names by the id of each."""
    return {slide_id(folder): folder for folder in folders}
