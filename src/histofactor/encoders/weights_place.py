"""Where the file of weights is, of a path that may be a folder: a snapshot of the hub, its cache, or any other."""

from __future__ import annotations

import re
from errno import ELOOP
from pathlib import Path

from histofactor.encoders.weights_kind import ENDINGS
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART = re.compile(r"-\d{5}-of-(?!00001)(\d{5})\.\w+$")  # one file of several, as transformers saves large weights
_INDEX = ".index.json"
_JOIN = "join the parts into one file, as save_pretrained(…, max_shard_size='1TB') of transformers does"
_SHOWN = 4  # names in a message


def find_file(path: Path, spec: EncoderSpec) -> Path:
    """The file of weights that a path stands for; links are followed.

    Args:
        path: a file; a folder that holds it; a repository in the hub's cache, or that cache.
        spec: the row of its encoder, which tells how the published file is called.

    Raises:
        EncoderError: a link leads nowhere, or the folder does not tell which file is meant.
    """
    try:
        return _file_at(path, spec)
    except (OSError, UnicodeDecodeError) as error:
        got = f"{error.strerror if isinstance(error, OSError) else error}"
        raise _unclear(path, spec, got, "name the file itself, by a path that you may read") from error


def _file_at(path: Path, spec: EncoderSpec) -> Path:
    if broken := _broken_link(path):
        raise _unclear(path, spec, broken, "fetch the file again")
    if not path.is_dir():
        if _PART.search(path.name) or path.name.endswith(_INDEX):
            raise _unclear(path, spec, _told([path]), _JOIN)
        return path
    name, folder = spec.source.filename, _snapshot(path, spec)
    if name and (folder / name).is_file():
        return folder / name
    held = sorted(folder.iterdir())
    weights = [file for file in held if file.suffix in ENDINGS]
    found = [file for file in weights if file.is_file()]
    indexes = [] if found else [file for file in held if file.name.endswith(_INDEX)]
    if parts := [file for file in found if _PART.search(file.name)] or indexes:
        mend = _JOIN if _total(parts[0]) == len(parts) else f"fetch the whole repository, and {_JOIN}"
        raise _unclear(path, spec, _told(parts), mend)
    if len(found) == 1:
        return found[0]
    if found:
        got = f"{len(found)} files of weights: {_listed(found)}"
        raise _unclear(path, spec, got, "name the file that you mean")
    if gone := [f"{file.name}, {told}" for file in weights if (told := _broken_link(file))]:
        raise _unclear(path, spec, gone[0], "fetch the file again")
    if others := [file.name for file in weights if not file.is_dir()]:
        raise _unclear(path, spec, f"{others[0]}, which is no plain file", "give the path of the file of weights")
    got = f"a folder without weights: {_listed(held)}" if held else "an empty folder"
    raise _unclear(path, spec, got, "name the file, or the folder that it is in")


def _broken_link(path: Path) -> str:
    """Where a link leads that leads to nothing, or ""."""
    if not path.is_symlink() or path.exists():
        return ""
    try:
        path.stat()
    except OSError as error:
        if error.errno == ELOOP:
            return "a link that leads back to itself"
    return f"a link to {path.readlink()}, which is gone"


def _told(parts: list[Path]) -> str:
    """What there is of weights in several files."""
    total = _total(parts[0])
    if not total:
        return f"an index of parts, {parts[0].name}, without them"
    return f"{len(parts)} of {total} parts: {_listed(parts)}"


def _total(path: Path) -> int:
    """How many parts there are of what a file is one part of; 0 of an index."""
    found = _PART.search(path.name)
    return int(found[1]) if found else 0


def commit_at(path: Path) -> str | None:
    """The commit of a file in a snapshot of the hub's cache, by the names of its folders; None for a file elsewhere."""
    parts = path.absolute().parts
    places = [place for place, part in enumerate(parts[:-1]) if part == "snapshots"]
    commit = parts[places[-1] + 1] if places else ""
    return commit if _COMMIT.fullmatch(commit) else None


def _snapshot(path: Path, spec: EncoderSpec) -> Path:
    """The folder of files, where a path is the hub's cache or a repository in it; else the path."""
    repository = path / f"models--{spec.source.repository.replace('/', '--')}"
    path = repository if spec.source.repository and repository.is_dir() else path
    snapshots, main = path / "snapshots", path / "refs" / "main"
    if not snapshots.is_dir():
        return path
    newest = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    there = sorted(folder for folder in snapshots.iterdir() if folder.is_dir())
    for commit in filter(None, (spec.source.revision, newest)):
        if snapshots / commit in there:
            return snapshots / commit
    if len(there) == 1:
        return there[0]
    if not there:
        raise _unclear(path, spec, "a repository without snapshots", "fetch it again")
    got = f"{len(there)} snapshots: {_listed(there)}"
    raise _unclear(path, spec, got, "name the folder of the snapshot that you mean")


def _listed(paths: list[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path.name for path in paths[:_SHOWN]) + more


def _unclear(path: Path, spec: EncoderSpec, got: str, mend: str) -> EncoderError:
    wanted = spec.source.filename or "a .safetensors, .bin, .pth or .pt file"
    return EncoderError(f"cannot find the weights of {spec.name} in {path}", expected=wanted, got=got, mend=mend)
