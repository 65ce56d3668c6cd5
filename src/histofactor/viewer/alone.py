"""A bank without a study: which of its levels is shown first, and where the slides lie that it was learned from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import slides_of
from histofactor.errors import OptionError
from histofactor.runs.ledger import placed_inputs
from histofactor.runs.study import BANK, Study
from histofactor.viewer.ids import slide_id
from histofactor.viewer.origin import OriginFinder

_BY_HAND = ("merged_from", "split_from")  # K of the level that another was made of


def first_level(study: Study) -> int:
    """The K that is shown first: that of the study, as its journal tells; else the one that was made by hand last.

    Args:
        study: the bank, as ``open_study`` reads it.
    """
    if study.learned:
        return study.k
    of = {
        k: bank.provenance.get(key)
        for k, bank in study.file.banks.items()
        for key in _BY_HAND
        if key in bank.provenance
    }
    last = [k for k in of if k not in of.values()]
    return last[0] if len(last) == 1 else study.k


def finders_of(file: BankFile, bank: Path, moved: Path | None) -> dict[str, OriginFinder]:
    """What finds the slides that a bank was learned from, by id; without those of which no file is seen.

    Args:
        file: what the bank holds.
        bank: where it lies; in a study, its slides lie where the study tells.
        moved: where else they are looked for, or None.
    """
    known: dict[str, set[str]] = {}
    for slide in slides_of(file.card):
        known.setdefault(PurePosixPath(slide.name).name, set()).update({slide.sha256} - {""})
    at = _placed(bank)
    finders = dict[str, OriginFinder]()
    for name in sorted(known):
        finder = OriginFinder(at.get(name, (moved or bank.parent) / name), "", moved, known[name].copy)
        if finder.is_anywhere():
            finders[slide_id(name)] = finder
    return finders


def _placed(bank: Path) -> Mapping[str, Path]:
    """Inputs of the study that a bank is of, by file name; none where it is of none."""
    if bank.name != BANK:
        return {}
    try:
        placed = placed_inputs(bank.parent)
    except OptionError:
        return {}
    return {Path(path).name: Path(path) for path in placed.values()}
