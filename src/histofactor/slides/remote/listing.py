"""Folders and globs on stores, as a list of inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from histofactor.base.names import RUNS
from histofactor.base.text import natural
from histofactor.errors import ImageError, OptionError
from histofactor.records.urls import Url
from histofactor.slides.own_output import LONGEST, TOLD, places_in
from histofactor.slides.remote.parts import files_in, located_all, opener, read_up_to
from histofactor.slides.remote.store import asked, file_from, main_name, store_of
from histofactor.slides.slide_parts import IMAGE_EXTENSIONS, INDEX_EXTENSIONS, PART_EXTENSIONS, owners_of

_WILDCARD = re.compile(r"[*?[]")
_HTTP_WILDCARD = re.compile(r"[*[]")  # there a question mark begins a query
_FLAT = {"s3", "s3a", "gs", "gcs", "abfs", "az"}  # stores that list all below a folder at once
_DEEPEST = 32  # folders below folders
_DATA = re.compile(r"(.+)\.mrxs", re.IGNORECASE)


def find_remote(url: Url, on_passed: Any) -> list[Url]:
    """The inputs that a URL names, in natural order: itself, those below a folder, or those that match a glob.

    A folder ends in ``/``, or is one in the eyes of the store.

    Args:
        url: of a file, a folder or a glob.
        on_passed: called with why and what, for every file that is no input.

    Raises:
        ImageError: a folder or a glob holds no image, or cannot be listed.
        OptionError: nothing reads such stores.
    """
    fs, path = store_of(url)
    if not url.is_whole:
        return [url]
    kind = _kind(url, fs, path)
    if kind == "file":
        return located_all([url])
    with asked(url):
        try:
            listed = fs.glob(path, detail=True) if kind == "glob" else _below(fs, path)
        except NotImplementedError:
            raise OptionError(f"the store of {url} cannot list", mend="name the files") from None
    listed = {at: info for at, info in listed.items() if info.get("type") != "directory"}
    top = _WILDCARD.split(path, maxsplit=1)[0].rpartition("/")[0] if kind == "glob" else path.rstrip("/")
    name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix
    hidden = kind == "glob" and name.startswith(".")
    loose = kind == "glob" and bool(suffix) and not _WILDCARD.search(suffix)
    with asked(url):
        own = _own_folders(fs, listed if kind == "folder" else _records(listed))
        files = list(_inputs(listed, _Wanted(top, own, loose, hidden), on_passed))
        files = _whole_slides(fs, files)
    if not files:
        raise ImageError(
            f"no image in the {kind} {url}",
            expected="files that end in " + " ".join(sorted(IMAGE_EXTENSIONS)),
            got=f"{len(listed)} files of other names, or of results",
            mend="check the address, or name the files",
        )
    return located_all([_as_input(url, fs, at, listed[at]) for at in files])


def _kind(url: Url, fs: Any, path: str) -> str:
    """Whether a URL names a file, a folder or a glob."""
    is_http = url.address.lower().startswith("http")
    if (_HTTP_WILDCARD if is_http else _WILDCARD).search(url.address.partition("?")[0] if is_http else path):
        return "glob"
    if url.address.endswith("/"):
        return "folder"
    if url.suffix.lower() in IMAGE_EXTENSIONS or is_http:
        return "file"
    with asked(url):
        try:
            return "folder" if fs.isdir(path) else "file"
        except NotImplementedError:
            return "file"


def _below(fs: Any, top: str) -> dict[str, Mapping[str, Any]]:
    """All files of a folder and of those below it; a folder that cannot be listed is an error."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & _FLAT:
        return dict(fs.find(top, detail=True))
    found: dict[str, Mapping[str, Any]] = {}
    folders, seen = [(top, 0)], set[str]()
    while folders:
        folder, depth = folders.pop()
        if folder.rstrip("/") in seen:
            continue
        seen.add(folder.rstrip("/"))
        for info in fs.ls(folder, detail=True):
            if info.get("type") != "directory":
                found[str(info["name"])] = info
            elif depth < _DEEPEST:
                folders.append((str(info["name"]), depth + 1))
    return found


def _records(listed: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Records of results that may lie beside files."""
    folders = {path.rpartition("/")[0] for path in listed}
    return {f"{folder}/{name}": {} for folder in folders for name in TOLD}


def _as_input(url: Url, fs: Any, path: str, info: Mapping[str, Any]) -> Url:
    """A file that was listed; it is not asked for again where the list tells its size and it is the whole slide."""
    address = str(fs.unstrip_protocol(path))
    if scheme := url.address.partition("://")[0]:
        address = f"{scheme}://{address.partition('://')[2]}"
    found = Url(address)
    many = found.suffix.lower() in {".mrxs", ".dcm"} | INDEX_EXTENSIONS
    if many or info.get("size") is None:
        return found
    return Url(address, (file_from({**info, "name": path}, main_name(found)),))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which of the files listed are inputs.

    Attributes:
        top: where the list begins.
        own: folders of results.
        loose: whether names of any suffix are.
        hidden: whether hidden ones are.
    """

    top: str
    own: set[str]
    loose: bool
    hidden: bool


def _inputs(listed: Iterable[str], wanted: _Wanted, on_passed: Any) -> Iterator[str]:
    """Of the files listed those that are inputs, in natural order."""
    listed = sorted(listed, key=natural)
    mirax = {found[1] for path in listed if (found := _DATA.fullmatch(path))}
    for path in listed:
        at = PurePosixPath(path)
        below = path.removeprefix(wanted.top).strip("/").split("/")
        folders = {"/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)}
        if "?" in path:  # the columns of a listing, by which it may be sorted
            continue
        if any(part.startswith(".") for part in below[:-1]) or (at.name.startswith(".") and not wanted.hidden):
            on_passed("hidden", at)
        elif folders & wanted.own:
            on_passed("of histofactor's own results", at)
        elif folders & mirax:
            continue
        elif at.suffix.lower() in IMAGE_EXTENSIONS or wanted.loose:
            yield path
        else:
            on_passed("not named like images", at)


def _own_folders(fs: Any, listed: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Folders that hold the results of one input, as their records say."""
    found = set[str]()
    for path, info in listed.items():
        folder, _, name = path.rpartition("/")
        in_runs = folder.endswith(f"/{RUNS}") and name.endswith(".json")
        if (name not in TOLD and not in_runs) or (info.get("size") or 0) > LONGEST:
            continue
        try:
            content = json.loads(read_up_to(fs, path, LONGEST))
        except (FileNotFoundError, ValueError, RecursionError):  # none, or not ours
            continue
        if in_runs:
            out = folder.removesuffix(f"/{RUNS}")
            found |= {f"{out}/{place}" for place in places_in(content)}
        elif isinstance(content, dict) and TOLD[name] <= content.keys():
            found.add(folder)
    return found


def _whole_slides(fs: Any, files: list[str]) -> list[str]:
    """Files without those that are parts of others."""
    owners: dict[str, dict[str, str]] = {}
    found: dict[str, None] = {}
    for path in files:
        folder, _, name = path.rpartition("/")
        if PurePosixPath(name).suffix.lower() in PART_EXTENSIONS:
            if folder not in owners:
                beside = files_in(fs, folder)
                owners[folder] = owners_of(beside, opener(fs, beside))
            name = owners[folder].get(name, name)
        found.setdefault(f"{folder}/{name}" if folder else name, None)
    return list(found)
