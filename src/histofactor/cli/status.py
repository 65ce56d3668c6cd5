"""``histofactor status``: how far the runs into an output folder are, from any shell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histofactor.base.text import about, counted
from histofactor.cli.options import say

if TYPE_CHECKING:
    from histofactor.runs.overview import Overview

_STATUSES = ("done", "damaged", "failed", "under way", "waiting")


def status(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of `histofactor segment`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Say how far the runs into an output folder are: its inputs, who is at work, when all will be done, what failed.

    It only looks, and may be asked at any time from any machine that sees the folder.
    """
    from histofactor.runs.overview import overview

    found = overview(out)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    total = sum(found.inputs.values())
    parts = [f"{found.inputs[name]:,} {name}" for name in _STATUSES if name in found.inputs]
    say(f"{counted(total, 'input')}: {', '.join(parts)}" if total else "no input is begun yet")
    for line in (*_shards(found.shards), *_concepts(found), *map(_process, found.processes), *_at(found)):
        say(line)
    say(_end(found)) if total else None
    for sentence, count in found.apart.items():
        say(f"{count} of them {sentence}")
    if found.apart:
        say(f"`histofactor relabel {out}` brings all slides of a study up to date with its concepts")
    for one in found.failures:
        say(f"{one['status']}: {about(one['input'], one['error'])}")


def _shards(shards: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for every shard that has inputs to do."""
    lines = []
    for one in shards:
        if one["waiting"]:
            idle = "" if one["at_work"] else ", and nobody is at it"
            lines.append(f"shard {one['shard']}: {one['waiting']:,} of {counted(one['inputs'], 'input')} to do{idle}")
    return lines


def _concepts(found: Overview) -> list[str]:
    """Who is at the concepts, and how many wait."""
    if found.concepts is None:
        return []
    who = f"process {found.concepts['pid']} of {found.concepts['host']}"
    waiting = found.concepts["waiting"]
    wait = "; 1 process waits for it" if waiting == 1 else f"; {waiting:,} processes wait for it"
    return [f"the concepts are being learned or changed by {who}{wait if waiting else ''}"]


def _process(one: Mapping[str, Any]) -> str:
    """A line for a process at work."""
    from histofactor.runs.pace import told_time

    shard = f", shard {one['shard']}" if one["shard"] else ""
    words = [f"{one['ended']:,} of {one['inputs']:,} done"] if one["inputs"] else []
    words += [f"{one['kept']:,} of them by an earlier run"] if one["kept"] else []
    words += [f"{one['failed']:,} failed"] if one["failed"] else []
    words += [one["stage"]] if one["stage"] else []
    words += [f"{one['windows_per_s']:.1f} windows/s"] if one["windows_per_s"] is not None else []
    words += [f"not heard of for {told_time(one['silent_s'])}"] if "silent_s" in one else []
    return f"process {one['pid']} of {one['host']}{shard}: {', '.join(words) or 'begins'}"


def _at(found: Overview) -> list[str]:
    """A line for every input at work."""
    lines = []
    for one in found.under_way:
        windows = f", {one['windows']:,} of {counted(one['of'], 'window')}" if one["of"] else ""
        name = Path(one["input"]).name or one["folder"]
        lines.append(f"under way: {name}, by process {one['pid']} of {one['host']}{windows}")
    return lines


def _end(found: Overview) -> str:
    """When all will be done."""
    from histofactor.runs.pace import told_end, told_time

    if found.left_s is None:
        return f"when all will be done is not known: {found.why}" if found.why else "all is done"
    when = told_end(found.left_s, datetime.now())
    return f"all will be done in {told_time(found.left_s)}, at {when}, if it goes on as it does"
