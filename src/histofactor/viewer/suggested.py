"""Suggested names as the page shows them: to look at, and to put into the field of a name that a person gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histofactor.base.text import printable
from histofactor.concepts.bank.suggested import Suggested, of_level, read_suggested
from histofactor.concepts.bank.unnamed import is_unnamed
from histofactor.errors import BankError
from histofactor.records import ConceptBank
from histofactor.viewer.origin import error_parts


def suggested_names(path: Path, bank: ConceptBank) -> tuple[dict[int, dict[str, Any]], dict[str, str] | None]:
    """The suggestions for the concepts of a level by label, JSON types, and what is wrong with their file.

    Args:
        path: of the bank.
        bank: its level.
    """
    try:
        found = of_level(bank, read_suggested(path))
    except BankError as error:
        return {}, error_parts(error)
    return {label: _told(one, bank.names[label - 1]) for label, one in found.items()}, None


def _told(one: Suggested, name: str) -> dict[str, Any]:
    suggestion = one.suggestion
    return {
        "told": str(suggestion),
        "shown": is_unnamed(name),  # beside the concept; whoever names it again is offered the names all the same
        "unsure": bool(suggestion.unsure),
        "names": [[best.name, best.share] for best in suggestion.best],
        "patches": [suggestion.votes, suggestion.patches],
        "model": printable(one.model),
        "prompts": printable(one.prompts),
    }
