"""The inputs of a run: what they are called, what is known of them, and how to get at them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histofactor.errors import HistofactorError, ImageError, OptionError, ResolutionError
from histofactor.recipe import fingerprint
from histofactor.slides.budget import MAX_IMAGE_GB
from histofactor.slides.reader import Slide, open_slide
from histofactor.slides.resolution import check_mpp
from histofactor.slides.slide_parts import files_of
from histofactor.tcga.fetch import FetchOptions, fetched
from histofactor.tcga.gdc import GdcFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How inputs are opened; as for ``open_slide``.

    Attributes:
        source_mpp: µm/px where their header lacks it.
        series: name or number of the image to read of files that hold several, or None for the largest.
        max_image_gb: 10⁹ bytes that a plain image may take in memory.
    """

    source_mpp: float | None = None
    series: str | int | None = None
    max_image_gb: float = MAX_IMAGE_GB

    def open(self, path: Path, source_mpp: float | None = None) -> Slide:
        """Open an input; raises what ``open_slide`` does.

        Args:
            path: the file.
            source_mpp: µm/px that is known of this one.
        """
        mpp = source_mpp or self.source_mpp
        return open_slide(path, source_mpp=mpp, series=self.series, max_image_gb=self.max_image_gb)


@dataclass(frozen=True, slots=True)
class Source:
    """One input.

    Attributes:
        name: what tells it from all others, wherever it lies.
        group: hospital, project, …; tokens are balanced over groups, and over the slides of each.
        mpp: µm/px where its header lacks it, or None for that of the run.
        content: ``fingerprint`` of its files; "" where they are fetched, or cannot be read.
    """

    name: str
    group: str | None = None
    mpp: float | None = None
    content: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Inputs, and how to get at them.

    Attributes:
        all: every one of them.
        find: yields, for those that are still to be done, where each lies or why it cannot be had; asked for the next
            one, it may take the one before away.
    """

    all: Sequence[Source]
    find: Callable[[Sequence[Source]], Iterable[Path | HistofactorError]]


def file_sources(paths: Sequence[str | Path], table: Path | None = None, group: str | None = None) -> Sources:
    """Files on disk.

    Args:
        paths: where they lie.
        table: says more of them, see ``read_table``.
        group: its column of groups.

    Raises:
        OptionError, ResolutionError: as ``read_table``.
    """
    sources = name_sources(paths)
    if table is not None:
        sources = read_table(sources, table, group)
    sources = [replace(source, content=_content(Path(path))) for source, path in zip(sources, paths, strict=True)]
    by_name = {source.name: Path(path) for source, path in zip(sources, paths, strict=True)}
    return Sources(sources, lambda todo: (by_name[source.name] for source in todo))


def manifest_sources(files: Sequence[GdcFile], folder: Path, options: FetchOptions | None = None) -> Sources:
    """Files that are fetched, worked on and deleted one after another, balanced over their projects.

    Args:
        files: from ``read_manifest``.
        folder: where a few of them lie at a time.
        options: how they are fetched.
    """
    by_name = {file.name: file for file in files}
    sources = [Source(file.name, file.project or None) for file in files]
    return Sources(sources, lambda todo: fetched([by_name[source.name] for source in todo], folder, options))


def _content(path: Path) -> str:
    try:
        return fingerprint(*files_of(path))
    except ImageError:  # whoever opens it says why
        return ""


def name_sources(paths: Sequence[str | Path]) -> list[Source]:
    """Sources by the shortest ends of their paths that tell them apart."""
    whole = [Path(path).resolve().parts for path in paths]
    depth = 1
    while len({parts[-depth:] for parts in whole}) < len(set(whole)):
        depth += 1
    return [Source("/".join(parts[-depth:])) for parts in whole]


def read_table(sources: Sequence[Source], table: Path, group: str | None = None) -> list[Source]:
    """Sources with the groups and the µm/px that a table gives them.

    Args:
        sources: the inputs.
        table: CSV with a header; its first column holds file names, with or without suffix. A column ``mpp`` may hold
            the µm/px of files whose header lacks it.
        group: the column that holds the groups, or None.

    Raises:
        OptionError: the table cannot be read, lacks the column, or does not name an input.
        ResolutionError: a µm/px is not plausible.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise OptionError(f"cannot read the table {table}", expected="a CSV file", got=str(error)) from error
    header = list(rows[0]) if rows else []
    wanted = group or "mpp"
    if wanted not in header[1:]:
        got = ", ".join(map(str, header)) or "no rows"
        raise OptionError(f"{table} has no column {wanted!r} after the first", expected="file names, then it", got=got)
    by_name = {row[header[0]]: row for row in rows}
    found = []
    for source in sources:
        name = Path(source.name)
        row = by_name.get(source.name) or by_name.get(name.name) or by_name.get(name.stem)
        if not row or (group and not row[group]):
            raise OptionError(f"{table} does not say the {wanted} of {source.name}", mend="add a row for it")
        found.append(replace(source, group=row[group] if group else None, mpp=_mpp(row, source.name)))
    return found


def _mpp(row: Mapping[str, str], name: str) -> float | None:
    text = row.get("mpp") or ""
    try:
        mpp = float(text) if text else None
    except ValueError as error:
        raise ResolutionError(f"the µm/px of {name} is no number", expected="for example 0.25", got=text) from error
    if mpp is not None:
        check_mpp(mpp, f"the mpp of {name}")
    return mpp
