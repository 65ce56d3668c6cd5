"""Suggested names as the page shows them: to look at, and to put into the field of a name that a person gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histofactor.concepts.bank.suggested import Suggested, of_level, read_suggested
from histofactor.errors import BankError
from histofactor.records import ConceptBank
from histofactor.viewer.slide import error_parts


def suggested_names(path: Path, bank: ConceptBank) -> tuple[dict[int, dict[str, Any]], dict[str, str] | None]:
    """The suggestions for the concepts of a level by label, JSON types, and what is wrong with their file.

    Args:
        path: of the bank.
        bank: its level.
    """
    try:
        return {label: _told(one) for label, one in of_level(bank, read_suggested(path)).items()}, None
    except BankError as error:
        return {}, error_parts(error)


def _told(one: Suggested) -> dict[str, Any]:
    suggestion = one.suggestion
    return {
        "told": str(suggestion),
        "unsure": bool(suggestion.unsure),
        "names": [[best.name, best.share] for best in suggestion.best],
        "patches": [suggestion.votes, suggestion.patches],
        "model": one.model,
        "prompts": one.prompts,
    }
