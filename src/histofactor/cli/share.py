"""Options of verbs that many processes share, and the log for monitoring."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from histofactor.runs.shards import Shard

ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="i/n",
        help="Work on the i-th of n shares alone; give each the same command. Default: the task of a Slurm job array, "
        "or all.",
    ),
]
LogOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.jsonl", help="Append a line of JSON for every event; each shard has a file of its own."),
]


def share(text: str | None, inputs: int | None = None) -> tuple[Shard | None, str]:
    """The shard that is asked for, by the option or by Slurm, and a sentence of where it was read, or "".

    A job array with more tasks than inputs is taken for one that is no array of shards, as where every task is given
    inputs of its own: then all are worked on.

    Args:
        text: of the option.
        inputs: how many were given; None where all tasks know the same.

    Raises:
        OptionError: as ``shards.shard_of``.
    """
    from histofactor.base.text import counted
    from histofactor.runs.shards import shard_of

    shard, note = shard_of(text, os.environ)
    if text is None and shard is not None and inputs is not None and inputs < shard.of:
        note = f"{counted(inputs, 'input')} for {shard.of} tasks of a job array of Slurm: this one works on all of them"
        return None, note
    return shard, note


def log_of(path: Path | None, shard: Shard | None) -> Path | None:
    """The log of a shard: ``run-3-of-8.jsonl`` for ``run.jsonl``."""
    if path is None or shard is None or shard.of == 1:
        return path
    return path.with_name(f"{path.stem}-{shard.index}-of-{shard.of}{path.suffix}")
