"""One study as the page sees it: its slides, its concepts, and what of its results is behind them."""

from __future__ import annotations

import shlex
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from histofactor.base.files import Stamp, check_folder, make_folder, stamp_of
from histofactor.base.names import PAGE, RUNS, SEAL, SMALL, TABLE
from histofactor.concepts.bank.nesting import unions
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.provenance import slides_of
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.hints import hints_of, shown_hint
from histofactor.errors import BankError, OptionError, OutputError
from histofactor.records import ConceptBank
from histofactor.runs.derive import derive
from histofactor.runs.examples import ANY_MPP
from histofactor.runs.history import history
from histofactor.runs.ledger import placed_inputs
from histofactor.runs.place import LOCKS, locked
from histofactor.runs.source import Opening
from histofactor.runs.staging import restore
from histofactor.runs.study import BANK, Study, digest_of, journal_of, open_study
from histofactor.slides.reader import Slide
from histofactor.viewer.alone import finders_of, first_level
from histofactor.viewer.ids import by_id
from histofactor.viewer.origin import OriginChecks, OriginFinder
from histofactor.viewer.said import said
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
        inputs: where they lay, by id; of a bank alone, the slides that it was learned from.
        why_read_only: one sentence, or "" where it may be changed.
        moved: where inputs are looked for that are not where they were, or None.
        alone: whether there is a bank and no study.
        finders: of a bank alone, what finds the slides that it was learned from, by id.
        checks: what is known of the inputs.
    """

    out: Path
    bank: Path | None
    slides: Mapping[str, str]
    inputs: Mapping[str, Path]
    why_read_only: str = ""
    moved: Path | None = None
    alone: bool = False
    finders: Mapping[str, OriginFinder] = field(default_factory=dict)
    checks: OriginChecks = field(default_factory=OriginChecks)
    _views: dict[str, tuple[Stamp | None, SlideView]] = field(default_factory=dict)
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
        stamp = stamp_of(self.out / name / SEAL)
        with self._lock:
            held = self._views.get(id_)
            if held is None or held[0] != stamp:
                held = self._views[id_] = stamp, SlideView(self.out, name, self.moved, self._digests)
        return held[1]

    @property
    def title(self) -> str:
        """What it is called: its folder, or the file of a bank alone."""
        return self.bank.name if self.alone and self.bank is not None else self.out.resolve().name

    def origin(self, id_: str) -> OriginFinder:
        """What finds the input of a slide; raises as ``slide``."""
        return self.finders[id_] if id_ in self.finders else self.slide(id_, shown=False).origin

    def open_input(self, id_: str) -> Slide:
        """Open the input of a slide; raises what ``open_slide`` does, and as ``SlideView.open_source``."""
        if id_ in self.finders:
            return Opening(source_mpp=ANY_MPP).open(self.finders[id_].find().path)
        return self.slide(id_, shown=False).open_source()

    def _digests(self, name: str) -> frozenset[str]:
        """SHA-256 of inputs of a file name that concepts were learned from."""
        study, _ = told(self.concepts)
        slides = () if study is None else slides_of(study.file.card)
        return frozenset(one.sha256 for one in slides if one.sha256 and PurePosixPath(one.name).name == name)

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
        finders = finders_of(open_study(out).file, out, moved)
        inputs = {id_: finder.path for id_, finder in finders.items()}
        yield StudyView(out.parent, out, {}, inputs, _ALONE, moved, alone=True, finders=finders)
        return
    placed = _placed(out)
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


def _placed(out: Path) -> dict[str, str]:
    """The inputs of a study by the folder of each; of the folder of one slide the error names the study above it."""
    try:
        return placed_inputs(out)
    except OptionError as error:
        if not (out / SEAL).exists() or not (out.resolve().parent / RUNS).is_dir():
            raise
        what, above = f"{out} holds the results of one slide", out.resolve().parent
        mend = f"view the study that it is of: histofactor view {shlex.quote(str(above))}"
        raise OptionError(what, expected="an output folder of `histofactor segment`", mend=mend) from error


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

    derived = min(written(out / name) for name in (TABLE, PAGE))
    return any(written(out / folder / SEAL) > derived for folder in folders)


def level_of(view: StudyView, k: int | None) -> Study | None:
    """The concepts as they are, of a bank alone at the level asked for.

    Raises:
        OptionError: the bank has no such level.
        BankError: as ``StudyView.concepts``.
    """
    study = view.concepts()
    if study is None or not view.alone:
        return study
    k = first_level(study) if k is None else k
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
        "undo": None if not past.undo else said(past.undo[-1]),
        "redo": None if not past.redo else said(past.redo[-1]),
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
