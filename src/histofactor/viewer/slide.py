"""One slide of a study: its results, and the input that they are of, where it still lies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from histofactor.base.digests import DamagedError, check_digest
from histofactor.base.files import check_folder
from histofactor.base.names import LABELS, TABLE, WEIGHTS
from histofactor.concepts.bank.record import is_a
from histofactor.errors import HistofactorError, ImageError
from histofactor.export.read import check_recipe
from histofactor.export.seal import read_seal
from histofactor.export.tables import PhenotypeRow, read_phenotypes
from histofactor.export.weights import SparseWeights
from histofactor.runs.source import Opening
from histofactor.slides.reader import Slide
from histofactor.slides.warnings import is_warning
from histofactor.viewer.labels import LabelPyramid
from histofactor.viewer.origin import OriginFinder, error_parts
from histofactor.viewer.tokens import Heat, Token, heat, members_of, token_at

_AGAIN = "segment the input again"
Some = TypeVar("Some")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What ``segmentation.json`` says that is shown.

    Attributes:
        recipe: all of it.
        bank: hash of the concepts of the labels.
        k: their number.
        labels: hash of what the labels depend on.
        source: where the input lay.
        size: (width, height) of the input in level-0 px.
        mpp: µm per level-0 px, or None.
        l0_per_px: (x, y) level-0 px per px of the label map.
        made_of: ``bank``, the hash of the concepts of its weights, and ``of``, those of them that each label from 1 on
            is made of, 0-based; None where its labels are the concepts of its weights.
    """

    recipe: Mapping[str, Any]
    bank: str
    k: int
    labels: str
    source: Path
    size: tuple[int, int]
    mpp: float | None
    l0_per_px: tuple[float, float]
    made_of: Mapping[str, Any] | None = None


def read_sealed(folder: Path) -> Sealed:
    """Read the seal of results.

    Raises:
        ImageError: there is none, or it is damaged or of another version.
    """
    try:
        recipe = check_recipe(read_seal(folder))
        recipe["bank"].pop("provenance", None)  # long, and the same for all slides
        (width, height), bank, path = recipe["source"]["size"], recipe["bank"], recipe["made_by"]["path"]
        l0_x, l0_y = recipe["geometry"]["l0_per_px"]
        if not all(is_a((int, float), one) and one > 0 for one in (l0_x, l0_y)) or not is_a(int, bank["k"]):
            raise ValueError("it has numbers that no segmentation has")
        if not all(isinstance(one, str) for one in (path, recipe["digests"][LABELS])):
            raise ValueError("it lacks what belongs in it")
        size, mpp, labels = (width, height), recipe["source"]["mpp"], recipe["recipe_sha256"]
        return Sealed(recipe, bank["sha256"], bank["k"], labels, Path(path), size, mpp, (l0_x, l0_y), _made_of(recipe))
    except (DamagedError, KeyError, TypeError, ValueError) as error:
        raise ImageError(
            f"the results in {folder.name} are not there, damaged, or of another version",
            expected="what this version of histofactor wrote",
            got=str(error),
            mend=_AGAIN,
        ) from error


def _made_of(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """What labels are made of, where they are unions; raises ValueError where the seal tells what cannot be."""
    finer = recipe.get("weights_of")
    if finer is None:
        return None
    of = finer["of"]
    if len(of) != recipe["bank"]["k"] or not all(is_a(int, one) and one >= 0 for members in of for one in members):
        raise ValueError("it does not tell what its labels are made of")
    return {"bank": finer["bank"], "of": of}


@dataclass(eq=False)
class SlideView:
    """One slide whose results are sealed; parts are opened as they are asked for, and may be read by several threads.

    Args:
        out: the output folder.
        name: of the folder of its results.
        moved: where inputs are looked for that are not where they were, or None.
        digests: SHA-256 that are known of inputs of a file name.
    """

    out: Path
    name: str
    moved: Path | None = None
    digests: Callable[[str], Collection[str]] = lambda name: ()
    _fault: dict[str, str] | None = None
    _held: dict[str, Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def folder(self) -> Path:
        """Of the results; raises OutputError where a link leads elsewhere."""
        check_folder(self.out / self.name, inside=self.out)
        return self.out / self.name

    @property
    def sealed(self) -> Sealed:
        """What its seal says; raises ImageError."""
        return self._once("sealed", lambda: read_sealed(self.folder))

    @property
    def rows(self) -> list[PhenotypeRow]:
        """Its phenotypes, label 0 first; raises ImageError."""

        def read() -> list[PhenotypeRow]:
            rows = read_phenotypes(self.folder / TABLE)
            if [row.label for row in rows] != list(range(len(rows))) or len(rows) <= self.sealed.k:
                got = f"{len(rows)} rows"
                raise ImageError(f"{TABLE} of {self.name} is damaged", expected="a row a label", got=got, mend=_AGAIN)
            return rows

        return self._once(TABLE, read)

    @property
    def labels(self) -> LabelPyramid:
        """Its label map, which is as it was written; raises ImageError."""

        def opened() -> LabelPyramid:
            self._check(LABELS)
            return LabelPyramid(self.folder / LABELS)

        with self._noted():
            return self._once(LABELS, opened)

    def label_tile(self, level: int, column: int, row: int) -> bytes:
        """A tile of its label map; raises ImageError, and OptionError where there is no such tile."""
        labels = self.labels
        with self._noted():
            return labels.tile(level, column, row)

    @property
    def labels_fault(self) -> dict[str, str] | None:
        """What is wrong with its label map, as far as it has been looked at; None where nothing is."""
        if not (self.out / self.name / LABELS).exists():
            return told(lambda: self.labels)[1]
        return self._fault

    @property
    def warnings(self) -> list[str]:
        """What may make its map meaningless, one sentence each."""
        notes = self.sealed.recipe.get("notes", ())
        return [note for note in notes if isinstance(note, str) and is_warning(note)]

    @property
    def has_weights(self) -> bool:
        """Whether its weights were kept; they are opened, which takes a while, once they are asked for."""
        return WEIGHTS in self.sealed.recipe["digests"]

    @property
    def weights(self) -> SparseWeights | None:
        """Its weights, or None where they were not kept; raises ImageError."""

        def opened() -> SparseWeights | None:
            if not self.has_weights:
                return None
            self._check(WEIGHTS)
            return SparseWeights(self.folder / WEIGHTS)

        return self._once(WEIGHTS, opened)

    def release(self) -> None:
        """Let labels and weights go, until they are asked for again."""
        with self._lock:
            self._held.pop(LABELS, None)
            self._held.pop(WEIGHTS, None)

    @property
    def origin(self) -> OriginFinder:
        """Finds the input; raises ImageError where the seal does not tell of it."""

        def finder() -> OriginFinder:
            path, content = self.sealed.source, self.sealed.recipe["made_by"].get("content")
            return OriginFinder(path, str(content or ""), self.moved, lambda: self.digests(path.name))

        return self._once("origin", finder)

    def open_source(self) -> Slide:
        """Open the input; raises what ``open_slide`` does, and ImageError where it is another one."""
        path, made_by = self.origin.find().path, self.sealed.recipe["made_by"]
        opening = Opening(source_mpp=made_by.get("source_mpp"), series=made_by.get("series"))
        slide = opening.open(path)
        if slide.info.size != self.sealed.size:
            slide.close()
            expected, got = (f"{w} × {h} px" for w, h in (self.sealed.size, slide.info.size))
            raise ImageError(f"{path.name} is not the input of this segmentation", expected=expected, got=got)
        return slide

    def token(self, x: float, y: float) -> Token | None:
        """The token under a place in level-0 px; None where no weights were kept.

        Raises:
            ImageError: the weights are damaged.
        """
        weights = self.weights
        if weights is None:
            return None
        scale, header = self.sealed.l0_per_px, weights.header
        column, row = (int(at / per_px) // header.stride_px for at, per_px in zip((x, y), scale, strict=True))
        width, height = header.g_size
        return token_at(weights, self._members(weights), min(column, width - 1), min(row, height - 1))

    def heat(self, what: str) -> Heat | None:
        """Margin or residual of all tokens; None where no weights were kept.

        Raises:
            ImageError: the weights are damaged.
        """
        weights = self.weights
        return None if weights is None else heat(weights, self._members(weights), what)

    def _members(self, weights: SparseWeights) -> list[tuple[int, ...]]:
        return members_of(self.sealed.recipe, len(weights.header.names))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep in mind what is wrong with the label map, or that nothing is any more."""
        try:
            yield
        except ImageError as error:
            self._fault = error_parts(error)
            raise
        self._fault = None

    def _check(self, name: str) -> None:
        try:
            check_digest(self.folder / name, self.sealed.recipe["digests"][name])
        except DamagedError as error:
            what = f"{name} of {self.name} is damaged"
            raise ImageError(what, expected="what histofactor wrote", got=str(error), mend=_AGAIN) from error

    def _once(self, key: str, opened: Callable[[], Some]) -> Some:
        with self._lock:
            if key not in self._held:
                self._held[key] = opened()
            found: Some = self._held[key]
            return found


def told(read: Callable[[], Some]) -> tuple[Some | None, dict[str, str] | None]:
    """What is read of a slide, or what is wrong with it."""
    try:
        return read(), None
    except HistofactorError as error:
        return None, error_parts(error)
