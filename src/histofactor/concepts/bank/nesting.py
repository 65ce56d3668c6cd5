"""How the levels of a bank lie within each other: by their leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.unnamed import numbered
from histofactor.records import ConceptBank, Float, Leaves


def leaves_of(bank: ConceptBank) -> Leaves:
    """The finest concepts that a level is made of: its own where it is no union."""
    return bank.leaves or Leaves(bank.vectors, tuple(range(len(bank.vectors))))


def parts_of(bank: ConceptBank) -> Leaves:
    """What mixtures are of: the concepts, or their parts."""
    return bank.parts or Leaves(bank.vectors, tuple(range(len(bank.vectors))))


def unions(fine: ConceptBank, coarse: ConceptBank) -> tuple[int, ...] | None:
    """The coarse concept that every fine one is a part of, where both are unions of the same leaves; else None."""
    return _within(leaves_of(fine), leaves_of(coarse), len(fine.vectors))


def sums(fine: ConceptBank, coarse: ConceptBank) -> tuple[int, ...] | None:
    """The coarse concept that the weights of every fine one add up to, where mixtures are of the same; else None."""
    return _within(parts_of(fine), parts_of(coarse), len(fine.vectors))


def moved(file: BankFile, k: int, to: int) -> BankFile:
    """The file after inputs that were segmented with one K go to another: unions are weighed by what they were.

    Args:
        file: the banks.
        k: that inputs were segmented with.
        to: the other; where its concepts are unions of those, their weights add up from then on.
    """
    parts = parts_of(file.banks[k])
    merged = [level for level, bank in file.banks.items() if np.array_equal(bank.vectors, parts.vectors)]
    for level in (k, *merged):  # what was put together comes apart again
        owners, own = unions(file.banks[level], file.banks[to]), parts_of(file.banks[level])
        if level != to and owners is not None:
            made = replace(file.banks[to], parts=Leaves(own.vectors, tuple(owners[owner] for owner in own.owners)))
            return replace(file, banks={**file.banks, to: made})
    return file


def parents(fine: ConceptBank, coarse: ConceptBank) -> tuple[int, ...] | None:
    """The coarse concept that every fine one came from: by unions, or as ``leaf_owners`` of a split; else None."""
    owners = leaf_owners(fine, coarse)
    return None if owners is None else _owners(leaves_of(fine).owners, owners, len(fine.vectors))


def leaf_owners(fine: ConceptBank, coarse: ConceptBank) -> tuple[int, ...] | None:
    """The coarse concept that every leaf of a fine bank lies in; None where that cannot be said.

    The leaves are the same, or a split put others in the place of some. Each of these is a mean of tokens to which the
    leaf that it came from was the nearest; such tokens fill a convex cell, so it is the nearest to their mean too.
    """
    ours, theirs = leaves_of(fine), leaves_of(coarse)
    if np.array_equal(ours.vectors, theirs.vectors):
        return theirs.owners
    if ours.vectors.shape[1] != theirs.vectors.shape[1]:
        return None
    places = {row.tobytes(): index for index, row in enumerate(theirs.vectors)}
    origin = np.array([places.get(row.tobytes(), -1) for row in ours.vectors])
    replaced = np.setdiff1d(np.arange(len(theirs.vectors)), origin)
    new = np.flatnonzero(origin < 0)
    if not len(replaced) or len(replaced) == len(theirs.vectors):
        return None
    origin[new] = _nearest(ours.vectors[new], theirs.vectors)
    if set(origin[new].tolist()) != set(replaced.tolist()):
        return None
    return tuple(theirs.owners[index] for index in origin)


def put_levels(file: BankFile, levels: Mapping[int, ConceptBank], gone: tuple[int, ...] = ()) -> BankFile:
    """Add levels, or put them in the place of others; what is not known of those goes with them.

    Parents of levels that now stand beside another one are found anew; the others keep theirs. Names that nobody gave
    are those of their labels there, see ``unnamed``.

    Args:
        file: the banks.
        levels: by K.
        gone: K of levels that are taken out.
    """
    changed = {*levels, *gone}
    levels = {k: replace(bank, names=numbered(bank.names)) for k, bank in levels.items()}
    kept = {k: bank for k, bank in file.banks.items() if k not in changed}
    banks = dict(sorted({**kept, **levels}.items()))
    before = {fine: coarse for coarse, fine in pairwise([0, *file.banks])}
    for coarse, fine in pairwise([0, *banks]):
        if changed & {coarse, fine} or before[fine] != coarse:
            banks[fine] = replace(banks[fine], parents=parents(banks[fine], banks[coarse]) if coarse else None)
    tensors = tuple(f"k{k}/" for k in changed)
    return replace(
        file,
        banks=banks,
        unknown_by_k={k: known for k, known in file.unknown_by_k.items() if k not in changed},
        unknown_tensors={name: one for name, one in file.unknown_tensors.items() if not name.startswith(tensors)},
    )


def _within(ours: Leaves, theirs: Leaves, k: int) -> tuple[int, ...] | None:
    same = np.array_equal(ours.vectors, theirs.vectors)
    return _owners(ours.owners, theirs.owners, k) if same else None


def _nearest(rows: Float, to: Float) -> list[int]:
    """The nearest of some vectors (M, d) to every row."""
    scores = rows.astype(np.float64) @ to.T - 0.5 * (to.astype(np.float64) ** 2).sum(1)
    nearest: list[int] = scores.argmax(1).tolist()
    return nearest


def _owners(leaves: Sequence[int], above: Sequence[int], k: int) -> tuple[int, ...] | None:
    """The coarse concept of each of K fine ones, from those of their leaves; None where one lies in several."""
    pairs = set(zip(leaves, above, strict=True))
    return tuple(owner for _, owner in sorted(pairs)) if len(pairs) == k else None
