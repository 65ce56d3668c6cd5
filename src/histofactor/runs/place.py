"""One input's place in the output folder: what it is called, who works on it, what is finished and still valid."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from histofactor.base.digests import DamagedError
from histofactor.base.fences import fenced
from histofactor.base.files import check_folder, remove
from histofactor.base.lease import clear_folders, take
from histofactor.base.lease_state import Holder, look
from histofactor.base.names import SEAL, WRITTEN
from histofactor.errors import LeaseLost
from histofactor.export.seal import read_seal as sealed_in
from histofactor.export.seal import write_seal
from histofactor.recipe import FORMAT
from histofactor.records.urls import Input
from histofactor.slides.slide_parts import slide_name

_OLDER = "they are of an earlier version, which told what they depend on in another way"
WORK = ".work"  # unfinished inputs and leases, inside the output folder
LOCKS = f"{WORK}/locks"
CONCEPTS = f"{LOCKS}/concepts.lock.json"  # the lease of whoever learns or changes the concepts of the folder
WINDOWS = "windows"  # in it, see ``windows_of``
STAGED, ASIDE = f"{WORK}/staged", f"{WORK}/aside"  # results that are being changed, see ``runs.staging``
LONGEST = 100  # bytes of a folder name: room is left for what is put before and after it
_POLL_S = 0.02, 1.0  # between two tries to take what another process holds: the first, and the longest
_HASH = 8  # digits that tell folders of equal names apart
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # of Windows
_OWN = re.compile(r"(run|report|phenotypes|concepts|status)\..*", re.IGNORECASE)  # files of the output folder itself

Some = TypeVar("Some")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one input's results and its unfinished work lie.

    Attributes:
        out: the output folder of the run.
        name: folder name of the input, from ``name_folders``.
    """

    out: Path
    name: str

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.out / self.name

    @property
    def work(self) -> Path:
        """Folder of finished bands while the input is under way."""
        return self.out / WORK / "bands" / self.name

    @property
    def rows(self) -> Path:
        """Folder of what others encode for whoever works on the input."""
        return self.out / WORK / "rows" / self.name

    @property
    def lock(self) -> Path:
        """Lease that whoever works on the input holds."""
        return self.out / LOCKS / f"{self.name}.lock"


@dataclass(frozen=True, slots=True)
class Seal:
    """``segmentation.json`` of an input whose results are whole.

    Attributes:
        content: all of it.
        labels, outputs: hashes of what it was made by; "" where it cannot be relied on.
        fault: why it cannot be relied on, or "".
    """

    content: Mapping[str, Any]
    labels: str
    outputs: str
    fault: str = ""


def name_folders(inputs: Sequence[Input], taken: Mapping[str, str]) -> list[str]:
    """A folder name for every input: what the slide is called, made safe for any file system.

    An input keeps the name that it has. Of others, those that share theirs with another input (whatever its case), or
    with a name that is taken, get digits of a hash of their path after it: names depend on no order.

    Args:
        inputs: paths of the inputs, each once.
        taken: names in the output folder, and the ``key_of`` the input that has each.
    """
    names = {key: name for name, key in taken.items()}
    keys = [key_of(path) for path in inputs]
    stems = [safe_name(path) for path in inputs]
    shared = Counter(name.lower() for name in taken)
    shared.update(stem.lower() for key, stem in zip(keys, stems, strict=True) if key not in names)
    return [
        names.get(key) or (stem if shared[stem.lower()] == 1 else f"{stem}-{key[:_HASH]}")
        for key, stem in zip(keys, stems, strict=True)
    ]


def safe_name(path: Input) -> str:
    """What a slide is called as the name of a folder: never hidden, reserved, or longer than ``LONGEST`` bytes.

    A name that had to be changed gets digits of a hash of the file's name after it.
    """
    stem = unicodedata.normalize("NFC", slide_name(path))
    name = _FORBIDDEN.sub("_", stem).strip(" .")
    while len(name.encode()) > LONGEST - _HASH - 1:
        name = name[:-1]
    name = name.rstrip(" .")
    reserved = not name or _DEVICES.fullmatch(name) or _OWN.fullmatch(name)
    if name == stem and not reserved:
        return name
    return f"{name or 'input'}-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:_HASH]}"


def key_of(path: Input) -> str:
    """What tells an input from all others: a hash of its resolved path, or of its URL as it is told."""
    return hashlib.sha256(os.fsencode(str(path.resolve()))).hexdigest()


@contextmanager
def claim(place: Place) -> Iterator[bool]:
    """Hold the lease of an input; yields False where another process holds it.

    It goes with the process that holds it, however that ends, see ``base.lease``; who lost it changes nothing more of
    the input.

    Raises:
        OutputError: the output folder cannot be written, or a link in it leads elsewhere.
    """
    for folder in (place.results, place.work, place.lock.parent):
        check_folder(folder, inside=place.out)
    beside = (place.out / folder / place.name for folder in (STAGED, ASIDE))
    with locked(place.lock, blocking=False, guards=(place.results, place.work, *beside)) as mine:
        yield mine


def holding(place: Place, work: Callable[[], Some]) -> Some | None:
    """Work on an input whose lease is held; None where another process holds it, or took it over meanwhile.

    Raises:
        OutputError: as ``claim``.
    """
    try:
        with claim(place) as mine:
            return work() if mine else None
    except LeaseLost:
        return None


@contextmanager
def locked(path: Path, *, blocking: bool = True, guards: Sequence[Path] = ()) -> Iterator[bool]:
    """Hold a lease; yields False where another process holds it and it is not waited for.

    Args:
        path: of the lease.
        blocking: wait for it.
        guards: files and folders that are changed by its holder alone.

    Raises:
        OutputError: the folder cannot be written.
        LeaseLost: another process took over, since this one gave no sign of life for too long.
    """
    wait_s, most_s = _POLL_S
    while (lease := take(path)) is None and blocking:
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, most_s)
    if lease is None:
        yield False
        return
    try:
        with fenced(guards, lease.check):
            yield True
    except Exception:
        lease.check()  # where it was lost, that is what went wrong
        raise
    finally:
        lease.release()


def under_way(out: Path) -> dict[str, Holder]:
    """Who works on each input that a process is working on, by the name of its folder.

    Raises:
        OutputError: a link in the output folder leads elsewhere.
    """
    check_folder(out / LOCKS, inside=out)
    held = {path.name.removesuffix(".lock"): look(path) for path in (out / LOCKS).glob("[!.]*.lock")}
    return {name: holder for name, holder in held.items() if holder is not None and not holder.dead}


def clear(place: Place) -> None:
    """Delete the unfinished work of an input.

    Raises:
        OutputError: it cannot be deleted.
    """
    remove(place.work, inside=place.out)
    clear_folders(place.work.parent)


def windows_of(out: Path, path: Input) -> Path:
    """Folder of the windows of an input of a run that are encoded before it is segmented."""
    return out / WORK / WINDOWS / key_of(path)[: 2 * _HASH]


def unseal(place: Place) -> None:
    """Take back that the results are whole, before they are written anew.

    Raises:
        OutputError: the seal cannot be deleted.
    """
    remove(place.results / SEAL, inside=place.out)


def seal(place: Place, content: Mapping[str, Any], labels: str, outputs: str) -> None:
    """Write ``segmentation.json``: the results are whole, and made by recipes of these hashes.

    Raises:
        OutputError: the folder cannot be written.
    """
    stated = {"recipe_format": FORMAT, "recipe_sha256": labels, "outputs_sha256": outputs}
    write_seal({**content, **stated}, place.results)


def read_seal(place: Place) -> Seal | None:
    """``segmentation.json``, or None where there are no finished results."""
    path = place.results / SEAL
    if not path.exists():
        return None
    try:
        content = sealed_in(place.results)
    except DamagedError as error:  # an earlier version wrote no digests
        return Seal({}, "", "", _OLDER if _is_older(path) else f"{SEAL} is not as it was written: {error}")
    if content.get("recipe_format") != FORMAT:
        return Seal(content, "", "", _OLDER)
    gone = [name for name in WRITTEN if not (place.results / name).exists()]
    gone += [name for name in content["digests"] if not (place.results / name).exists()]
    if gone:
        return Seal(content, "", "", f"{gone[0]} is gone")
    return Seal(content, str(content.get("recipe_sha256")), str(content.get("outputs_sha256")))


def _is_older(path: Path) -> bool:
    """Whether a seal is one without a digest."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # not there, or not ours
        return False
    return isinstance(content, dict) and "recipe_sha256" in content and "recipe_format" not in content
