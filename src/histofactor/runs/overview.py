"""How far the runs into an output folder are, as its files and the processes at work tell; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histofactor.base.lease_state import Holder, look
from histofactor.errors import OptionError
from histofactor.runs.beacon import WAITING, Beacon, beacons
from histofactor.runs.ledger import Ledger, scan, shares
from histofactor.runs.made_with import made_with, told_apart
from histofactor.runs.outcome import Outcome
from histofactor.runs.place import CONCEPTS, under_way

_KNOWN_S = 60.0  # of silence, after which it is told since when a process elsewhere was not heard of


@dataclass(frozen=True, slots=True)
class Overview:
    """How far an output folder is; JSON types throughout.

    Attributes:
        inputs: by status: ``done``, ``damaged``, ``failed``, ``waiting``, and ``under way``, which count no more as
            waiting.
        under_way: inputs at work: ``input``, ``folder``, ``host``, ``pid``, and ``windows``, ``of`` and
            ``windows_per_s`` as far as they are known.
        processes: at work: ``host``, ``pid``, ``shard``, ``stage``, ``inputs``, ``ended``, ``kept``, ``failed``,
            ``windows_per_s``, ``left_s``, and ``silent_s`` where it was not heard of for long.
        failures: inputs that failed or are damaged: ``input``, ``status``, ``error``.
        shards: how far each is, see ``ledger.shares``, and ``at_work``; none where there are none.
        concepts: who learns or changes the concepts, ``host`` and ``pid``, and how many processes wait for it; or None.
        left_s: seconds until all is done, or None.
        why: why that is not known, or "".
        apart: how many inputs were segmented in another way than the newest run, by what is to be told of them.
    """

    inputs: dict[str, int]
    under_way: list[dict[str, Any]]
    processes: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    shards: list[dict[str, Any]]
    concepts: dict[str, Any] | None
    left_s: float | None
    why: str
    apart: dict[str, int]


def overview(out: Path) -> Overview:
    """Look at an output folder: at the status of every input, and at the processes at work.

    Raises:
        OptionError: no run ever wrote into it, and none is about to.
        OutputError: a link in the output folder leads elsewhere.
    """
    at_work, held = beacons(out), under_way(out)
    learning = _learning(out, at_work)
    try:
        ledger = scan(out)
    except OptionError:
        if not at_work:
            raise
        ledger = Ledger((), ())
    counts = Counter(one.status for one in ledger.outcomes)
    counts["waiting"] -= sum(one.folder in held for one in ledger.outcomes if one.status == "waiting")
    counts["under way"] = len(held)
    shards = _shards(ledger, at_work)
    left_s, why = _left(counts["waiting"] + counts["under way"], shards, at_work)
    return Overview(
        inputs={name: count for name, count in counts.items() if count > 0},
        under_way=_under_way(ledger, held, at_work),
        processes=[_process(one) for one in at_work],
        failures=[_failure(one) for one in ledger.outcomes if one.error],
        shards=shards,
        concepts=learning,
        left_s=left_s,
        why=why,
        apart=_apart(out, ledger),
    )


def _learning(out: Path, at_work: Sequence[Beacon]) -> dict[str, Any] | None:
    holder = look(out / CONCEPTS)
    if holder is None or holder.dead:
        return None
    waiting = sum(one.told.get("stage") == WAITING for one in at_work)
    return {"host": holder.owner.host, "pid": holder.owner.pid, "waiting": waiting}


def _under_way(ledger: Ledger, held: dict[str, Holder], at_work: Sequence[Beacon]) -> list[dict[str, Any]]:
    paths = {one.folder: one.input for one in ledger.outcomes}
    told = {one.told.get("input"): one.told for one in at_work}
    found = []
    for folder, holder in sorted(held.items()):
        path = paths.get(folder, "")
        how = {name: told.get(path, {}).get(name) for name in ("windows", "of", "windows_per_s")}
        found.append({"input": path, "folder": folder, "host": holder.owner.host, "pid": holder.owner.pid, **how})
    return found


def _process(one: Beacon) -> dict[str, Any]:
    names = ("shard", "stage", "inputs", "ended", "kept", "failed", "windows_per_s", "left_s")
    told = {name: one.told.get(name) for name in names}
    silent = {"silent_s": round(one.holder.silent_s)} if one.holder.silent_s > _KNOWN_S else {}
    return {"host": one.holder.owner.host, "pid": one.holder.owner.pid, **told, **silent}


def _failure(outcome: Outcome) -> dict[str, Any]:
    return {"input": outcome.input, "status": outcome.status, "error": outcome.error}


def _shards(ledger: Ledger, at_work: Sequence[Beacon]) -> list[dict[str, Any]]:
    if not ledger.runs or "shards" not in ledger.runs[-1]:
        return []
    named = {one.told.get("shard") for one in at_work}
    return [{**share, "at_work": share["shard"] in named} for share in shares(ledger)]


def _left(waiting: int, shards: Sequence[dict[str, Any]], at_work: Sequence[Beacon]) -> tuple[float | None, str]:
    """Seconds until all is done, or None and why that is not known."""
    if not waiting:
        return None, ""
    if not at_work:
        return None, "no process is at work"
    idle = [share["shard"] for share in shards if share["waiting"] and not share["at_work"]]
    if idle:
        return None, f"nobody is at shard {', '.join(idle)}"
    ends = [one.told.get("left_s") for one in at_work if not one.told.get("finished")]
    known = [float(one) for one in ends if one is not None]
    if not known or len(known) < len(ends):
        return None, "too few inputs are done yet"
    if shards:
        return max(known), ""
    rates = [(one.told["inputs"] - one.told["ended"]) / one.told["left_s"] for one in at_work if one.told.get("left_s")]
    return (waiting / sum(rates) if sum(rates) else max(known)), ""


def _apart(out: Path, ledger: Ledger) -> dict[str, int]:
    made = [
        made_with(out / one.folder, checked=False) for one in ledger.outcomes if one.folder and one.status != "waiting"
    ]
    return dict(Counter(filter(None, (told_apart(one, ledger.runs[-1]) for one in made))))
