"""Shares of a run that schedulers start on their own: which input belongs to which is told by the input alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from histofactor.errors import OptionError
from histofactor.records.urls import Input
from histofactor.runs.place import key_of

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_NUMBER = re.compile(r"[0-9]{1,9}")
_SLURM = "SLURM_ARRAY_TASK_"
_DIGITS = 15  # of an input's key, 60 bits


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares of a run.

    Attributes:
        index: which one, from 1 on.
        of: how many there are.
    """

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def has(self, path: Input) -> bool:
        """Whether an input belongs to it; that hangs on the input alone, so more inputs move none."""
        return number_of(path, self.of) == self.index

    def joined(self, arguments: Sequence[str]) -> list[str]:
        """Arguments of a command that are the same for all shards: ``i/n`` takes the place of the own one."""
        told = []
        for before, one in zip(("", *arguments), arguments, strict=False):
            own = before == "--shard" or one.startswith("--shard=")
            told.append(f"{one.removesuffix(str(self))}i/{self.of}" if own else one)
        return told


def number_of(path: Input, shards: int) -> int:
    """The shard, from 1 on, that an input belongs to."""
    return int(key_of(path)[:_DIGITS], 16) % shards + 1


def shard_of(text: str | None, environ: Mapping[str, str]) -> tuple[Shard | None, str]:
    """The shard that is asked for: by the option, or else by the job array of Slurm that this is a task of.

    Slurm tells the ID of the task, the lowest one and the step of the array, and how many there are
    (https://slurm.schedmd.com/job_array.html); arrays may begin at any number.

    Args:
        text: of the option, ``i/n``, or None.
        environ: of the process.

    Returns:
        The shard, None where there is none, and a sentence that tells where it was read, or "".

    Raises:
        OptionError: the option, or what Slurm says, is no shard.
    """
    array = _of_slurm(environ, strict=text is None)
    if text is None:
        if array is None:
            return None, ""
        return array, f"shard {array} of the inputs, read from the job array of Slurm; --shard 1/1 works on all"
    found = _SHARD.fullmatch(text)
    shard = None if found is None else Shard(int(found[1]), int(found[2]))
    if shard is None or not 1 <= shard.index <= shard.of:
        raise OptionError(
            "--shard is no share of a run", expected="i/n with i from 1 to n, for example 3/8", got=f"{text:.40}"
        )
    if array not in {None, shard}:
        return shard, f"shard {shard} as --shard says, although this is task {array} of a job array of Slurm"
    return shard, ""


def _of_slurm(environ: Mapping[str, str], *, strict: bool) -> Shard | None:
    """The shard that a job array tells; None where there is no array, or no strict one is asked for."""
    told = {name: environ.get(_SLURM + name) for name in ("ID", "COUNT", "MIN", "STEP")}
    if told["ID"] is None or told["COUNT"] is None:
        return None
    told = {name: "1" if text is None else text for name, text in told.items()}
    if all(_NUMBER.fullmatch(str(text)) for text in told.values()):
        task, count, lowest, step = (int(str(told[name])) for name in ("ID", "COUNT", "MIN", "STEP"))
        index, apart = divmod(task - lowest, max(step, 1))
        if apart == 0 and 0 <= index < count:
            return Shard(index + 1, count)
    if not strict:
        return None
    raise OptionError(
        "what Slurm says of its job array tells no shard",
        expected="an array of evenly spaced IDs, such as --array=0-7",
        got=", ".join(f"{_SLURM}{name}={text:.20}" for name, text in told.items() if text is not None),
        mend="give --shard i/n",
    )
