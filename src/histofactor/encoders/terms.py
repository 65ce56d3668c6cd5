"""What the licence of an encoder means for what is made with it, as concept banks are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from histofactor.encoders.registry import get

_ADHOC = ("timm", "transformers")  # rows that the table does not have, whose licence nobody looked at
_ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_TERMS_OF_THEIR_OWN = "other"
_HUB = {  # what the hub calls licences of the table
    "Apache-2.0": "apache-2.0",
    "BSD-3-Clause": "bsd-3-clause",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
    "GPL-3.0": "gpl-3.0",
    "MIT": "mit",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """The licence of one encoder, as far as the table tells.

    Attributes:
        encoder: its name.
        licence: of its weights.
        commercial: whether that allows commercial use: ``yes``, ``no`` or ``unknown``.
        derivatives: whether it allows to share what is made with the weights; the same words.
        repository: where its weights are, on the hub, or "".
    """

    encoder: str
    licence: str
    commercial: str
    derivatives: str
    repository: str


def terms_of(encoder: str) -> tuple[Terms, ...]:
    """The terms of an encoder, or of each that a joint one is made of. Nothing is asked for and nothing is opened.

    Args:
        encoder: its name, as a bank records it; of a joint one names with commas between.

    Raises:
        EncoderError: no encoder has this name.
    """
    return tuple(_terms(name) for name in encoder.split(","))


def known_nowhere_else(encoder: str) -> str:
    """The first part of an encoder that others cannot get by its name, as a folder of a machine is none; or ""."""
    for name in encoder.split(","):
        library, _, rest = name.partition(":")
        if library in _ADHOC and (not _ON_THE_HUB.fullmatch(rest) or Path(rest).is_dir()):
            return name
    return ""


def hub_licence(terms: tuple[Terms, ...]) -> str:
    """What the hub calls the licence of all of them; ``other`` where they differ, or it has no word for it."""
    found = {_HUB.get(one.licence, _TERMS_OF_THEIR_OWN) for one in terms}
    return found.pop() if len(found) == 1 else _TERMS_OF_THEIR_OWN


def _terms(name: str) -> Terms:
    if name.partition(":")[0] in _ADHOC and ":" in name:
        return Terms(name, "that of its repository", "unknown", "unknown", "")
    spec = get(name)
    return Terms(name, spec.licence, spec.commercial, spec.derivatives, spec.source.repository)
