"""What is known of all runs into one output folder.

Every run writes its facts and inputs once, every input its own status, and all else is derived by a scan, see
``runs.derive``; so any number of processes may share a folder. Shards of a run write the same facts.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import histofactor
from histofactor.base.digests import read_digested, write_digested
from histofactor.base.files import check_folder, output_error
from histofactor.base.names import RUNS
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import OptionError
from histofactor.records.urls import Input, as_input
from histofactor.runs.asked import known_of, of_input
from histofactor.runs.outcome import Outcome
from histofactor.runs.place import LOCKS, Place, key_of, locked, name_folders
from histofactor.runs.shards import number_of
from histofactor.runs.source import Stated
from histofactor.runs.status import read_status

if TYPE_CHECKING:
    from histofactor.segmentation.setup import Segmenter

_LIBRARIES = (
    "numpy", "torch", "timm", "numba", "pillow", "opencv-python-headless", "shapely", "tifffile", "imagecodecs",
    "openslide-python", "openslide-bin", "zarr",
)  # fmt: skip


_STATUSES = ("done", "damaged", "failed", "waiting")
OF_THE_LEDGER = {"run", "started", "inputs", "shards"}  # of what is known of a run: these are not its facts


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of an output folder.

    Attributes:
        runs: facts of every run, the oldest first; ``run`` is its name.
        outcomes: of every input of any run, in the order of the runs; ``waiting`` where it has none yet.
    """

    runs: tuple[Mapping[str, Any], ...]
    outcomes: tuple[Outcome, ...]


def facts_of(segmenter: Segmenter, concepts: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What is true of all inputs of a run; JSON types."""
    bank, encoder = segmenter.bank, segmenter.setup.encoder.spec
    return {
        "histofactor": histofactor.__version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "arguments": list(arguments),
        "encoder": asdict(encoder.key),
        "method": segmenter.method.name,
        "min_area_um2": segmenter.min_area_um2,
        "borders": segmenter.borders,
        "k": segmenter.k,
        "concepts": concepts if bank is not None else "the image's own components",
        "bank_sha256": "" if bank is None else bank_hash(bank),
        "mpp": segmenter.setup.mpp or encoder.mpp,
    }


def begin(
    out: Path, facts: Mapping[str, Any], inputs: Sequence[Input], on_note: Callable[[str], None] = lambda sentence: None
) -> tuple[str, list[Place]]:
    """Write down a run, and give every input its place; files of runs that are damaged are renamed, and so told once.

    Args:
        out: the output folder.
        facts: from ``facts_of``.
        inputs: each once.
        on_note: called with a sentence for every file that is damaged.

    Returns:
        Name of the run, and the places in the order of the inputs.

    Raises:
        OutputError: the folder cannot be written, or a link in it leads elsewhere.
    """
    for folder in (out / RUNS, out / LOCKS):
        check_folder(folder, inside=out)
    with locked(out / LOCKS / "names.lock.json", guards=(out / RUNS,)):  # no place of an input is called so
        runs, damaged = _read_runs(out)
        for path in damaged:
            on_note(_set_aside(path))
        named = {folder: key for run in runs for _, folder, key in run["inputs"]}
        taken = {folder: key_of(as_input(outcome.input)) for folder, outcome in _unnamed(out, named)} | named
        folders = name_folders(inputs, taken)
        listed = [[str(path), folder, key_of(path)] for path, folder in zip(inputs, folders, strict=True)]
        content = {**facts, "inputs": listed}
        name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
        started = datetime.now(UTC).isoformat()
        write_digested({"started": started, **content}, out / RUNS / f"{name}.json")
    return name, [Place(out, folder) for folder in folders]


def inputs_of(out: Path) -> list[Input]:
    """The inputs of all runs, each once, in the order of the runs."""
    return list(dict.fromkeys(as_input(path) for run in _read_runs(out)[0] for path, _, _ in run["inputs"]))


def openings_of(out: Path) -> dict[Input, Mapping[str, Any]]:
    """How the inputs of all runs were opened last, see ``source.Opening``; without those of which it is not known."""
    return {
        path: opening
        for path, (request, key) in _asked(out).items()
        if isinstance(opening := of_input(request, key).get("opening"), dict)
    }


def known_inputs(out: Path) -> dict[Input, Stated]:
    """What was said of inputs of earlier runs, see ``source.Stated``."""
    found = {path: known_of(request, key) for path, (request, key) in _asked(out).items()}
    return {path: one for path, one in found.items() if one is not None}


def _asked(out: Path) -> dict[Input, tuple[Mapping[str, Any], str]]:
    """What the newest run of every input was asked for, and the key of the input."""
    asked = [(run, run.get("request")) for run in _read_runs(out)[0]]
    return {
        as_input(path): (request, key)
        for run, request in asked
        if isinstance(request, dict)
        for path, _, key in run["inputs"]
    }


def scan(out: Path, on_input: Callable[[], None] = lambda: None) -> Ledger:
    """Read what is known of an output folder: by the files of its runs, and by the status of every input.

    Args:
        out: the output folder.
        on_input: called before each status is read.

    Raises:
        OptionError: no run ever wrote into it, or nothing is left that tells of one.
    """
    runs, named = _runs_of(out)
    outcomes = []
    for folder, path in named.items():
        on_input()
        outcomes.append(_outcome(out, folder, path))
    outcomes += [_placed(outcome, folder) for folder, outcome in _unnamed(out, named)]
    return Ledger(tuple(runs), tuple(outcomes))


def shares(ledger: Ledger) -> list[dict[str, Any]]:
    """How far every shard of the newest run is: its name, and its inputs by status."""
    newest = ledger.runs[-1]
    of, own = int(newest["shards"]), {path for path, _, _ in newest["inputs"]}
    counts = [Counter[str]() for _ in range(of)]
    for outcome in ledger.outcomes:
        if outcome.input in own:
            counts[number_of(as_input(outcome.input), of) - 1][outcome.status] += 1
    return [
        {"shard": f"{index}/{of}", "inputs": count.total(), **{name: count[name] for name in _STATUSES}}
        for index, count in enumerate(counts, 1)
    ]


def placed_inputs(out: Path) -> dict[str, str]:
    """The path of every input of any run by the name of its folder; the statuses of inputs that runs name stay unread.

    Raises:
        OptionError: as ``scan``.
    """
    named = _runs_of(out)[1]
    return named | {folder: outcome.input for folder, outcome in _unnamed(out, named)}


def request_of(out: Path, folder: str) -> Mapping[str, Any] | None:
    """What the run that an input's status names was asked for, see ``runs.request``; None where it is not known."""
    status = read_status(out / folder)
    run = None if status is None else _read_run(out / RUNS / f"{status.run}.json")
    request = None if run is None else run.get("request")
    if run is None or not isinstance(request, dict):
        return None
    return of_input(request, next((key for _, name, key in run["inputs"] if name == folder), ""))


def _runs_of(out: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Facts of every run, of which there is one, the oldest first; and the inputs that they name, by folder."""
    runs, damaged = _read_runs(out)
    if not runs and damaged:
        raise OptionError(
            f"what {out} knows of its runs is damaged",
            expected=f"a run that can be read in {RUNS}",
            got="none",
            mend="give the command of `histofactor segment` again; finished inputs are kept",
        )
    if not runs:
        raise OptionError(f"{out} holds no results of `histofactor segment`", expected="an output folder that it wrote")
    return runs, {folder: path for run in runs for path, folder, _ in run["inputs"]}


def _read_runs(out: Path) -> tuple[list[dict[str, Any]], list[Path]]:
    """Facts and inputs of every run, the oldest first; and the files that are damaged."""
    found = [(path, _read_run(path)) for path in sorted((out / RUNS).glob("*.json"))]
    runs = [run for _, run in found if run is not None]
    return sorted(runs, key=lambda run: run["started"]), [path for path, run in found if run is None]


def _read_run(path: Path) -> dict[str, Any] | None:
    """Facts and inputs of a run, or None where its file is damaged."""
    try:
        run = read_digested(path)
        inputs = [(str(name), _folder(folder), str(key)) for name, folder, key in run["inputs"]]
        return {**run, "run": path.stem, "started": str(run["started"]), "inputs": inputs}
    except (ValueError, KeyError, TypeError):
        return None


def _set_aside(path: Path) -> str:
    """Rename the file of a run that is damaged; returns what the user is told."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        path.replace(aside)
    except OSError as error:
        raise output_error(aside, error) from error
    return f"{path} is damaged and was set aside as {aside.name}: inputs of that run are known by their status alone"


def _outcome(out: Path, folder: str, path: str) -> Outcome:
    """What became of an input that a run names."""
    status = read_status(out / folder)
    return Outcome(path, "waiting", folder) if status is None else _placed(status.outcome, folder)


def _placed(outcome: Outcome, folder: str) -> Outcome:
    """An outcome whose results, if it has any, are looked for where its status lies."""
    return replace(outcome, folder=folder if outcome.folder else "")


def _unnamed(out: Path, named: Container[str]) -> list[tuple[str, Outcome]]:
    """Folders with the status of an input that no run names, as where the file of its run is damaged."""
    folders = (path for path in sorted(out.iterdir()) if path.name not in named and not path.name.startswith("."))
    found = [(folder.name, read_status(folder)) for folder in folders if folder.is_dir()]
    return [
        (name, status.outcome) for name, status in found if status is not None and status.outcome.folder in ("", name)
    ]


def _folder(name: str) -> str:
    """The name of an input's folder, which lies in the output folder itself."""
    if not isinstance(name, str) or name.startswith(".") or Path(name).name != name:
        raise ValueError(f"{name!r} is no name of a folder")
    return name
