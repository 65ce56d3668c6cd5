"""Whether a machine fits a run: it has the same histofactor, and sees its inputs and its output folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import histofactor
from histofactor.base.extras import install
from histofactor.base.files import check_folder
from histofactor.base.lease import take
from histofactor.base.lease_state import sweep_leases
from histofactor.errors import EngineError, HistofactorError
from histofactor.records.urls import Input
from histofactor.runs.place import WORK

_SEEN = 64  # inputs, spread evenly, that every machine must see


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a worker is.

    Attributes:
        node: name of its machine in the cluster.
        host: as the machine calls itself.
        pid: of its process.
        said: file that it writes to where it goes wrong, on its machine; "" where that is not known.
        versions: of histofactor, PyTorch and Python.
        unseen: files and folders that are needed and that it cannot see.
    """

    node: str
    host: str
    pid: int
    said: str
    versions: dict[str, str]
    unseen: list[str]


def fault_of(hello: Hello) -> EngineError | None:
    """Why a worker does not fit; None where it does."""
    ours, theirs = histofactor.__version__, hello.versions["histofactor"]
    if ours != theirs:
        return EngineError(
            f"{hello.host} has another histofactor than this machine",
            expected=f"histofactor {ours} on all machines",
            got=theirs or "none",
            mend=f"{install('ray', ours)} there",
        )
    if hello.unseen:
        return EngineError(
            f"{hello.host} does not see {hello.unseen[0]}",
            expected="inputs and the output folder on a disk that all machines share, at the same path",
            got=f"{len(hello.unseen)} files or folders that are not there",
            mend="mount the disk there, or leave the machine out of the cluster",
        )
    return None


def on_host(error: Exception, hello: Hello | None) -> Exception:
    """What went wrong as a worker began, with the machine where it did."""
    if not isinstance(error, HistofactorError) or hello is None:
        return error
    return error.saying(f"{error.what} (on {hello.host})")


def spread(many: int) -> list[int]:
    """Places of a few of many, spread evenly."""
    few = min(many, _SEEN)
    return [place * many // few for place in range(few)]


@contextmanager
def must_see(out: Path | None, inputs: Sequence[Input]) -> Iterator[list[str]]:
    """Yield what every machine must see: a lease that is new in the output folder, and inputs that are there at all.

    Raises:
        OutputError: the output folder cannot be written.
    """
    seen = [str(path) for path in inputs if isinstance(path, Path) and path.exists()]
    if out is None:
        yield seen
        return
    folder = out / WORK / "seen"
    check_folder(folder, inside=out)
    sweep_leases(folder)  # of runs that were killed
    mark = folder / uuid.uuid4().hex
    lease = take(mark)
    try:
        yield [str(mark), *seen]
    finally:
        if lease is not None:
            lease.release()
