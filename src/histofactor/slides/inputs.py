"""What the user names on the command line, as a list of slides."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from histofactor.base.text import natural
from histofactor.errors import ImageError
from histofactor.records.urls import Input, Url, as_input
from histofactor.slides.own_output import holds_results, is_own_output
from histofactor.slides.remote.listing import find_remote
from histofactor.slides.slide_parts import IMAGE_EXTENSIONS, PART_EXTENSIONS, is_features, is_image, slides_of_parts

_WILDCARD = re.compile(r"[*?[]")
_TOLD = 3  # names of a kind
OWN = "of histofactor's own results"
_HIDDEN, _OTHER, _AGAIN = "hidden", "not named like images", "reached before by another link"
_TWICE = "reached by several paths, and worked once"
_CLOSED, _FOLDER = "that may not be listed", "folders that a glob names: name them, or use **"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was come across and not taken for an input.

    Attributes:
        kinds: why, and the files and folders for which it is so.
    """

    kinds: dict[str, list[PurePath]] = field(default_factory=dict)

    def add(self, kind: str, path: PurePath) -> None:
        """Note one more."""
        self.kinds.setdefault(kind, []).append(path)

    def note(self) -> str:
        """What was passed over by kinds, with a few names; "" where nothing was."""
        return "; ".join(f"{len(paths)} {kind} ({_few(paths)})" for kind, paths in self.kinds.items())


def find_inputs(patterns: Sequence[str | Input], *, deep: bool = True) -> list[Input]:
    """List the slides and images that files, folders and globs name, in order and each once.

    As ``group_inputs``, without the other files of each slide and without what was passed over.

    Raises:
        ImageError: a folder or a glob holds no image, or a folder may not be read.
    """
    return list(group_inputs(patterns, deep=deep))


def group_inputs(
    patterns: Sequence[str | Input], passed: PassedOver | None = None, *, deep: bool = True
) -> dict[Input, tuple[Path, ...]]:
    """List the slides and images that files, folders and globs name, with what else was named of each.

    A folder stands for the images in it and in the folders below, sorted naturally (``s2`` before ``s10``); hidden ones
    and what histofactor itself wrote are left out. The folder that belongs to a MIRAX slide stands for
    that slide. A file that is named but missing stays in the list, as does a link to nowhere: whoever opens it reports
    it, and the other inputs go on. A file that is only a part of a slide (a level of a DICOM series, the map of a VMS
    slide) stands for the slide, whichever of its files come first.

    Args:
        patterns: files, folders and globs (``**`` crosses folders), and URLs of such, where a folder ends in ``/``.
        passed: told what folders and globs hold that is no input.
        deep: whether folders below those that are named are entered.

    Returns:
        For each slide, the other files of it that were named or listed.

    Raises:
        ImageError: a folder or a glob holds no image, or a folder that is named may not be read.
        OptionError: nothing reads the store of a URL, or what does is not installed.
    """
    passed = PassedOver() if passed is None else passed
    slides: dict[Path, dict[str, str]] = {}  # folder → name of a part → name of its slide
    named: dict[str, Input] = {}  # real path of a slide → path as named
    parts: dict[str, dict[str, Path]] = {}  # the same → real path of another file of it → path as named
    for pattern in map(as_input, patterns):
        if isinstance(pattern, Url):
            named |= {str(url): url for url in find_remote(pattern, passed.add) if str(url) not in named}
            continue
        for path in _expand(pattern, passed, deep):
            slide = path
            if path.suffix.lower() in PART_EXTENSIONS:
                if path.parent not in slides:
                    slides[path.parent] = slides_of_parts(path.parent)
                slide = path.with_name(slides[path.parent].get(path.name, path.name))
            real = _real(slide)
            before = named.setdefault(real, slide)
            if slide == path and os.path.abspath(str(before)) != os.path.abspath(slide):  # noqa: PTH100 - links stay
                passed.add(_TWICE, slide)
            if slide != path:
                parts.setdefault(real, {}).setdefault(_real(path), path)
    return {path: tuple(parts.get(real, {}).values()) for real, path in named.items()}


def grouping_notes(groups: Mapping[Input, Sequence[Path]]) -> list[str]:
    """Say which files were not taken for inputs of their own, and which are results, a sentence for each slide.

    Args:
        groups: from ``group_inputs``.
    """
    folders = {slide.parent for slide in groups if isinstance(slide, Path)}
    notes, own = [], {folder for folder in folders if is_own_output(folder)}
    for slide, parts in groups.items():
        if parts:
            files = ", ".join(part.name for part in parts)
            notes.append(f"{slide} is one slide with {len(parts)} more of the files named, read together: {files}")
        if slide.parent in own:
            notes.append(f"{slide} lies among results of histofactor, and is taken for an input since it was named")
    return notes


def folder_note(inputs: Sequence[Input]) -> str:
    """How many inputs lie in which folder, the fullest first; "" where all lie in one."""
    counts = Counter(path.parent for path in inputs)
    if len(counts) < 2:
        return ""
    told = ", ".join(f"{n} in {folder}" for folder, n in counts.most_common(_TOLD))
    more = f", and {len(counts) - _TOLD} folders more" if len(counts) > _TOLD else ""
    return f"{len(inputs)} inputs in {len(counts)} folders: {told}{more}"


def _few(paths: Sequence[PurePath]) -> str:
    names = list(dict.fromkeys(path.name for path in paths))
    return ", ".join(names[:_TOLD]) + (", …" if len(names) > _TOLD else "")


def _expand(path: Path, passed: PassedOver, deep: bool) -> list[Path]:
    here = PassedOver()
    if is_features(path):
        return [path]
    if os.path.isdir(path):  # noqa: PTH112 - False, not an error, where a name is too long
        files = list(_images_below(path, here, deep))
        kind = "folder"
        index = f"{path}.mrxs"
        if not files and os.path.isfile(index):  # noqa: PTH113 - as above
            return [Path(index)]
    elif _WILDCARD.search(str(path)) and not os.path.lexists(path):
        names_extension = bool(path.suffix) and not _WILDCARD.search(path.suffix)
        files = [match for match in _matches(path) if _is_meant(match, names_extension, here)]
        kind = "glob"
    else:
        return [path]
    for why, some in here.kinds.items():
        passed.kinds.setdefault(why, []).extend(some)
    if not files:
        raise ImageError(
            f"no image in the {kind} {path}",
            expected="files that end in " + " ".join(sorted(IMAGE_EXTENSIONS)),
            got=here.note() or "none",
            mend="check the path, or name the files",
        )
    return sorted(files, key=lambda path: natural(str(path)))


def _is_meant(match: Path, names_extension: bool, passed: PassedOver) -> bool:
    """Whether what a glob names is an input; what is not is noted."""
    if is_features(match):
        return True
    if match.is_dir():
        passed.add(_FOLDER, match)
    elif match.name.startswith(".") and not names_extension:
        passed.add(_HIDDEN, match)
    elif is_own_output(match.parent):
        passed.add(OWN, match)
    elif is_image(match) or (names_extension and match.is_file()):
        return True
    else:
        passed.add(_OTHER, match)
    return False


def _images_below(top: Path, passed: PassedOver, deep: bool) -> Iterator[Path]:
    """Images in a folder and in those below, each entered once, wherever links lead."""

    def failed(error: OSError) -> None:
        if error.filename is None or Path(error.filename) != top:
            passed.add(_CLOSED, Path(error.filename or top))
            return
        raise ImageError(
            f"the folder {top} cannot be listed",
            expected="a folder that may be read",
            got=error.strerror or str(error),
            mend="check its permissions, or name the files",
        ) from error

    if is_own_output(top):
        passed.add(OWN, top)
        return
    seen = {os.path.realpath(top)}
    for folder, below, names in os.walk(top, onerror=failed, followlinks=True):
        at, files = Path(folder), {*names}
        if deep:
            yield from (at / name for name in below if is_features(at / name))
            below[:] = [name for name in below if not is_features(at / name)]
        below[:] = [name for name in sorted(below) if deep and _is_to_enter(at / name, files, seen, passed)]
        for name in names:
            if is_image(at / name):
                yield at / name
            else:
                passed.add(_HIDDEN if name.startswith(".") else _OTHER, at / name)


def _is_to_enter(folder: Path, beside: set[str], seen: set[str], passed: PassedOver) -> bool:
    """Whether a folder below is looked into; why not is noted, but for the data of a MIRAX slide."""
    if folder.name.startswith("."):
        passed.add(_HIDDEN, folder)
    elif holds_results(folder):  # what lies above was looked at on the way
        passed.add(OWN, folder)
    elif f"{folder.name}.mrxs" in beside:
        return False
    elif _enter(folder, seen):
        return True
    else:
        passed.add(_AGAIN, folder)
    return False


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


def _real(path: Path) -> str:
    """The path without links, which tells one file from another whatever it is called."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no path at all: whoever opens it says so
        return str(path)
