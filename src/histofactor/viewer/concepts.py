"""Concepts to look at: where each occurs, what it is like, and typical patches of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import Example, slides_of
from histofactor.concepts.bank.summary import ConceptSummary, summarize
from histofactor.errors import ImageError, OptionError
from histofactor.export.picture import jpeg
from histofactor.runs.examples import choose, find_slides, region_of
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import Slide
from histofactor.viewer.origin import OTHER, Origin
from histofactor.viewer.study import StudyView

PATCHES, PATCH_PX = 12, 192  # of each concept, and the side of each
_ORIGINS = 24  # told of each concept


@dataclass(frozen=True, slots=True)
class Patch:
    """A typical place.

    Attributes:
        id: of its slide.
        example: where it is.
    """

    id: str
    example: Example


def card(file: BankFile, k: int, label: int, view: StudyView | None) -> dict[str, Any]:
    """All that is known of one concept, JSON types.

    Args:
        file: the banks.
        k: the level.
        label: 1 … K.
        view: the study that the bank is of, or None.

    Raises:
        OptionError: there is no such label.
        BankError: what the bank tells of its concepts cannot be read.
    """
    one = _summary(file, k, label)
    found = patches(file, k, label, view) if view is not None else []
    return {
        "label": label,
        "name": one.name,
        "color": list(one.color),
        "excluded": one.excluded,
        "share": one.share,
        "neighbours": [list(pair) for pair in one.neighbours],
        "origins": [list(pair) for pair in one.origins[:_ORIGINS]],
        "alone": "" if one.in_one_slide else one.alone,
        "in_one_slide": one.in_one_slide,
        "patches": [
            {"id": patch.id, "x": patch.example.x, "y": patch.example.y, "side": patch.example.side} for patch in found
        ],
        "told_places": len(one.examples),
    }


def patches(file: BankFile, k: int, label: int, view: StudyView) -> list[Patch]:
    """Typical places of a concept on slides of a study, from different slides as far as there are.

    Raises:
        OptionError: there is no such label.
        BankError: what the bank tells of its concepts cannot be read.
    """
    slides = slides_of(file.card)
    ids = {path: id_ for id_, path in view.inputs.items()}
    if view.alone:  # whose files are told from others by who finds them
        paths = {
            place: path for path in ids for place, one in enumerate(slides) if PurePosixPath(one.name).name == path.name
        }
    else:
        paths, _ = find_slides(slides, list(view.inputs.values()))
    chosen = choose([one for one in _summary(file, k, label).examples if one.slide in paths], PATCHES)
    return [Patch(ids[paths[one.slide]], one) for one in chosen]


def read_patch(patch: Patch, origin: Origin, slide: Slide) -> bytes:
    """A patch as a JPEG file.

    Args:
        patch: which.
        origin: the file of its slide.
        slide: opened.

    Raises:
        ImageError: the slide is another one.
    """
    if origin.state == OTHER:
        raise ImageError(f"{origin.path.name} is not the slide that the bank was learned on")
    region = region_of(slide, origin.path, patch.example, PATCH_PX)
    return jpeg(read_blocks(slide, region)[0], quick=True)


def _summary(file: BankFile, k: int, label: int) -> ConceptSummary:
    if not 1 <= label <= k:
        raise OptionError(f"there is no label {label}", expected=f"labels from 1 to {k}")
    return summarize(file, k)[label - 1]
