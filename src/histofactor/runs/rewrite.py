"""Other names, colours and artefacts for an input that is segmented: its files are written again, none is encoded."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histofactor.base.files import atomic, atomic_folder
from histofactor.base.names import LABELS, OME_ZARR, OVERLAY, PAGE, REGIONS, SMALL, TABLE, WEIGHTS
from histofactor.errors import ImageError
from histofactor.export.geojson import told_of
from histofactor.export.labels import write_labels
from histofactor.export.overlay import LONG_SIDE_PX, thumbnail_size, write_overlay
from histofactor.export.picture import IMAGE_PX, small_overlay
from histofactor.export.previews import read_preview, write_preview
from histofactor.export.read import open_results
from histofactor.export.report import ReportEntry, page_image, run_from, write_page, write_small
from histofactor.export.tables import PhenotypeRow, with_shares, write_rows
from histofactor.export.zarr import NAME, describe_labels
from histofactor.records import ConceptBank, LabelMap, SlideInfo
from histofactor.records.urls import Input
from histofactor.runs.place import Place, unseal
from histofactor.runs.source import Opening, is_there
from histofactor.slides.thumbnail import read_thumbnail


@dataclass(frozen=True, slots=True)
class _Renamed:
    """What an overlay is drawn from."""

    slide: SlideInfo
    label_map: LabelMap
    l0_per_px: tuple[float, float]


def rewrite(place: Place, bank: ConceptBank, source: Input, opening: Opening) -> list[str]:
    """Write the files of one input again with other names, colours and artefacts, and take off their seal.

    Labels, outlines, areas and weights stay as they are; the file of labels is written again for the names in it. The
    label of tissue unlike the bank keeps its name.

    Args:
        place: of its results, which are whole.
        bank: its concepts, called and coloured anew.
        source: the input, which is read again, small, where colours change; if it is gone, its page still shows it.
        opening: how it is opened.

    Returns:
        What was done otherwise since the input is gone, one sentence each.

    Raises:
        ImageError: results are damaged, of another kind, or the input cannot be read.
        OutputError: the folder cannot be written.
    """
    folder, names, notes = place.results, bank.names, list[str]()
    with open_results(folder) as results:
        recipe, entry = results.recipe, read_preview(folder)
        if entry is None or len(entry.rows) <= len(names):
            raise ImageError(f"what the report shows of {folder} is gone", mend="segment the input again")
        before = entry.rows
        after = with_shares([_row(row, bank) for row in before], [concept + 1 for concept in bank.excluded])
        unseal(place)
        colored = [row.color for row in after if row.color is not None]
        map_ = LabelMap(results.labels, entry.mpp, (0, 0), tuple(row.name for row in after[1:]), tuple(colored))
        l0_x, l0_y = recipe["geometry"]["l0_per_px"]
        renamed = _Renamed(entry.slide, map_, (l0_x, l0_y))
        write_labels(renamed, folder / LABELS)
        if any(old.color != new.color for old, new in zip(before, after, strict=True)):
            rgb, small, notes = _images(source, opening, entry)
            write_overlay(rgb, renamed, folder / OVERLAY)
            entry = replace(entry, overlay=small_overlay(small, renamed))
        _rename_regions(folder / REGIONS, before, after)
        for name in (WEIGHTS, OME_ZARR):
            finer = name == WEIGHTS and "weights_of" in recipe  # of other concepts, whose names stay
            if (folder / name).exists() and not finer:
                _rename_arrays(folder / name, after)
        entry = replace(entry, rows=tuple(after))
        write_preview(entry, folder)
        write_page(entry, run_from(recipe, entry.mpp), folder / PAGE)
        write_small(entry, folder / SMALL)
        write_rows(after, folder / TABLE)
    return notes


def _images(
    source: Input, opening: Opening, entry: ReportEntry
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    """The whole input for its overlay and for its page, and what is to be told of them."""
    if not is_there(source):
        image = page_image(entry)
        return image, image, [gone(source)]
    with opening.open(source) as slide:
        sizes = (thumbnail_size(slide.info.size, side) for side in (LONG_SIDE_PX, IMAGE_PX))
        rgb, small = (read_thumbnail(slide, size)[0] for size in sizes)
    return rgb, small, []


def gone(source: Input) -> str:
    """The sentence for an input that is not there any more."""
    return f"{source} is gone: {OVERLAY} was drawn from the small image of its page"


def _row(row: PhenotypeRow, bank: ConceptBank) -> PhenotypeRow:
    if not 1 <= row.label <= len(bank.names):
        return row
    return replace(row, name=bank.names[row.label - 1], color=bank.colors[row.label - 1])


def _rename_regions(path: Path, before: Sequence[PhenotypeRow], after: Sequence[PhenotypeRow]) -> None:
    """Give every region, one a line, its new classification."""
    known: dict[str | int, PhenotypeRow] = {row.name: new for row, new in zip(before, after, strict=True)}
    known |= {row.label: row for row in after}
    with atomic(path) as temporary, temporary.open("wb") as raw:
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=raw, mtime=0)
        with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text:
            for line in _renamed_lines(path, known):
                text.write(line)


def _renamed_lines(path: Path, known: Mapping[str | int, PhenotypeRow]) -> Iterator[str]:
    """Lines of a file of regions; what is wrong with it is not taken for an error of the file that is written."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield _renamed(line, known) if line.startswith('{"type":"Feature",') else line
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"{path} is damaged", got=str(error), mend="segment the input again") from error


def _renamed(line: str, known: Mapping[str | int, PhenotypeRow]) -> str:
    head, properties = line.rsplit(',"properties":', 1)
    end = properties.rindex("}", 0, properties.rindex("}"))
    stated: dict[str, Any] = json.loads(properties[: end + 1])
    row = known[stated["measurements"].get("label") or stated["classification"]["name"]]  # older ones tell no label
    stated |= told_of(row.label, row.name, row.color or (0, 0, 0), excluded=row.excluded)
    text = json.dumps(stated, ensure_ascii=False, separators=(",", ":"))
    return f'{head},"properties":{text}{properties[end + 1 :]}'


def _rename_arrays(path: Path, after: Sequence[PhenotypeRow]) -> None:
    """Give a Zarr folder other names and colours; its arrays stay as they are."""
    with atomic_folder(path) as temporary:
        shutil.copytree(path, temporary, dirs_exist_ok=True)
        group = zarr.open_group(temporary, mode="r+")
        if path.name == WEIGHTS:
            header: Any = dict(group.attrs)["histofactor"]
            concepts = after[1 : len(header["names"]) + 1]
            named = {"names": [row.name for row in concepts], "colors": [list(row.color or ()) for row in concepts]}
            described: Any = {**header, **named}
            group.attrs["histofactor"] = described
        else:
            labels: Any = group[f"labels/{NAME}"]
            stated: Any = dict(labels.attrs)["ome"]
            legend = tuple(row.name for row in after[1:]), tuple(row.color or (0, 0, 0) for row in after[1:])
            labels.attrs["ome"] = {**stated, "image-label": describe_labels(*legend)}
