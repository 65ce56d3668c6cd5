"""What a list of slides says of each."""

from __future__ import annotations

from typing import Any

from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import HistofactorError
from histofactor.recipe import OutputsRecipe, digest
from histofactor.runs.status import read_status
from histofactor.viewer.slide import told
from histofactor.viewer.study import StudyView


def slide_row(view: StudyView, id_: str) -> dict[str, Any]:
    """What a list of slides says of one, JSON types: its status, and px and µm² of every label from 0 on.

    ``fault`` tells what is wrong with its label map, once that was looked at or is missing; ``source`` what is to be
    told of its input, as far as is known, and ``checking`` whether more will be known soon.
    """
    name = view.slides[id_]
    status = read_status(view.out / name)
    row: dict[str, Any] = {"status": "waiting" if status is None else status.outcome.status}
    if status is not None and status.outcome.error:
        row["error"] = status.outcome.error
    if row["status"] not in {"done", "damaged"}:
        return row
    slide = view.slide(id_, shown=False)
    rows, fault = told(lambda: slide.rows)
    sealed, broken = told(lambda: slide.sealed)
    if rows is None or sealed is None:
        return {**row, "status": "failed", "fault": fault or broken}
    per_px = next((one.area_um2 / one.area_px for one in rows if one.area_um2 and one.area_px), None)
    own = [[one.name, list(one.color or (0, 0, 0)), one.label > 0 and one.fraction is None] for one in rows]
    if (damaged := slide.labels_fault) is not None:
        row["fault"] = damaged
    source, checking = view.checks.of(id_, slide.origin.find)
    return {
        **row,
        "source": source,
        "checking": checking,
        "warnings": slide.warnings,
        "bank": sealed.bank,
        "k": sealed.k,
        "made_of": sealed.made_of,
        "px": [one.area_px for one in rows],
        "um2_per_px": per_px,
        "margin": [one.mean_margin for one in rows],
        "residual": [one.mean_residual for one in rows],
        "own": own,
        "size": list(sealed.size),
    }


def is_behind(view: StudyView, id_: str) -> bool:
    """Whether files of a slide tell other concepts than those of the study, which ``Apply`` mends."""
    try:
        study, sealed = view.concepts(), view.slide(id_, shown=False).sealed
    except HistofactorError:
        return False
    if study is None or sealed.recipe.get("method") == "single":
        return False
    bank, recipe = in_one_color(study.file.banks[study.k]), sealed.recipe
    outputs = OutputsRecipe(
        files=tuple(recipe.get("files", ())), names=bank.names, colors=bank.colors, excluded=bank.excluded
    )
    return sealed.bank != bank_hash(bank) or recipe.get("outputs_sha256") != digest(outputs)
