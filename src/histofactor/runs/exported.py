"""Results of inputs handed to other programs: each opened as it was written, and all of an output folder in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from histofactor.base.fences import fenced
from histofactor.base.files import check_folder, sweep
from histofactor.base.names import LABELS, RUNS, SEAL, TABLE
from histofactor.errors import ImageError, OptionError, OutputError
from histofactor.export.labels import read_legend
from histofactor.export.mapped import Mapped, TokenRows, made_by, need
from histofactor.export.read import Results, open_results
from histofactor.export.regions import PHENOTYPES, REGIONS, write_parquet
from histofactor.export.spatial import write_spatialdata
from histofactor.export.tables import read_phenotypes, table_fault
from histofactor.export.tokens import tile_side
from histofactor.masks.bands import margins
from histofactor.records import LabelMap, SlideInfo
from histofactor.records.urls import as_input
from histofactor.runs.ledger import scan
from histofactor.runs.named import named, names_apart
from histofactor.runs.outcome import Outcome, attempt
from histofactor.runs.place import locked
from histofactor.runs.relabel import groups_of
from histofactor.runs.status import read_status
from histofactor.segmentation.method import method_of

NO_WEIGHTS = "weights were not kept, so X tells shares of labels: `histofactor segment --keep-weights` keeps them"
NO_WEIGHTS_DERIVED = (
    "`relabel -o` writes no weights, so X tells shares of labels: a merge in the study itself, by "
    "`histofactor concepts merge` and `histofactor relabel`, keeps them"
)
NO_MPP = "its µm/px is not known, so there is no system of coordinates in micrometers"
NO_TISSUE = "nothing in it has a label, so there are no shapes and no tokens"


@dataclass(frozen=True, slots=True)
class Formats:
    """What is written of each input.

    Attributes:
        spatialdata: ``STEM.zarr``.
        parquet: ``regions.parquet`` and ``phenotypes.parquet``.
        overwrite: replace what is there.
        tile_tokens: as for ``export.tokens.to_anndata``.
    """

    spatialdata: bool = False
    parquet: bool = False
    overwrite: bool = False
    tile_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Exported(Outcome):
    """What became of one input that was exported.

    Attributes:
        files: all that was written of it.
    """

    files: tuple[Path, ...] = ()


def export_all(
    source: Path, out: Path | None, formats: Formats, on_outcome: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """Export one input, or all of an output folder in turn; what goes wrong with one does not stop the others.

    Args:
        source: an output folder, or the folder of one input.
        out: where ``STEM.zarr`` and ``STEM/regions.parquet`` are written; None writes into the folder of each input.
        formats: what is written.
        on_outcome: called with the outcome of each input, whose ``folder`` is where its files were written.

    Returns:
        An outcome for every input: ``done``, an ``Exported``; or ``failed``, also where it has no results.

    Raises:
        OptionError: the folder holds no results, nothing is asked for, or what writes it is missing.
    """
    if not (formats.spatialdata or formats.parquet):
        raise OptionError("nothing to export is named", expected="--spatialdata, --parquet or both", got="neither")
    need(*["spatialdata"] * formats.spatialdata, *["geopandas", "pyarrow"] * formats.parquet)
    if (source / SEAL).exists():
        name = source.resolve().name
        work = {name: partial(_export, source, name, out, formats)}
    else:
        work = {one.folder or one.input: partial(_export_of, source, one, out, formats) for one in _inputs(source)}
    found = []
    for name, export in work.items():
        found.append(attempt(name, export))
        on_outcome(found[-1])
    return found


def _inputs(source: Path) -> tuple[Outcome, ...]:
    """The inputs of an output folder, with what became of them."""
    try:
        return scan(source).outcomes
    except OptionError as error:
        one = next(iter(sorted(source.glob(f"*/{SEAL}"))), None)
        if one is None or (source / RUNS).exists():
            raise
        got, mend = "folders of single inputs", f"name one of them, such as {one.parent}"
        raise OptionError(error.what, expected=error.expected, got=got, mend=mend) from error


def _export_of(source: Path, known: Outcome, out: Path | None, formats: Formats) -> Outcome:
    """Export one input of an output folder."""
    folder = source / known.folder
    if not known.folder or not (folder / SEAL).exists():
        got = known.error or (f"{known.status}, and no {SEAL}" if known.status == "done" else known.status)
        raise OptionError(f"{known.input} has no results to export", got=got)
    check_folder(folder, inside=source)
    return _export(folder, known.folder, out, formats)


def _export(folder: Path, name: str, out: Path | None, formats: Formats) -> Outcome:
    """Write what is asked for of one input."""
    beside = folder if out is None else out
    store, tables = beside / f"{name}.zarr", folder if out is None else out / name
    targets = [store] * formats.spatialdata
    targets += [tables / file for file in (REGIONS, PHENOTYPES)] * formats.parquet
    for target in targets:
        if target.exists() and not formats.overwrite:
            raise OutputError(f"{target} exists", mend="--overwrite replaces it")
    seal = (folder / SEAL).read_bytes()

    def unchanged() -> None:
        if not (folder / SEAL).exists() or (folder / SEAL).read_bytes() != seal:
            raise OutputError(f"{folder} was changed while it was exported", mend="export it again")

    with locked(beside / f".{name[-64:]}.export.lock", blocking=False) as mine:
        if not mine:
            raise OutputError(f"{name} is being exported by another process", mend="wait for it")
        for place in {target.parent for target in targets}:
            sweep(place, {target.name[-32:] for target in targets})
        with open_mapped(folder) as one, fenced(targets, unchanged):
            if formats.spatialdata:
                write_spatialdata(one, store, formats.tile_tokens)
            if formats.parquet:
                write_parquet(one, tables)
            notes = *names_apart(folder, one), *_notes(one, formats)
    return Exported(name, "done", str(beside), notes=notes, files=tuple(targets))


def _notes(one: Mapped, formats: Formats) -> Iterator[str]:
    """What is to be told of an export."""
    if one.label_map.mpp is None:
        yield NO_MPP
    if not any(row.area_px for row in one.phenotypes):
        yield NO_TISSUE
    elif formats.spatialdata:
        if one.tokens_known.weights is None:
            yield NO_WEIGHTS_DERIVED if "relabel" in one.made_by else NO_WEIGHTS
        side = tile_side(one, formats.tile_tokens)
        if formats.tile_tokens is None and side > 1:
            yield f"it is large, so a tile is {side} × {side} tokens: --tile-tokens 1 keeps each"


@contextmanager
def open_mapped(folder: Path) -> Iterator[Mapped]:
    """Open the results of one input, to be read until the block ends.

    Args:
        folder: of the input.

    Raises:
        OptionError: it holds no finished results.
        ImageError: they are damaged.
    """
    with open_results(folder) as results:
        recipe, rows = results.recipe, read_phenotypes(folder / TABLE)
        legend = read_legend(folder / LABELS)
        try:
            geometry, source = recipe["geometry"], recipe["source"]
            l0_x, l0_y = map(float, geometry["l0_per_px"])
            status = read_status(folder)
            slide = SlideInfo(
                None if status is None else as_input(status.outcome.input),
                tuple(source["size"]), source["mpp"], (1.0,), source["reader"], tuple(source["notes"]),
            )  # fmt: skip
            mpp, stride = recipe["mpp"], int(geometry["stride_px"])
            if [row.label for row in rows] != list(range(len(legend.names))):
                raise ValueError(f"{len(rows)} phenotypes, and {len(legend.names)} labels")
            if fault := table_fault(rows, len(rows) - 1):
                raise ValueError(f"{TABLE} tells of {fault}")
            rows = [replace(row, area_um2=_area_um2(row.area_px, mpp)) for row in named(rows, legend)]
        except (KeyError, TypeError, ValueError) as error:
            expected, mend = "what this version of histofactor wrote", "segment the input again"
            raise ImageError(
                f"the results in {folder} are damaged", expected=expected, got=str(error), mend=mend
            ) from error
        names, colors = (tuple(getattr(row, name) for row in rows[1:]) for name in ("name", "color"))
        excluded = tuple(recipe.get("excluded", ()))
        yield Mapped(
            slide=slide,
            label_map=LabelMap(results.labels, mpp, (0, 0), names, colors, excluded),
            l0_per_px=(l0_x, l0_y),
            stride_px=stride,
            rows=tuple(rows),
            tokens=_tokens(results),
            margin=None,
            made_by=made_by(recipe),
        )


def _area_um2(px: int, mpp: float | None) -> float | None:
    """An area as it is, of which the table has two decimals."""
    return None if mpp is None else px * mpp**2


def _tokens(results: Results) -> Callable[[int, int], TokenRows]:
    """Weights of the concepts that labels are of, and what follows from them; nothing where they were not kept."""
    weights = results.weights
    if weights is None:
        return lambda start, stop: TokenRows()
    members = [list(group.members) for group in groups_of(results, weights)]
    combine = method_of(weights.header.method).combine

    def rows(start: int, stop: int) -> TokenRows:
        values = weights.rows(start, stop)
        of_groups = np.stack([combine(values[..., group]) for group in members], axis=-1)
        return TokenRows(of_groups, margins(of_groups), weights.residual(start, stop))

    return rows
