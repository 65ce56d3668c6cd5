"""One input's place in the output folder: who works on it, what is finished, and whether that is still valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import histofactor
from histofactor.base.files import output_error, remove, write_json
from histofactor.concepts.bank.record import bank_hash
from histofactor.records import Segmentation
from histofactor.segmentation.setup import Engine

SEAL = "segmentation.json"  # written last: where it is, the results are whole
WORK = ".work"  # unfinished inputs and locks, inside the output folder


@dataclass(frozen=True, slots=True)
class Place:
    """Where one input's results and its unfinished work lie.

    Attributes:
        out: the output folder of the run.
        name: folder name of the input.
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
        return self.out / WORK / self.name


@contextmanager
def claim(place: Place) -> Iterator[bool]:
    """Hold the lock of an input; yields False where another process holds it.

    The lock goes with the process that holds it, however that ends.

    Raises:
        OutputError: the output folder cannot be written.
    """
    path = place.work.with_name(f"{place.name}.lock")
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise output_error(path, error) from error
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # other inputs are under way
            path.parent.rmdir()


def clear(place: Place) -> None:
    """Delete the unfinished work of an input.

    Raises:
        OutputError: it cannot be deleted.
    """
    remove(place.work)


def unseal(place: Place) -> None:
    """Take back that the results are whole, before they are written anew.

    Raises:
        OutputError: the seal cannot be deleted.
    """
    remove(place.results / SEAL)


def seal(place: Place, segmentation: Segmentation, recipe: str) -> None:
    """Write ``segmentation.json``: the results are whole, and made by this recipe.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_json({**segmentation.recipe, "recipe_sha256": recipe}, place.results / SEAL)


def read_seal(place: Place, recipe: str) -> dict[str, Any] | None:
    """``segmentation.json``, if the results of an input are whole and made by this very recipe, else None."""
    try:
        sealed = json.loads((place.results / SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not ours
        return None
    return sealed if isinstance(sealed, dict) and sealed.get("recipe_sha256") == recipe else None


def recipe_hash(path: Path, source_mpp: float | None, engine: Engine, outputs: Any) -> str:
    """Fingerprint of all that the results of an input depend on.

    Args:
        path: the input; its name, size and time of change count, not its content.
        source_mpp: µm/px stated by the user.
        engine: encoder, concepts, method and options.
        outputs: what is to be written, JSON types.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    spec, bank, options = engine.encoder.spec, engine.bank, engine.options
    found = path.stat() if path.is_file() else None
    mask = options.tissue_mask
    recipe = {
        "histofactor": histofactor.__version__,
        "input": [path.name, None if found is None else [found.st_size, found.st_mtime_ns]],
        "source_mpp": source_mpp,
        "encoder": [
            *(asdict(spec.key), spec.patch_px, asdict(spec.window)),
            *(str(engine.encoder.autocast), engine.encoder.mended),
        ],
        "bank": None if bank is None else [bank_hash(bank), list(bank.names), list(bank.colors)],
        "method": [engine.method, asdict(engine.factorization)],
        "mpp": engine.mpp,
        "tissue": [options.tissue, None if mask is None else str(mask), options.views, options.shift_px],
        "unlike": engine.unlike,
        "outputs": outputs,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
