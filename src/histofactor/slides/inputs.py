"""What the user names on the command line, as a list of files."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from histofactor.errors import ImageError

IMAGE_EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
    | {".btf", ".tf2", ".tf8"}  # large TIFF and OME-TIFF
    | {".bif", ".dcm", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu"}  # scanners
)
_WILDCARD = re.compile(r"[*?[]")


def find_inputs(patterns: Sequence[str | Path]) -> list[Path]:
    """List the files that files, folders and globs name, in order and without duplicates.

    A folder stands for the images directly inside it, sorted naturally (``s2`` before ``s10``). A file that
    is named but missing stays in the list: whoever opens it reports it, and the other inputs go on.

    Args:
        patterns: files, folders and globs (``**`` crosses folders).

    Raises:
        ImageError: a folder or a glob holds no image.
    """
    found: dict[Path, Path] = {}  # resolved path → path as named
    for pattern in patterns:
        for path in _expand(Path(pattern)):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        files = [child for child in path.iterdir() if _is_image(child)]
        kind = "folder"
    elif _WILDCARD.search(str(path)) and not path.exists():
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207 (absolute patterns too)
        names_extension = path.suffix and not _WILDCARD.search(path.suffix)
        files = [match for match in matches if match.is_file() and (names_extension or _is_image(match))]
        kind = "glob"
    else:
        return [path]
    if not files:
        raise ImageError(
            f"no image in the {kind} {path}",
            expected="files that end in " + " ".join(sorted(IMAGE_EXTENSIONS)),
            got="none",
            mend="check the path, or name the files",
        )
    return sorted(files, key=_natural)


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key in which digits count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())  # words at even places, digits at odd ones
    return [(int(part), part) if place % 2 else (-1, part) for place, part in enumerate(parts)]
