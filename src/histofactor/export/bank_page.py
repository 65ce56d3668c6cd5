"""The page of a bank: its card, how many concepts it should have, and every concept to look at."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from histofactor.base.colors import seen_color
from histofactor.base.files import atomic
from histofactor.base.text import finalize
from histofactor.concepts.bank.file import BankFile, recommended_k
from histofactor.concepts.bank.following import EXCESS, following_of, in_words, ungrouped
from histofactor.concepts.bank.provenance import CHOICE, check_card, residual_limit_of
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.bank.suggested import NONE, ByConcept
from histofactor.concepts.bank.summary import summarize
from histofactor.concepts.learn.choose_k import MOST_SMALL
from histofactor.export.axis import ticks
from histofactor.export.overlay import render_overlay
from histofactor.export.picture import data_uri, jpeg
from histofactor.export.tables import hex_color
from histofactor.records import ConceptBank, LabelMap, SlideInfo
from histofactor.segmentation.field import SMALL_UM2, Field, Seen, see

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 300, 24, 144  # of a plot, in its own units


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a page shows beside what the bank says of itself.

    Attributes:
        patches: typical patches (h, w, 3) by K and label; may be empty.
        used: the K that the slides of a study are segmented with, whose concepts are seen at once; None, where there is
            no study, shows those of the recommended one, else of the smallest.
        suggested: names that a model suggests for its concepts, see ``concepts.bank.suggested``.
        field: a field to see at every K, or None.
    """

    patches: Mapping[tuple[int, int], Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    used: int | None = None
    suggested: ByConcept = field(default_factory=lambda: NONE)
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class _Map:
    """Labels on the px of a field, as ``render_overlay`` takes them."""

    slide: SlideInfo
    label_map: LabelMap
    l0_per_px: tuple[float, float] = (1.0, 1.0)


def write_bank_page(file: BankFile, path: str | os.PathLike[str], title: str, beside: Beside = Beside()) -> None:
    """Write one self-contained page: it holds its images and styles, loads nothing and runs no script.

    Args:
        file: from ``read_bank_file``.
        path: the page to write.
        title: what the bank is called.
        beside: what else it shows.

    Raises:
        BankError: what the bank tells of itself cannot be read.
        OutputError: the file cannot be written.
    """
    environment = jinja2.Environment(autoescape=True, finalize=finalize, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"hex": hex_color, "jpeg": lambda rgb: data_uri(jpeg(rgb))}
    environment.filters |= {"seen": seen_color, "in_words": in_words}
    source = resources.files("histofactor.export").joinpath("bank_page.html.jinja").read_text(encoding="utf-8")
    first, used = next(iter(file.banks.values())), beside.used
    check_card(file.card)
    choice = file.card.get("choice")
    page = environment.from_string(source).stream(
        title=title,
        shown=used if used in file.banks else recommended_k(file) or min(file.banks),
        used=used,
        encoder=first.encoder,
        mpp=first.mpp,
        card=file.card,
        levels={k: summarize(file, k, beside.suggested) for k in file.banks},
        hashes={k: bank_hash(bank) for k, bank in file.banks.items()},
        followings={k: found for k, bank in file.banks.items() if (found := following_of(bank)) is not None},
        ungrouped=ungrouped(file.card),
        excess=EXCESS,
        limits={k: residual_limit_of(bank) for k, bank in file.banks.items()},
        slides=[slide for slide in file.card.get("slides") or () if isinstance(slide, dict)],
        plots=_plots(choice["rows"]) if choice and choice["rows"] else {},
        patches=beside.patches,
        fields=[] if beside.field is None else _at_every_k(beside.field, file.banks),
        field=beside.field,
        small=SMALL_UM2,
        most_small=MOST_SMALL,
    )
    with atomic(path) as temporary, temporary.open("wb") as stream:
        page.dump(stream, encoding="utf-8")


def _at_every_k(field: Field, banks: Mapping[int, ConceptBank]) -> list[tuple[int, Seen, NDArray[np.uint8]]]:
    """K, what is seen of a field at it, and the field in its colours."""
    height, width = field.rgb.shape[:2]
    found = []
    for k, seen in see(field, banks).items():
        labels = LabelMap(seen.labels, field.mpp, (0, 0), banks[k].names, banks[k].colors)
        placed = _Map(SlideInfo(None, (width, height), field.mpp, (1.0,), "field"), labels)
        found.append((k, seen, render_overlay(field.rgb, placed)))
    return found


def _plots(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Points (x, y, K) and ticks (y, label) of a plot over log K, for every figure."""
    logs = [math.log2(row["k"]) for row in rows]
    span = max(logs[-1] - logs[0], 1e-9)
    found: dict[str, dict[str, Any]] = {}
    for name in CHOICE:
        values = [row[name] for row in rows]
        marks = ticks(min(values), max(values))
        low, reach = marks[0][0], marks[-1][0] - marks[0][0]

        def down(value: float, low: float = low, reach: float = reach) -> float:
            return round(_BOTTOM - (_BOTTOM - _TOP) * (value - low) / reach, 1)

        points = [
            (
                round(_LEFT + (_RIGHT - _LEFT) * (log - logs[0]) / span, 1),
                down(value),
                row["k"],
            )
            for log, value, row in zip(logs, values, rows, strict=True)
        ]
        found[name] = {"points": points, "ticks": [(down(value), label) for value, label in marks]}
    return found
