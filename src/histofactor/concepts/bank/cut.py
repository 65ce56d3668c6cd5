"""Another K for nested banks: the tree of their finest concepts, cut elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.hierarchy import nest
from histofactor.concepts.bank.provenance import counts_of
from histofactor.errors import OptionError

_DEFAULT = re.compile(r"Concept [0-9]+")  # names that nobody gave


def cut(file: BankFile, k: int) -> BankFile:
    """Add a level of K unions of the finest concepts, by Ward's rule as training nests them; artefacts stay apart.

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
    if not len(out) < k < finest:
        raise OptionError(
            f"there are no K = {k} concepts",
            expected=f"K from {len(out) + 1} to {finest}",
            got=str(k),
            mend="ask for fewer, or learn anew with --relearn",
        )
    counts = counts_of(bank)
    sizes = np.ones(finest, np.int64) if counts is None else np.maximum(counts, 1).astype(np.int64)
    tissue = np.setdiff1d(np.arange(finest), out)
    owners = nest(bank.vectors[tissue], sizes[tissue], [k - len(out)])[k - len(out)]
    unions = [tuple((tissue[owners == union] + 1).tolist()) for union in range(k - len(out))]
    merges = [(labels, f"union {min(labels)}") for labels in unions if len(labels) > 1]
    made = merge(file, finest, merges)
    found = replace(made.banks[k], parts=None)  # as the levels that training nests
    made = replace(made, banks={**made.banks, k: found})
    given = {concept + 1 for concept in found.excluded if not _DEFAULT.fullmatch(found.names[concept])}
    return rename(made, k, {label: f"Concept {label}" for label in range(1, k + 1) if label not in given})
