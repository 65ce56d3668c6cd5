"""What was done to concepts, in words, so that one sees what undo takes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from histofactor.runs.history import Step

HERE = "view"  # the first argument of what was done in a viewer
_NAMED = re.compile(r"([0-9]+)=(.+)")
_COLOR = re.compile(r"([0-9]+)=#[0-9a-f]{6}")


def said(step: Step) -> str:
    """What was done: ``named 3 stroma``; of what a command did, the command.

    Args:
        step: as the journal tells it.
    """
    here, arguments = step.arguments[:1] == (HERE,), step.arguments[1:]
    if not here:
        return f"{step.did} (histofactor {' '.join(step.arguments)})" if step.arguments else step.did
    told = _TOLD.get(step.did)
    return step.did if told is None else told(arguments)


def _named(arguments: Sequence[str]) -> str:
    colored = [found[1] for one in arguments if (found := _COLOR.fullmatch(one))]
    named = [
        (found[1], found[2]) for one in arguments if not _COLOR.fullmatch(one) and (found := _NAMED.fullmatch(one))
    ]
    labels: dict[str, list[str]] = {}
    for label, name in named:
        labels.setdefault(name, []).append(label)
    parts = [f"named {_list(same)} {name}" for name, same in labels.items()]
    if colored:
        parts.append(f"coloured {_list(colored)}")
    return ", ".join(parts)


def _merged(arguments: Sequence[str]) -> str:
    return ", ".join(f"merged {labels} as {name}" for labels, _, name in (one.partition("=") for one in arguments))


def _list(labels: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))


_TOLD: dict[str, Callable[[Sequence[str]], str]] = {
    "named": _named,
    "merged": _merged,
    "excluded": lambda labels: f"marked {_list(labels)} as artefact{'s' if len(labels) > 1 else ''}",
    "included": lambda labels: f"took {_list(labels)} back as tissue",
}
