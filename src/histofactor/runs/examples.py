"""Typical patches of concepts, read again from the slides they were learned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from histofactor.base.digests import path_digest
from histofactor.base.workers import map_ahead
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import Example, SlideNote, examples_of, slides_of
from histofactor.errors import HistofactorError, ImageError
from histofactor.records import Region
from histofactor.records.urls import Input, Url
from histofactor.runs.source import Opening
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import Slide
from histofactor.slides.slide_parts import files_of

PATCHES, PATCH_PX = 4, 96  # for each concept, and the side of each
_DIGITS = 12  # of a SHA-256, as it is told
_AT_ONCE = 2  # slides that are open at a time
ANY_MPP = 1.0  # places and sides are told in level-0 px, so that µm/px are of no account here

Given = TypeVar("Given", bound=Input)
Patches = dict[tuple[int, int], list[NDArray[np.uint8]]]  # by K and label
_Place = tuple[int, int, int]  # K, label, rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is read of patches, and with how much care.

    Attributes:
        count: patches of each concept at most.
        side_px: side of each.
        checked: read all of a file to tell it from another of the same name, not only where names are not enough; for
            slides that a person gives. Those of stores are not fetched for that.
    """

    count: int = PATCHES
    side_px: int = PATCH_PX
    checked: bool = False


def read_examples(
    file: BankFile,
    inputs: Sequence[Input],
    opening: Opening | None = None,
    *,
    look: Look = Look(),
    openings: Mapping[Input, Opening] | None = None,
) -> tuple[Patches, list[str]]:
    """Read the typical patches that a bank tells of, slide by slide, from different slides as far as there are.

    An input is the slide on the card that has its file name; where several share it, the SHA-256 decides.

    Args:
        file: from ``read_bank_file``.
        inputs: the slides, or some of them; others are passed over.
        opening: how they are opened, as they were when the bank was learned.
        look: how many patches, of which side, and with how much care.
        openings: how some inputs are opened otherwise.

    Returns:
        (side_px, side_px, 3) uint8 patches by K and label, the most typical first, and what could not be read, one
        sentence each.

    Raises:
        BankError: what the bank tells of its concepts cannot be read.
    """
    slides, opening = slides_of(file.card), opening or Opening()
    paths, missing = find_slides(slides, inputs, opening, checked=look.checked)
    wanted = {
        (k, label): choose([one for one in examples if one.slide in paths], look.count)
        for k, bank in file.banks.items()
        for label, examples in enumerate(examples_of(bank), 1)
    }
    found: dict[_Place, NDArray[np.uint8]] = {}

    def read(at: tuple[int, Input]) -> dict[_Place, NDArray[np.uint8]] | HistofactorError:
        slide, path = at
        here = {
            (*key, rank): one
            for key, examples in wanted.items()
            for rank, one in enumerate(examples)
            if one.slide == slide
        }
        try:
            return _read(path, here, (openings or {}).get(path, opening), look.side_px)
        except HistofactorError as error:
            return error

    fetched = any(isinstance(path, Url) for path in paths.values())  # one at a time: they share a cache
    for one in map_ahead(read, sorted(paths.items()), 1 if fetched else _AT_ONCE):
        if isinstance(one, HistofactorError):
            missing.append(str(one))
        else:
            found |= one
    patches: Patches = {}
    for k, label, rank in sorted(found):
        patches.setdefault((k, label), []).append(found[k, label, rank])
    return patches, missing


def find_slides(
    slides: Sequence[SlideNote], inputs: Sequence[Given], opening: Opening | None = None, *, checked: bool = False
) -> tuple[dict[int, Given], list[str]]:
    """The input of each slide by its place on the card, and what is wrong with the others.

    Args:
        slides: on the card.
        inputs: of them, or some; others are passed over.
        opening: how they are opened.
        checked: as ``Look.checked``.
    """
    names = [PurePosixPath(slide.name).name for slide in slides]
    given = [path.name for path in inputs]
    paths: dict[int, Given] = {}
    missing, told = [], set[str]()
    for path in inputs:
        places = [place for place, name in enumerate(names) if name == path.name]
        unclear = len(places) > 1 or given.count(path.name) > 1
        known = checked and not isinstance(path, Url) and all(slides[place].sha256 for place in places)
        if places and (unclear or known):
            try:
                with (opening or Opening()).local(path) as local:
                    digest = path_digest(files_of(local)[0])
            except OSError as error:
                missing.append(f"{path} cannot be read: {error.strerror or error}")
                continue
            except HistofactorError as error:
                missing.append(str(error))
                continue
            if not unclear and slides[places[0]].sha256 != digest:
                missing.append(_told_other(path, slides[places[0]], digest))
                told.add(path.name)
            places = [place for place in places if slides[place].sha256 == digest]
        paths |= dict.fromkeys(places, path)
    absent = [name for place, name in enumerate(names) if place not in paths and name not in told]
    if absent:
        more = f" nor are {len(absent) - 1} more" if len(absent) > 1 else ""
        missing.append(f"{absent[0]} is not among the inputs{more}")
    return paths, missing


def _told_other(path: Input, slide: SlideNote, digest: str) -> str:
    """That a file is another one than its name says."""
    wanted, got = slide.sha256[:_DIGITS], digest[:_DIGITS]
    return str(
        ImageError(
            f"{path} is not the file that the bank was learned on, though it has its name",
            expected=f"SHA-256 {wanted}…",
            got=f"{got}…",
            mend="give the file itself",
        )
    )


def choose(examples: Sequence[Example], count: int = PATCHES) -> list[Example]:
    """So many examples, none of which overlap: the first of every slide, then the second of every slide, and so on."""
    found: dict[int, list[Example]] = {}
    ranked = []
    for example in examples:
        before = found.setdefault(example.slide, [])
        if not any(_overlap(example, other) for other in before):
            ranked.append((len(before), example))
            before.append(example)
    return [example for _, example in sorted(ranked, key=lambda one: one[0])[:count]]


def _overlap(one: Example, other: Example) -> bool:
    """Whether two places of one slide share px."""
    return all(abs(a - b) < min(one.side, other.side) for a, b in ((one.x, other.x), (one.y, other.y)))


def _read(
    path: Input, wanted: Mapping[_Place, Example], opening: Opening, side_px: int
) -> dict[_Place, NDArray[np.uint8]]:
    if not wanted:
        return {}
    with opening.open(path, opening.source_mpp or ANY_MPP) as slide:
        return {place: read_blocks(slide, region_of(slide, path, one, side_px))[0] for place, one in wanted.items()}


def region_of(slide: Slide, path: Input, one: Example, side_px: int = PATCH_PX) -> Region:
    """The square that shows an example, moved inwards where it would leave the slide.

    Args:
        slide: open.
        path: of it.
        one: the example.
        side_px: of what is read.

    Raises:
        ImageError: the slide is another one.
    """
    width, height = slide.info.size
    if not (0 <= one.x + one.side / 2 <= width and 0 <= one.y + one.side / 2 <= height):
        expected, got = f"a place at {one.x:g}, {one.y:g}", f"{width} × {height} px"
        raise ImageError(f"{path} is not the slide that the bank was learned on", expected=expected, got=got)
    side = min(one.side, width, height)
    x, y = min(max(one.x, 0.0), width - side), min(max(one.y, 0.0), height - side)
    return Region(x, y, side, side, (side_px, side_px))
