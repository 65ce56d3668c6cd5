"""Where the file of weights is, of a path that may be a folder: a snapshot of the hub, its cache, or any other."""

from __future__ import annotations

import re
from pathlib import Path

from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN = 4  # names in a message


def find_file(path: Path, spec: EncoderSpec) -> Path:
    """The file of weights that a path stands for; links are followed.

    Args:
        path: a file; a folder that holds it; a repository in the hub's cache, or that cache.
        spec: the row of its encoder, which tells how the published file is called.

    Raises:
        EncoderError: a link leads nowhere, or the folder does not tell which file is meant.
    """
    if path.is_symlink() and not path.exists():
        raise _unclear(path, spec, f"a link to {path.readlink()}, which is gone", "fetch the file again")
    if not path.is_dir():
        return path
    name, folder = spec.source.filename, _snapshot(path, spec)
    if name and (folder / name).is_file():
        return folder / name
    found = sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        got = f"{len(found)} files of weights: {_listed(found)}"
        raise _unclear(path, spec, got, "name the file that you mean")
    if parts := [file for file in folder.iterdir() if file.name.endswith(".index.json")]:
        raise _unclear(path, spec, f"an index of parts, {parts[0].name}, without them", "fetch the whole repository")
    held = sorted(folder.iterdir())
    got = f"a folder without weights: {_listed(held)}" if held else "an empty folder"
    raise _unclear(path, spec, got, "name the file, or the folder that it is in")


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
    got = f"{len(there)} snapshots: {_listed(there)}"
    raise _unclear(path, spec, got, "name the folder of the snapshot that you mean")


def _listed(paths: list[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path.name for path in paths[:_SHOWN]) + more


def _unclear(path: Path, spec: EncoderSpec, got: str, mend: str) -> EncoderError:
    wanted = spec.source.filename or "a .safetensors, .bin, .pth or .pt file"
    return EncoderError(f"cannot find the weights of {spec.name} in {path}", expected=wanted, got=got, mend=mend)
