"""Typical patches of concepts, read again from the slides they were learned on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank_file import BankFile
from histofactor.concepts.summary import summarize
from histofactor.errors import HistofactorError
from histofactor.records import Region
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import open_slide

PATCHES, PATCH_PX = 4, 96  # for each concept, and the side of each

Patches = dict[tuple[int, int], list[NDArray[np.uint8]]]  # by K and label


def read_examples(file: BankFile, inputs: Sequence[Path]) -> tuple[Patches, list[str]]:
    """Read the typical patches that a bank tells of, slide by slide.

    Args:
        file: from ``read_bank_file``.
        inputs: the slides, found by the names on the card.

    Returns:
        (PATCH_PX, PATCH_PX, 3) uint8 patches by K and label, the most typical first, and what could not be read, one
        sentence each.
    """
    paths = {path.name: path for path in inputs}
    names = [Path(slide["name"]).name for slide in file.card.get("slides", ())]
    wanted = defaultdict(list)
    for k in file.banks:
        for concept in summarize(file, k):
            for rank, one in enumerate(concept.examples[:PATCHES]):
                wanted[one["slide"]].append(((k, concept.label), rank, one))
    found: dict[tuple[int, int], dict[int, NDArray[np.uint8]]] = defaultdict(dict)
    missing = []
    for slide, places in sorted(wanted.items()):
        path = paths.get(names[slide])
        if path is None:
            missing.append(f"{names[slide]} is not among the inputs")
            continue
        try:
            with open_slide(path) as opened:
                for key, rank, one in places:
                    found[key][rank] = read_blocks(opened, _inside(one, opened.info.size))[0]
        except HistofactorError as error:
            missing.append(str(error))
    return {key: [ranked[rank] for rank in sorted(ranked)] for key, ranked in found.items()}, missing


def _inside(one: Mapping[str, Any], size: tuple[int, int]) -> Region:
    """The square that shows an example, moved inwards where it would leave the input."""
    side = min(one["side"], *size)
    x, y = (min(max(one[axis], 0.0), length - side) for axis, length in zip(("x", "y"), size, strict=True))
    return Region(x, y, side, side, (PATCH_PX, PATCH_PX))
