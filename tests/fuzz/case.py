"""One case: an input that was spoiled or crafted, read by one reader, and what came of it."""

import gc
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.mutators import mutate
from histofactor.errors import HistofactorError

_FRESH = Path("/proc/self/clear_refs")  # Linux: writing 5 forgets the largest memory so far
_MENDED = 0.5  # of the mutants whose checksums are made right again, where a target can do that


@dataclass(frozen=True, slots=True)
class Target:
    """One reader.

    Attributes:
        name: for the command line.
        make: writes inputs that can be read into an empty folder, each a file or a folder of files.
        read: reads an input as the program does.
        refusals: what a reader may raise on input that is not as it should be.
        mend: makes the checksums of an input right again, so that what lies behind them is tried too.
        slow: how many cases of others take as long as one of this: so many fewer are run.
        crafted: writes inputs that were made to do harm, by name; each returns its path inside the folder it is given.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...] = (HistofactorError,)
    mend: Callable[[Path], None] | None = None
    slow: int = 1
    crafted: Mapping[str, Callable[[Path], Path]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case.

    Attributes:
        kind: ``read``, ``refused`` or ``failed``.
        seconds: that reading took.
        grown_mb: 10⁶ bytes of memory at most beyond those before, or None where that cannot be told.
        told: the message, or the traceback of a failure.
    """

    kind: str
    seconds: float
    grown_mb: float | None
    told: str = ""


def prepare(target: Target, corpus: Path) -> None:
    """Write the inputs of a target, once, and read each: they must be readable, and what is loaded late is loaded now.

    Raises:
        ValueError: there are none.
        Exception: whatever reading them raises.
    """
    if not corpus.exists():
        unfinished = corpus.with_suffix(".part")
        unfinished.mkdir(parents=True)
        target.make(unfinished)
        unfinished.rename(corpus)
    if not list(corpus.iterdir()):
        raise ValueError(f"{target.name} has no inputs")
    for path in sorted(corpus.iterdir()):
        with tempfile.TemporaryDirectory(dir=corpus.parent) as folder:
            target.read(_copied(path, Path(folder, "copy")))
    gc.freeze()  # what is loaded by now is not looked through before each case


def write_case(target: Target, corpus: Path, seed: int, number: int, folder: Path) -> Path:
    """Write the input of a case into a new folder.

    The first cases are the crafted inputs, all others inputs of the corpus of which one file is spoiled.

    Args:
        target: whose case.
        corpus: from ``prepare``.
        seed, number: of the case; the same ones write the same bytes.
        folder: to write into; it must not exist.
    """
    if number < len(target.crafted):
        folder.mkdir(parents=True)
        return list(target.crafted.values())[number](folder)
    rng = Random(f"{seed} {target.name} {number}")
    seeds = sorted(corpus.iterdir())
    path = _copied(rng.choice(seeds), folder)
    file = rng.choice(_files(path))
    others = [other for one in seeds for other in _files(one) if path.is_file() or other.suffix == file.suffix]
    file.write_bytes(mutate(file.read_bytes(), rng, [other.read_bytes() for other in others]))
    if target.mend is not None and rng.random() < _MENDED:
        target.mend(path)
    return path


def run_case(target: Target, path: Path) -> Result:
    """Read an input, and see what it takes."""
    gc.collect()
    before = _memory_mb(fresh=True)
    started = time.perf_counter()
    kind, told = "read", ""
    try:
        target.read(path)
    except target.refusals as error:
        kind, told = "refused", str(error)
    except (Exception, RecursionError, MemoryError):  # noqa: BLE001 - that is what is looked for
        kind, told = "failed", traceback.format_exc()
    seconds = time.perf_counter() - started
    largest = _memory_mb(fresh=False)
    return Result(kind, seconds, None if before is None or largest is None else largest - before, told)


def without_running(read: Callable[[Path], object]) -> Callable[[Path], None]:
    """A reader after which there must be no file called ``ran``, as programs in crafted inputs write it."""

    def watched(path: Path) -> None:
        try:
            read(path)
        finally:
            if (path.parent / "ran").exists():
                raise RuntimeError("a program of the input was run")

    return watched


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _copied(path: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    return Path((shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name))


def _memory_mb(*, fresh: bool) -> float | None:
    """The largest memory of this process since it was last counted afresh; None where nobody tells."""
    if not _FRESH.exists():
        return None
    if fresh:
        _FRESH.write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
