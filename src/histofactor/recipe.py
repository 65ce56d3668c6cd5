"""What a result depends on: one record for its pixels, one for its files, and a hash of each.

Results of an input stay valid as long as both hashes do. Another name, colour or file asked for changes ``outputs``
alone, and files are written again without encoding; how many inputs there are changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from histofactor.errors import ImageError
from histofactor.records import Color

FORMAT = 2  # of the records here; results of another one are made anew
_BLOCK, _BLOCKS = 2**16, 64  # of a file too large to be read whole: how much is read, head and tail among it


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsRecipe:
    """All that decides the labels of one input.

    Attributes:
        version: ``release`` of histofactor.
        path: the input, resolved.
        content: ``fingerprint`` of all its files.
        source_mpp: µm/px that the user states, or None.
        series: image of the file that the user names, or None.
        encoder: what makes features: key, patch, window, number format, repair of tokens; JSON types.
        bank: hash of the concepts, or None.
        method: its name, and how it factorizes; JSON types.
        mpp: µm/px asked for, or None.
        tissue: whether tissue is found, and the ``fingerprint`` of the mask that takes its place, or None.
        windows: number of views, and px by which the layout is moved.
        unlike: residual above which tissue is unlike the bank, or None.
        min_area_um2: smallest piece of the label map, or None.
        borders: of the weights of tokens, see ``masks.borders``.
    """

    version: str
    path: str
    content: str
    source_mpp: float | None
    series: str | None
    encoder: tuple[Any, ...]
    bank: str | None
    method: tuple[Any, ...]
    mpp: float | None
    tissue: tuple[bool, str | None]
    windows: tuple[int, int]
    unlike: float | None
    min_area_um2: float | None = None
    borders: str = "exact"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsRecipe:
    """What is written of one input, beyond its labels.

    Attributes:
        files: names of the files beyond those that are always written.
        names, colors: of the concepts; empty where the input finds its own.
        excluded: concepts that count in no share.
    """

    files: tuple[str, ...]
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    excluded: tuple[int, ...] = ()


def release(version: str) -> str:
    """The release that a version is or leads to: commits between releases leave results valid, see ``FORMAT``.

    Args:
        version: of histofactor, such as ``0.1.0`` or ``0.1.1.dev12+g4d38d84``.
    """
    return re.split(r"\.dev|\+", version)[0]


def digest(recipe: LabelsRecipe | OutputsRecipe) -> str:
    """SHA-256 of a recipe, 64 hexadecimal digits."""
    text = json.dumps([FORMAT, type(recipe).__name__, asdict(recipe)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(path: Path, *others: Path) -> str:
    """SHA-256 of what a file, or a folder of files, holds; with that of others that belong to it.

    A file of up to 4 MiB is read whole. Of a larger one its size, time of change and 64 blocks of 64 KiB count, the
    first and the last among them; of a folder the names in it too.

    Raises:
        ImageError: it cannot be read.
    """
    found = hashlib.sha256()
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            found.update(repr(str(file.relative_to(path))).encode())
            for block in _blocks(file):
                found.update(block)
        for other in others:
            found.update(repr([other.name, fingerprint(other)]).encode())
    except OSError as error:
        what = f"{path} does not exist" if isinstance(error, FileNotFoundError) else f"{path} cannot be read"
        raise ImageError(what, expected="a file", got=error.strerror or str(error), mend="check the path") from error
    return found.hexdigest()


def is_read_whole(path: Path) -> bool:
    """Whether ``fingerprint`` reads all of a file, so that another one tells of another content."""
    return path.is_file() and path.stat().st_size <= _BLOCK * _BLOCKS


def _blocks(path: Path) -> Iterator[bytes]:
    """Size of a file, and its bytes or some of them."""
    with path.open("rb") as file:
        size = path.stat().st_size
        yield str(size).encode()
        if size <= _BLOCK * _BLOCKS:
            yield file.read()
            return
        yield str(path.stat().st_mtime_ns).encode()
        for index in range(_BLOCKS):
            file.seek((size - _BLOCK) * index // (_BLOCKS - 1))
            yield file.read(_BLOCK)
