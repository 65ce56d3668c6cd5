"""One study as the page sees it: its slides, its concepts, and what of its results is behind them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histofactor.base.files import check_folder, make_folder
from histofactor.base.names import COHORT, PAGE, SEAL, SMALL, TABLE
from histofactor.concepts.bank.nesting import unions
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.hints import hints_of, shown_hint
from histofactor.errors import BankError, HistofactorError, OptionError, OutputError
from histofactor.recipe import OutputsRecipe, digest
from histofactor.records import ConceptBank
from histofactor.runs.derive import derive
from histofactor.runs.history import history
from histofactor.runs.ledger import placed_inputs
from histofactor.runs.place import LOCKS, locked
from histofactor.runs.staging import restore
from histofactor.runs.status import read_status
from histofactor.runs.study import BANK, Study, digest_of, journal_of, open_study
from histofactor.viewer.ids import by_id
from histofactor.viewer.slide import SlideView, told
from histofactor.viewer.suggested import suggested_names

_ALONE = "a bank is only looked at here: its concepts are named in its study, or by `histofactor concepts`"
_SHOWN = 16  # slides whose labels are open
_BUSY = "another viewer has this study open: this one only looks"


@dataclass(eq=False)
class StudyView:
    """A study that is open.

    Attributes:
        out: its folder.
        bank: its concepts, or None where it has none of its own.
        slides: folders of its slides by id, in the order of the runs.
        inputs: where they lay, by id.
        why_read_only: one sentence, or "" where it may be changed.
        moved: where inputs are looked for that are not where they were, or None.
        alone: whether there is a bank and no study.
    """

    out: Path
    bank: Path | None
    slides: Mapping[str, str]
    inputs: Mapping[str, Path]
    why_read_only: str = ""
    moved: Path | None = None
    alone: bool = False
    _views: dict[str, tuple[tuple[int, int], SlideView]] = field(default_factory=dict)
    _shown: OrderedDict[str, SlideView] = field(default_factory=OrderedDict)
    _study: tuple[tuple[int, int], Study] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def slide(self, id_: str, *, shown: bool = True) -> SlideView:
        """A slide; opened anew where its results were written since.

        Args:
            id_: of the slide.
            shown: whether its labels are read; few slides keep theirs open at a time.

        Raises:
            OptionError: no slide has this id.
            ImageError: it has no results.
        """
        if id_ not in self.slides:
            raise OptionError("there is no such slide")
        view = self._view(id_)
        if not shown:
            return view
        with self._lock:
            self._shown[id_] = view
            self._shown.move_to_end(id_)
            if len(self._shown) > _SHOWN:
                self._shown.popitem(last=False)[1].release()
        return view

    @property
    def first(self) -> str | None:
        """The slide that a page opens with: the first that has results."""
        return next((id_ for id_, name in self.slides.items() if (self.out / name / SMALL).exists()), None)

    def _view(self, id_: str) -> SlideView:
        name = self.slides[id_]
        try:
            stat = (self.out / name / SEAL).stat()
            stamp = stat.st_mtime_ns, stat.st_ino
        except OSError:
            stamp = 0, 0
        with self._lock:
            held = self._views.get(id_)
            if held is None or held[0] != stamp:
                held = self._views[id_] = stamp, SlideView(self.out, name, self.moved)
        return held[1]

    def concepts(self) -> Study | None:
        """The bank as it is now, or None where the study has none of its own.

        Raises:
            BankError: it cannot be read, is of a newer version, or was changed by something else.
        """
        if self.bank is None:
            return None
        try:
            stat = self.bank.stat()
        except OSError as error:
            raise BankError(f"{self.bank} cannot be read", got=error.strerror or str(error)) from error
        stamp = stat.st_mtime_ns, stat.st_ino
        with self._lock:
            if self._study is None or self._study[0] != stamp:
                self._study = stamp, open_study(self.bank)
            return self._study[1]


@contextmanager
def open_view(out: Path, *, read_only: bool = False, moved: Path | None = None) -> Iterator[StudyView]:
    """Open a study, or a bank alone, until the block ends; who opens a study first may change it.

    Args:
        out: an output folder of ``segment``, or a bank.
        read_only: change nothing.
        moved: where inputs are looked for that are not where they were.

    Raises:
        OptionError: the folder is no study.
        BankError: its concepts cannot be read, are of a newer version, or were changed by something else.
    """
    if not out.exists():
        raise OptionError(f"{out} does not exist", expected="an output folder of `histofactor segment`, or a bank")
    if not out.is_dir():
        open_study(out)
        yield StudyView(out.parent, out, {}, {}, _ALONE, alone=True)
        return
    placed = placed_inputs(out)
    slides = by_id(placed)
    inputs = {id_: Path(placed[folder]) for id_, folder in slides.items()}
    bank = out / BANK if (out / BANK).exists() else None
    if bank is not None:
        open_study(bank)
    if bank is None or read_only:
        none = "the concepts of this study belong to a bank elsewhere: they are named there, by `histofactor concepts`"
        yield StudyView(out, bank, slides, inputs, "it was opened to look only" if read_only else none, moved)
        return
    with _held(out, slides.values()) as why:
        yield StudyView(out, bank, slides, inputs, why, moved)


@contextmanager
def _held(out: Path, folders: Iterable[str]) -> Iterator[str]:
    """Hold the lease of viewers, and mend what a process that was killed left; yields why that cannot be, or ""."""
    try:
        check_folder(out / LOCKS, inside=out)
        make_folder(out / LOCKS)
        probe = out / LOCKS / "viewer.probe"
        probe.touch()
        probe.unlink()
        if restore(out) or _is_derived_before(out, folders):
            derive(out)
    except (OutputError, OSError) as error:
        yield f"the study cannot be written: {error}"
        return
    bank = out / BANK
    with locked(out / LOCKS / "viewer.lock.json", blocking=False, guards=(bank, journal_of(bank))) as mine:
        yield "" if mine else _BUSY


def _is_derived_before(out: Path, folders: Iterable[str]) -> bool:
    """Whether what tells of all slides is older than the results of one, or is missing."""

    def written(path: Path) -> int:
        return path.stat().st_mtime_ns if path.exists() else 0

    derived = min(written(out / name) for name in (TABLE, COHORT, PAGE))
    return any(written(out / folder / SEAL) > derived for folder in folders)


def level_of(view: StudyView, k: int | None) -> Study | None:
    """The concepts as they are, of a bank alone at the level asked for.

    Raises:
        OptionError: the bank has no such level.
        BankError: as ``StudyView.concepts``.
    """
    study = view.concepts()
    if study is None or k is None or not view.alone:
        return study
    if k not in study.file.banks:
        raise OptionError(f"the bank has no K = {k}", expected=f"one of {', '.join(map(str, study.file.banks))}")
    return replace(study, k=k)


def concepts_state(view: StudyView, k: int | None = None) -> dict[str, Any]:
    """The concepts as the page shows them, JSON types; ``k`` as for ``level_of``.

    ``maps`` tells, by the hash of the concepts that a slide's labels are of, the concept of the study that each of its
    labels from 1 on belongs to, 0-based; slides of other concepts keep their own.
    """
    study = level_of(view, k)
    if study is None or view.bank is None:
        return {"k": None, "version": "", "concepts": [], "maps": {}, "undo": None, "redo": None, "levels": []}
    bank, past = in_one_color(study.file.banks[study.k]), history(view.bank)
    hints, (suggested, fault) = hints_of(bank.provenance, study.k), suggested_names(view.bank, bank)
    maps = {bank_hash(other): owners for other in study.file.banks.values() if (owners := unions(other, bank))}
    return {
        "k": study.k,
        "version": digest_of(view.bank),
        "concepts": [
            {**_concept_row(bank, concept, hints[concept]), "suggested": suggested.get(concept + 1)}
            for concept in range(study.k)
        ],
        "suggested_fault": fault,
        "maps": {key: list(owners) for key, owners in maps.items()},
        "undo": None if not past.undo else past.undo[-1].did,
        "redo": None if not past.redo else past.redo[-1].did,
        "levels": list(study.file.banks),
    }


def _concept_row(bank: ConceptBank, concept: int, hint: str) -> dict[str, Any]:
    """One concept as the page lists it."""
    return {
        "name": bank.names[concept],
        "hint": shown_hint(bank.names[concept], hint),
        "color": list(bank.colors[concept]),
        "excluded": concept in bank.excluded,
    }


def slide_row(view: StudyView, id_: str) -> dict[str, Any]:
    """What a list of slides says of one, JSON types: its status, and px and µm² of every label from 0 on.

    ``fault`` tells what is wrong with its label map, once that was looked at or is missing.
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
    return {
        **row,
        "bank": sealed.bank,
        "k": sealed.k,
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
