"""What may make a map meaningless: sentences for notes, each with what to do, known again by how they begin."""

from __future__ import annotations

NO_TISSUE = (
    "no tissue was found, so every label is 0: mark it with --tissue-mask, or take everything for tissue with "
    "--no-tissue"
)
UNKNOWN_MPP = (
    "no µm/px is known: the map is made at the input's own pixel size and may be meaningless, and areas in µm² stay "
    "empty; state it with --source-mpp"
)
_MOST_RELABELLED, _FEWEST = 0.5, 2  # share of the tissue, and phenotypes, beyond which a map is told to be erased
_COARSE = "coarse µm/px"
_ERASED = "--min-area"
_OPENINGS = ("no tissue", "no µm/px", _COARSE, _ERASED)


def coarse(mpp: float, asked: float) -> str:
    """The sentence for an input that is coarser than what it is to be worked at.

    Args:
        mpp: µm/px of the input.
        asked: µm/px to work at, finer.
    """
    return (
        f"{_COARSE}: worked at its own {mpp:g} µm/px, which is coarser than the {asked:g} µm/px that is right for the "
        f"encoder or asked for; it sees everything {mpp / asked:.2g} times smaller, so phenotypes may be wrong: give a "
        f"finer scan, or state --source-mpp where {mpp:g} is not true"
    )


def erased(min_area_um2: float, share: float, before: int, after: int) -> str:
    """The sentence for a map of which merging small pieces left little; "" where it left enough.

    Args:
        min_area_um2: µm² below which pieces were merged.
        share: of the tissue that has another label by that.
        before, after: phenotypes in the map.
    """
    if share <= _MOST_RELABELLED and not after < _FEWEST <= before:
        return ""
    return (
        f"{_ERASED} {min_area_um2:g} µm² leaves {after} of {before} phenotypes, and {share:.0%} of the tissue has "
        f"another label by it: give a smaller one"
    )


def is_warning(note: str) -> bool:
    """Whether a note of an input tells that its map may be meaningless."""
    return note.startswith(_OPENINGS)
