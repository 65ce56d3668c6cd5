"""What the user names on the command line, as a list of slides."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from histofactor.errors import ImageError
from histofactor.slides.slide_parts import IMAGE_EXTENSIONS, PART_EXTENSIONS, is_image, slides_of_parts

_WILDCARD = re.compile(r"[*?[]")


def find_inputs(patterns: Sequence[str | Path]) -> list[Path]:
    """List the slides and images that files, folders and globs name, in order and each once.

    As ``group_inputs``, without the other files of each slide.

    Raises:
        ImageError: a folder or a glob holds no image, or a folder may not be read.
    """
    return list(group_inputs(patterns))


def group_inputs(patterns: Sequence[str | Path]) -> dict[Path, tuple[Path, ...]]:
    """List the slides and images that files, folders and globs name, with what else was named of each.

    A folder stands for the images directly inside it, sorted naturally (``s2`` before ``s10``), and the folder that
    belongs to a MIRAX slide for that slide. A file that is named but missing stays in the list, as does a link to
    nowhere: whoever opens it reports it, and the other inputs go on. A file that is only a part of a slide (a level of
    a DICOM series, the map of a VMS slide) stands for the slide, whichever of its files come first.

    Args:
        patterns: files, folders and globs (``**`` crosses folders).

    Returns:
        For each slide, the other files of it that were named or listed.

    Raises:
        ImageError: a folder or a glob holds no image, or a folder may not be read.
    """
    slides: dict[Path, dict[str, str]] = {}  # folder → name of a part → name of its slide
    named: dict[str, Path] = {}  # real path of a slide → path as named
    parts: dict[str, dict[str, Path]] = {}  # the same → real path of another file of it → path as named
    for pattern in patterns:
        for path in _expand(Path(pattern)):
            slide = path
            if path.suffix.lower() in PART_EXTENSIONS:
                if path.parent not in slides:
                    slides[path.parent] = slides_of_parts(path.parent)
                slide = path.with_name(slides[path.parent].get(path.name, path.name))
            real = _real(slide)
            named.setdefault(real, slide)
            if slide != path:
                parts.setdefault(real, {}).setdefault(_real(path), path)
    return {path: tuple(parts.get(real, {}).values()) for real, path in named.items()}


def grouping_notes(groups: Mapping[Path, Sequence[Path]]) -> list[str]:
    """Say which files were not taken for inputs of their own, a sentence for each slide.

    Args:
        groups: from ``group_inputs``.
    """
    notes = []
    for slide, parts in groups.items():
        if parts:
            files = ", ".join(part.name for part in parts)
            notes.append(f"{slide} is one slide with {len(parts)} more of the files named, read together: {files}")
    return notes


def _expand(path: Path) -> list[Path]:
    if os.path.isdir(path):  # noqa: PTH112 - False, not an error, where a name is too long
        files = _images_in(path)
        kind = "folder"
        index = f"{path}.mrxs"
        if not files and os.path.isfile(index):  # noqa: PTH113 - as above
            return [Path(index)]
    elif _WILDCARD.search(str(path)) and not os.path.lexists(path):
        names_extension = path.suffix and not _WILDCARD.search(path.suffix)
        files = [match for match in _matches(path) if is_image(match) or (names_extension and match.is_file())]
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


def _matches(pattern: Path) -> Iterator[Path]:
    """Files and folders that a glob names; ``**`` enters every folder once, wherever links lead, but no hidden one."""
    if "**" not in pattern.parts:
        yield from map(Path, glob.glob(str(pattern)))  # noqa: PTH207 (absolute patterns too)
        return
    at = pattern.parts.index("**")
    rest = Path(*pattern.parts[at + 1 :]) if pattern.parts[at + 1 :] else Path("*")
    seen: set[str] = set()
    for top in _matches(Path(*pattern.parts[:at])) if at else [Path()]:
        for folder, below, _ in os.walk(top, followlinks=True):
            seen.add(os.path.realpath(folder))
            below[:] = [name for name in below if not name.startswith(".") and _enter(Path(folder, name), seen)]
            yield from _matches(Path(glob.escape(folder)) / rest)


def _enter(folder: Path, seen: set[str]) -> bool:
    """Whether a folder is new; it is not from then on."""
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new


def _images_in(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if is_image(child)]
    except OSError as error:
        raise ImageError(
            f"the folder {folder} cannot be listed",
            expected="a folder that may be read",
            got=error.strerror or str(error),
            mend="check its permissions, or name the files",
        ) from error


def _real(path: Path) -> str:
    """The path without links, which tells one file from another whatever it is called."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no path at all: whoever opens it says so
        return str(path)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key in which digits count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())  # words at even places, digits at odd ones
    return [(int(part), part) if place % 2 else (-1, part) for place, part in enumerate(parts)]
