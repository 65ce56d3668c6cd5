"""Files that tell when a byte of them is not as it was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histofactor.base.files import write_json


class DamagedError(ValueError):
    """A file is not as it was written; says which, and what is wrong with it."""


def path_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder, as 64 hexadecimal digits.

    Raises:
        OSError: it is not there or cannot be read.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if not file.is_dir())
        return content_digest({file.relative_to(path).as_posix(): path_digest(file) for file in files})
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(path: Path, digest: str) -> None:
    """Make sure that a file or folder has the content that had this digest.

    Raises:
        DamagedError: it has another, or cannot be read.
    """
    try:
        found = path_digest(path)
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror or error})") from error
    if found != digest:
        raise DamagedError(f"{path.name} is not as it was written")


def write_digested(content: Mapping[str, Any], path: Path) -> None:
    """Write a JSON object with its own digest, as ``sha256`` in it.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_json({**content, "sha256": content_digest(content)}, path)


def read_digested(path: Path) -> dict[str, Any]:
    """Read what ``write_digested`` wrote, without the digest.

    Raises:
        DamagedError: it is not as it was written, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("sha256")
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path.name} is not as it was written") from error
    if not isinstance(content, dict) or digest != _digest(content):
        raise DamagedError(f"{path.name} is not as it was written")
    return content


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of what JSON says, whatever its layout and the order of its keys."""
    return _digest(json.loads(json.dumps(content)))  # keys are text from here on, and so sort as they do once read


def _digest(read: Any) -> str:
    """SHA-256 of what was read from JSON."""
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
