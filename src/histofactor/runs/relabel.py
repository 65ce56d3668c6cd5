"""Labels derived again from weights on disk: merged, renamed or at a coarser K, without encoding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import histofactor
from histofactor.base.files import remove, sweep
from histofactor.base.names import LABELS, OVERLAY, PREVIEW, REGIONS, TABLE, WEIGHTS
from histofactor.concepts.bank.groups import Group, check_labels, regroup
from histofactor.concepts.bank.one_name import joined, one_color
from histofactor.errors import HistofactorError, ImageError, OptionError, OutputError
from histofactor.export.geojson import write_geojson
from histofactor.export.labels import read_legend, write_labels
from histofactor.export.overlay import thumbnail_size, write_overlay
from histofactor.export.read import Results, open_results
from histofactor.export.tables import read_phenotypes, write_phenotypes
from histofactor.export.weights import SparseWeights
from histofactor.masks import unlike
from histofactor.masks.bands import Band, Decoder, Decoding
from histofactor.masks.small import least_px, merge_small
from histofactor.records import Color, LabelMap, Segmentation, SlideInfo
from histofactor.records.urls import Input, as_input
from histofactor.runs.place import Place, claim, clear, seal, unseal
from histofactor.runs.regroup import Regrouping, coarser, combine
from histofactor.runs.source import Opening
from histofactor.runs.status import read_status
from histofactor.segmentation.method import method_of, nearest
from histofactor.segmentation.store import DiskStore, Maps
from histofactor.slides.thumbnail import read_thumbnail

_BAND_ROWS = 32  # token rows decoded at a time
_OF_THE_PARENT = {"made_by", "files", "weights_of"}  # in its seal, and true of it alone


@dataclass(frozen=True, slots=True)
class Legend:
    """What labels are called, from 1 on: names and colours, and labels of artefacts."""

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    excluded: tuple[int, ...]


def relabel(source: Path, out: Path, wanted: Regrouping, slide: Path | None = None) -> list[str]:
    """Write the segmentation of one input anew with other concepts: merged, renamed, coarser, or all of these.

    Only what had a label gets one. Labels, regions, table and seal are written, and the overlay if the input can be
    opened; no page, previews, status or weights.

    Args:
        source: folder of one input's results, with its weights.
        out: the folder to write.
        wanted: what becomes of the concepts.
        slide: the input; None looks where the run that wrote ``source`` found it.

    Returns:
        What was left out and why, one sentence each.

    Raises:
        OptionError: the folder has no weights, labels that are asked for do not exist or are asked for twice, or the
            new folder holds a segmentation.
        BankError: the bank does not belong to the segmentation, or is not nested.
        ImageError: results of the segmentation are damaged, or the input given is not its input.
        OutputError: the new folder cannot be written, or another process is writing it.
    """
    source, out = source.resolve(), out.resolve()
    if source == out or (out / PREVIEW).exists():
        raise OptionError(f"{out} holds results of `histofactor segment`", mend="choose another folder to relabel into")
    with open_results(source) as results:
        weights = _weights(results)
        parent = results.recipe
        base = groups_of(results, weights)
        groups = _in_one_color(_groups(base, parent, wanted), base, source)
        rgb, left_out = _read_input(source, parent, slide)
        legend = _legend(groups, base, parent)
        recipe = _recipe(parent, groups, legend, weights.header.method)
        fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        place = Place(out.parent, out.name)
        with claim(place) as mine:
            if not mine:
                mend = "wait for it, or choose another folder"
                raise OutputError(f"cannot write {out}", got="another process that writes it", mend=mend)
            unseal(place)
            sweep(out)
            remove(out / OVERLAY, inside=out)  # an old one would show other concepts
            try:
                store = DiskStore(place.work, fingerprint)
                for band in bands(weights, base, groups, results):
                    store.put(band, None)
                segmentation = assemble(weights, parent, legend, store.maps(), recipe)
                _write(segmentation, rgb, out)
            finally:
                clear(place)
            seal(place, segmentation.recipe, fingerprint, fingerprint)
    return left_out


def _weights(results: Results) -> SparseWeights:
    if results.weights is None:
        got, mend = f"no {WEIGHTS}", "segment the input again with --keep-weights"
        if "relabel" in results.recipe:
            got, mend = "what `relabel -o` wrote, which has none", "relabel the folder that it was made from"
        expected = "the folder of one input that `histofactor segment --keep-weights` wrote"
        raise OptionError(f"{results.folder} holds no weights", expected=expected, got=got, mend=mend)
    return results.weights


def groups_of(results: Results, weights: SparseWeights) -> list[Group]:
    """The concepts of a segmentation, as groups of those that its weights are of.

    Raises:
        ImageError: the results are damaged.
    """
    names, colors, folder = weights.header.names, weights.header.colors, results.folder
    if "weights_of" not in results.recipe:
        return [Group((i,), *one) for i, one in enumerate(zip(names, colors, strict=True))]
    try:
        of = [tuple(members) for members in results.recipe["weights_of"]["of"]]
        legend = read_legend(folder / LABELS)
        groups = [Group(members, legend.names[label], legend.colors[label]) for label, members in enumerate(of, 1)]
        found = sorted(member for group in groups for member in group.members)
        whole = found == list(range(len(names))) and all(type(member) is int for member in found)
    except (KeyError, TypeError, ValueError) as error:
        raise _not_groups(folder, str(error)) from error
    if not whole:
        raise _not_groups(folder, f"{of!r:.80}")
    return groups


def _not_groups(folder: Path, got: str) -> ImageError:
    expected = "the concepts of its labels as groups of those of its weights"
    what, mend = f"the results in {folder} are damaged", "segment the input again"
    return ImageError(what, expected=expected, got=got, mend=mend)


def _groups(base: Sequence[Group], parent: Mapping[str, Any], wanted: Regrouping) -> list[Group]:
    """What becomes of the concepts of a segmentation."""
    groups = list(base)
    if wanted.bank is not None:
        found = coarser(wanted.bank, parent["bank"]["sha256"], len(base), wanted.k)
        members = [sorted(part for member in group.members for part in base[member].members) for group in found]
        groups = [replace(group, members=tuple(parts)) for group, parts in zip(found, members, strict=True)]
    elif wanted.k is not None:
        raise OptionError("a coarser K needs a bank", mend="give the nested bank with --bank")
    renames = wanted.renames or {}
    check_labels([label for labels, _ in wanted.merges for label in labels] + list(renames), len(groups))
    named = regroup(groups, (), renames)
    return regroup(named, joined([group.name for group in named], wanted.merges), {})


def _in_one_color(groups: Sequence[Group], base: Sequence[Group], folder: Path) -> list[Group]:
    """Groups of one name in the colour of that which had the most px."""
    areas = {row.label: row.area_px for row in read_phenotypes(folder / TABLE)}
    owned = [[areas.get(label, 0) for label, one in enumerate(base, 1) if {*one.members} <= {*group.members}]
             for group in groups]  # fmt: skip
    names, colors = [group.name for group in groups], [group.color for group in groups]
    seen = one_color(names, colors, [sum(px) for px in owned])
    return [replace(group, color=color) for group, color in zip(groups, seen, strict=True)]


def bands(weights: SparseWeights, base: Sequence[Group], groups: Sequence[Group], results: Results) -> Iterator[Band]:
    """Decode the token rows in bands, with groups of concepts; only what had a label gets one.

    ``base`` are the groups that labels were of before, from ``groups_of``.
    What was unlike the bank, where there is a limit of the residual, stays so; where small pieces were merged, and so
    will be again, tokens above the limit tell it. By the nearest concept, labels of unions of those before are the
    labels before: the cell of a union is a union of cells.
    """
    header, before, limit = weights.header, results.labels, results.recipe.get("unlike")
    rows, unlike_label, merged = header.g_size[1], len(base) + 1, results.recipe.get("min_area_um2") is not None

    @lru_cache(1)
    def were(start: int, stop: int) -> NDArray[np.unsignedinteger[Any]]:
        found: NDArray[np.unsignedinteger[Any]] = before[start:stop]
        return found

    by_cells = method_of(header.method).combine is nearest  # the cell of a group is the union of its members' cells
    how = Decoding(
        header.size,
        header.stride_px,
        tissue=lambda start, stop: were(start, stop) > 0,
        owners=_owners(groups) if by_cells else None,
        unlike=limit,
        unlike_px=None if merged else lambda start, stop: were(start, stop) == unlike_label,
    )
    decoder, top = Decoder(how), 0
    renamed = _renamed(base, groups) if by_cells else None
    for start in range(0, rows, _BAND_ROWS):
        stop = min(start + _BAND_ROWS, rows)
        values = weights.rows(start, stop)
        values = values if by_cells else combine(values, [group.members for group in groups])
        unreadable = np.zeros(values.shape[:2], bool)  # their px had no label
        band = decoder.rows((start, stop), values, weights.residual(start, stop), unreadable)
        if renamed is not None:
            found = renamed[were(top, top + len(band.labels))].astype(band.labels.dtype)
            band, top = replace(band, labels=found), top + len(found)
        yield band


def _renamed(before: Sequence[Group], after: Sequence[Group]) -> NDArray[np.uint16] | None:
    """The new label of every label from 0 on, to what is unlike the bank; None where new ones are no unions."""
    owner = {member: label for label, group in enumerate(after, 1) for member in group.members}
    found = [{owner[member] for member in group.members} for group in before]
    if any(len(labels) > 1 for labels in found):
        return None
    return np.array([0, *(labels.pop() for labels in found), len(after) + 1], np.uint16)


def _owners(groups: Sequence[Group]) -> list[int]:
    """The group of every concept."""
    owner = {member: index for index, group in enumerate(groups) for member in group.members}
    return [owner[concept] for concept in sorted(owner)]


def _recipe(parent: Mapping[str, Any], groups: Sequence[Group], legend: Legend, method: str) -> dict[str, Any]:
    """The parent's recipe, and what was made of its labels."""
    concepts = [
        {"label": label, "name": group.name, "color": list(group.color), "of": [member + 1 for member in group.members]}
        for label, group in enumerate(groups, 1)
    ]
    made = {
        "parent_recipe_sha256": parent["recipe_sha256"],
        "weights": "largest" if method_of(method).combine is nearest else "sum",
        "concepts": concepts,
    }
    kept = {name: value for name, value in parent.items() if name not in _OF_THE_PARENT}
    return {**kept, "histofactor": histofactor.__version__, "relabel": made, "excluded": list(legend.excluded)}


def _legend(groups: Sequence[Group], base: Sequence[Group], parent: Mapping[str, Any]) -> Legend:
    """Names and colours of groups; what is made of artefacts alone is one."""
    labels = parent.get("excluded", ())
    out = {member for label, group in enumerate(base, 1) if label in labels for member in group.members}
    excluded = tuple(label for label, group in enumerate(groups, 1) if out.issuperset(group.members))
    return Legend(tuple(group.name for group in groups), tuple(group.color for group in groups), excluded)


def assemble(
    weights: SparseWeights, parent: Mapping[str, Any], legend: Legend, maps: Maps, recipe: Mapping[str, Any]
) -> Segmentation:
    """The segmentation of labels that were decoded again.

    Args:
        weights: what they were decoded from.
        parent: recipe of the segmentation that the weights are of.
        legend: of its labels.
        maps: all bands as one.
        recipe: of the new segmentation.
    """
    header, source = weights.header, parent["source"]
    path = as_input(header.slide) if header.slide else None
    info = SlideInfo(path, tuple(source["size"]), source["mpp"], (1.0,), source["reader"])
    names, colors = unlike.legend(legend.names, legend.colors, with_unlike=parent.get("unlike") is not None)
    labels = merge_small(maps.labels, least_px(parent.get("min_area_um2"), header.mpp))
    label_map = LabelMap(labels, header.mpp, (0, 0), names, colors, legend.excluded)
    return Segmentation(info, label_map, maps.margin, maps.tokens, header.l0_per_px, recipe)


def _write(segmentation: Segmentation, rgb: NDArray[np.uint8] | None, out: Path) -> None:
    write_labels(segmentation, out / LABELS)
    write_geojson(segmentation, out / REGIONS)
    write_phenotypes(segmentation, out / TABLE)
    if rgb is not None:
        write_overlay(rgb, segmentation, out / OVERLAY)


def _read_input(
    source: Path, parent: Mapping[str, Any], given: Path | None
) -> tuple[NDArray[np.uint8] | None, list[str]]:
    """The whole input, small; or None and why not, where it is not given and cannot be opened."""
    path = given or _input_of(source)
    if path is None:
        return None, [f"{OVERLAY} is left out: where the input lies is not known; give it with --slide"]
    try:
        with Opening(source_mpp=parent["source"]["mpp"], series=parent.get("series")).open(path) as slide:
            if list(slide.info.size) != parent["source"]["size"]:
                expected, got = (f"{tuple(size)} px" for size in (parent["source"]["size"], slide.info.size))
                raise ImageError(f"{path} is not the input of this segmentation", expected=expected, got=got)
            return read_thumbnail(slide, thumbnail_size(slide.info.size))[0], []
    except HistofactorError as error:
        if given is not None:
            raise
        return None, [f"{OVERLAY} is left out: {error.what}; give the input with --slide"]


def _input_of(source: Path) -> Input | None:
    """Where the run that wrote a folder found its input, as its ``status.json`` tells."""
    status = read_status(source)
    return None if status is None else as_input(status.outcome.input)
