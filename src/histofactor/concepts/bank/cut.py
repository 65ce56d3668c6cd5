"""Another K for nested banks: the tree of their finest concepts, cut elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histofactor.concepts.bank.coloring import colored
from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.groups import Merge
from histofactor.concepts.bank.hierarchy import nest
from histofactor.concepts.bank.nesting import unions as within
from histofactor.concepts.bank.provenance import counts_of
from histofactor.concepts.bank.unnamed import default_name, number_of
from histofactor.errors import OptionError


def cut(file: BankFile, k: int) -> BankFile:
    """Add a level of K unions of the finest concepts, by Ward's rule as training nests them; artefacts stay apart.

    Artefacts are unions as at the level that has the fewest.

    Args:
        file: the banks.
        k: how many, fewer than the finest level has.

    Raises:
        OptionError: there are not so many.
        BankError: what the bank tells of its concepts cannot be read.
    """
    finest = max(file.banks)
    bank = file.banks[finest]
    out = bank.excluded
    artefacts = _artefacts(file)
    if not len(artefacts) < k < finest:
        one = "one of them is an artefact" if len(artefacts) == 1 else f"{len(artefacts)} of them are artefacts"
        raise OptionError(
            f"there are no K = {k} concepts",
            expected=f"K from {len(artefacts) + 1} to {finest}" + (f": {one}" if artefacts else ""),
            got=str(k),
            mend="ask for another K, or learn anew with --relearn",
        )
    counts = counts_of(bank)
    sizes = np.ones(finest, np.int64) if counts is None else np.maximum(counts, 1).astype(np.int64)
    tissue = np.setdiff1d(np.arange(finest), out)
    rest = k - len(artefacts)
    owners = nest(bank.vectors[tissue], sizes[tissue], [rest])[rest]
    unions = [(tuple((tissue[owners == union] + 1).tolist()), f"union {union}") for union in range(rest)]
    merges = [(labels, name) for labels, name in (*unions, *artefacts) if len(labels) > 1]
    made = merge(file, finest, merges)
    found = colored(replace(made.banks[k], parts=None))  # as the levels that training nests
    made = replace(made, banks={**made.banks, k: found})
    given = {concept + 1 for concept in found.excluded if number_of(found.names[concept]) is None}
    return rename(made, k, {label: default_name(label) for label in range(1, k + 1) if label not in given})


def _artefacts(file: BankFile) -> list[Merge]:
    """The artefacts of the finest level, together where they are one at a level that has no others."""
    bank = file.banks[max(file.banks)]
    found: list[Merge] = [((one + 1,), bank.names[one]) for one in bank.excluded]
    for level in file.banks.values():
        owners = within(bank, level)
        if owners is None or {one for one, owner in enumerate(owners) if owner in level.excluded} != {*bank.excluded}:
            continue
        together: list[Merge] = [
            (tuple(one + 1 for one, own in enumerate(owners) if own == artefact), level.names[artefact])
            for artefact in level.excluded
        ]
        found = min(found, together, key=len)
    return found
