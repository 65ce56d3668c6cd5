"""``segmentation.json``, the seal of an input's results: written last, it says how they were made and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histofactor.base.digests import path_digest, read_digested, write_digested
from histofactor.base.names import SEAL, SEALED


def write_seal(content: Mapping[str, Any], folder: Path) -> None:
    """Write the seal, with the digests of ``SEALED`` and its own, over results that are on the disk already.

    Args:
        content: how the results were made, JSON types.
        folder: of one input's results.

    Raises:
        OutputError: the folder cannot be written.
    """
    digests = {name: path_digest(folder / name) for name in SEALED if (folder / name).exists()}
    write_digested({**content, "digests": digests}, folder / SEAL)


def read_seal(folder: Path) -> dict[str, Any]:
    """Read the seal: what was given to ``write_seal``, and ``digests`` by name.

    Raises:
        DamagedError: there is none, or it is not as it was written.
    """
    return read_digested(folder / SEAL)
