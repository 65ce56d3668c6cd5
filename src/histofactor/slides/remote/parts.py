"""The files of one slide on a store; see ``slides.slide_parts``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from histofactor.errors import ImageError
from histofactor.records.urls import StoreFile, Url
from histofactor.slides.remote.store import asked, file_from, look, main_name, safe_name, store_of
from histofactor.slides.slide_parts import IMAGE_EXTENSIONS, INDEX_EXTENSIONS, owners_of, owns_folder

_SIDE_BY_SIDE = 16  # questions to a store
_HEAD_BYTES = 2**16  # read at once where a header is looked at


def located(url: Url) -> Url:
    """An input with its files as the store tells of them; of a slide of many files, all of them.

    Raises:
        ImageError, OptionError: as ``look`` and ``store_of``.
    """
    if url.files:
        return url
    if not url.is_whole:
        raise ImageError(
            f"{url} cannot be asked for",
            expected="the address with its secrets, which are never written down",
            mend="name the input again",
        )
    fs, path = store_of(url)
    with asked(url):
        files, called = _files_of_slide(url, fs, path)
    return Url(url.address, files, called)


def located_all(urls: Sequence[Url]) -> list[Url]:
    """Inputs with their files; those that cannot be had stay as they are, and whoever opens them says why.

    Raises:
        OptionError: as ``store_of``.
    """

    def find(url: Url) -> Url:
        try:
            return located(url)
        except ImageError:
            return url

    if not urls:
        return []
    with ThreadPoolExecutor(min(len(urls), _SIDE_BY_SIDE)) as pool:
        return list(pool.map(find, urls))


def _files_of_slide(url: Url, fs: Any, path: str) -> tuple[tuple[StoreFile, ...], str]:
    """All files that hold a slide, the one that stands for it first; and what it is called where that does not tell.

    Args:
        url: the input.
        fs: its store.
        path: what the store calls it.

    Raises:
        ImageError: it does not exist, or a file has a name that leads elsewhere.
    """
    first, suffix = look(url, fs, path, main_name(url)), url.suffix.lower()
    if suffix == ".mrxs":
        folder = path[: -len(suffix)]
        return (first, *_below(url, fs, folder, url.stem)), ""
    if suffix not in {".dcm"} | INDEX_EXTENSIONS:
        return (first,), ""
    beside = files_in(fs, path.rpartition("/")[0])
    opened = opener(fs, beside)
    owners = owners_of(beside, opened)
    parts = [name for name, owner in sorted(owners.items()) if owner == url.name and name != owner]
    images = [name for name in beside if PurePosixPath(name).suffix.lower() in IMAGE_EXTENSIONS]
    own = suffix == ".dcm" and owns_folder(url.name, images, opened)
    called = PurePosixPath(path).parent.name if own else ""
    return (first, *(look(url, fs, beside[name], safe_name(name, url)) for name in parts)), called


def _below(url: Url, fs: Any, folder: str, name: str) -> list[StoreFile]:
    """All files of a folder and of those below it, by names that begin with another name."""
    try:
        found = fs.find(folder, detail=True)
    except FileNotFoundError:  # whoever opens the slide says what is missing
        return []
    top = folder.rstrip("/") + "/"
    inside = sorted((path, info) for path, info in found.items() if path.startswith(top))
    names = [safe_name(f"{name}/{path.removeprefix(top)}", url) for path, _ in inside]
    return [
        file_from({**info, "name": path}, name) if info.get("size") is not None else look(url, fs, path, name)
        for name, (path, info) in zip(names, inside, strict=True)
    ]


def files_in(fs: Any, folder: str) -> dict[str, str]:
    """Paths of the files of a folder by their names; none where the store cannot list it."""
    try:
        found = fs.ls(folder, detail=True)
    except (FileNotFoundError, NotImplementedError):
        return {}
    paths = [str(info["name"]) for info in found if info.get("type") != "directory" and "?" not in info["name"]]
    return {PurePosixPath(path).name: path for path in paths}


def read_up_to(fs: Any, path: str, most: int) -> bytes:
    """The content of a small file, cut off where it is longer; a store may tell no length, or a wrong one."""
    how = {"block_size": 0} if "http" in fs.protocol else {}
    found = b""
    with fs.open(path, "rb", **how) as file:
        while len(found) < most and (block := file.read(most - len(found))):
            found += block
    return found


def opener(fs: Any, paths: dict[str, str]) -> Callable[[str], BinaryIO]:
    """Opens files by their names, to read little of each."""

    def opened(name: str) -> BinaryIO:
        file: BinaryIO = fs.open(paths[name], "rb", block_size=_HEAD_BYTES)
        return file

    return opened
