"""What training scripts put before the names of tensors: found, taken off, and told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import torch

from histofactor.encoders.networks import adapt
from histofactor.encoders.weights_file import State
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

_DEPTH = 8  # parts of a prefix
_TRIED = 64  # prefixes under which most tensors are; a file of a network has fewer
_CHUNK = re.compile(r"(?<![^.])blocks\.\d+\.(?=\d+\.)")  # DINOv2 trains chunks of blocks, which keep their numbers


def fit_names(network: torch.nn.Module, tensors: State, spec: EncoderSpec) -> tuple[State, tuple[str, ...]]:
    """The tensors of a file that are the network's, under the network's names.

    Names may have one prefix in common, such as ``module.`` or ``teacher.backbone.``; what has another is left aside.
    Where a file holds several such networks, a teacher comes before a student.

    Args:
        network: with random weights.
        tensors: by the names of the file.
        spec: the row of the network.

    Returns:
        (state, notes): tensors as ``load_state`` takes them, which it refuses where nothing fits; and what was taken
        off or left aside, one sentence each.

    Raises:
        EncoderError: the file holds several networks that fit, and nothing says which is meant.
    """
    wanted = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    tensors, notes = _without_chunks(tensors, wanted)
    if prefixes := _as_named(tensors, wanted):
        prefix = _the_one(tensors, prefixes)
        return _under(tensors, prefix), (*notes, *_told(tensors, prefix, spec))
    for prefix in _bulk(tensors, len(wanted))[:_TRIED]:
        state = adapt(network, _under(tensors, prefix), spec)
        if state.keys() >= set(wanted):
            return state, (*notes, *_told(tensors, prefix, spec))
    known = {*wanted}
    fits = Counter(prefix for name in tensors for prefix in _prefixes(name) if name.removeprefix(prefix) in known)
    nearest = max(_bulk(tensors, 1), key=lambda prefix: (fits[prefix], not prefix))
    return _under(tensors, nearest), notes


def _as_named(tensors: State, wanted: list[str]) -> list[str]:
    """Prefixes under which all the network's own names are there, the preferred ones only."""
    ends = (name.removesuffix(wanted[0]) for name in tensors if name.endswith(wanted[0]))
    found = [prefix for prefix in ends if prefix[-1:] in {"", "."} and all(prefix + name in tensors for name in wanted)]
    best = min(map(_rank, found), default=0)
    return [prefix for prefix in found if _rank(prefix) == best]


def _rank(prefix: str) -> int:
    """Which of several networks in one file is meant: the plain one, the teacher, any, the student."""
    return 0 if not prefix else 1 if "teacher" in prefix else 3 if "student" in prefix else 2


def _the_one(tensors: State, prefixes: list[str]) -> str:
    """The only prefix, or the first of those whose tensors are the same."""
    first = _under(tensors, prefixes[0])
    for other in prefixes[1:]:
        if not all(torch.equal(one, tensors[other + name]) for name, one in first.items() if other + name in tensors):
            raise EncoderError(
                "the file of weights holds several networks",
                expected="one, or one that is called teacher",
                got=f"tensors under {', '.join(map(repr, prefixes))}",
                mend="save the one that you mean to a file of its own",
            )
    return prefixes[0]


def _bulk(tensors: State, at_least: int) -> list[str]:
    """Prefixes that most of as many tensors have: the preferred ones first, and the shorter before the longer."""
    counts = Counter(prefix for name in tensors for prefix in _prefixes(name))
    return sorted((p for p, count in counts.items() if 2 * count >= at_least), key=lambda p: (_rank(p or "."), len(p)))


def _prefixes(name: str) -> Iterable[str]:
    """Beginnings of a name that end with a dot, up to eight, and the empty one."""
    return ("", *(name[: match.end()] for match in islice(re.finditer(r"\.", name), _DEPTH)))


def _under(tensors: State, prefix: str) -> State:
    """The tensors with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _told(tensors: State, prefix: str, spec: EncoderSpec) -> tuple[str, ...]:
    """What was taken off, in a sentence, unless the encoder's published file has it too."""
    if prefix in {"", spec.source.key_prefix}:
        return ()
    aside = sum(not name.startswith(prefix) for name in tensors)
    others = f"; {aside} tensors without it were left aside" if aside else ""
    return (f"the names of the weights begin with {prefix!r:.120}, which was taken off{others}",)


def _without_chunks(tensors: State, wanted: list[str]) -> tuple[State, tuple[str, ...]]:
    """Names of blocks without the chunk that they were trained in, where the network has no such chunks."""
    if any(map(_CHUNK.search, wanted)) or not any(map(_CHUNK.search, tensors)):
        return tensors, ()
    joined = {_CHUNK.sub("blocks.", name): tensor for name, tensor in tensors.items()}
    if len(joined) < len(tensors):  # chunks that count from 0 each
        return tensors, ()
    return joined, ("the weights keep blocks in chunks, whose numbers were taken off",)
