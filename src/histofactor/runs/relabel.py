"""Labels derived again from weights on disk: merged, renamed or at a coarser K, without encoding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import histofactor
from histofactor.base.files import sweep
from histofactor.concepts.bank.groups import Group, regroup
from histofactor.errors import HistofactorError, ImageError, OptionError, OutputError
from histofactor.export.geojson import write_geojson
from histofactor.export.labels import open_labels, write_labels
from histofactor.export.overlay import thumbnail_size, write_overlay
from histofactor.export.previews import NAME as PREVIEW
from histofactor.export.tables import write_phenotypes
from histofactor.export.weights import WEIGHTS, SparseWeights
from histofactor.masks import unlike
from histofactor.masks.decode import label_pixels
from histofactor.records import LabelMap, Raster, Segmentation, SlideInfo
from histofactor.runs.place import SEAL, Place, claim, clear, seal, unseal
from histofactor.runs.regroup import Regrouping, coarser, combine
from histofactor.segmentation.page import token_maps
from histofactor.segmentation.store import Band, DiskStore, Maps
from histofactor.slides.reader import open_slide
from histofactor.slides.thumbnail import read_thumbnail

LABELS = "labels.ome.tif"
OVERLAY = "overlay.png"
_BAND_ROWS = 32  # token rows decoded at a time


def relabel(source: Path, out: Path, wanted: Regrouping, slide: Path | None = None) -> list[str]:
    """Write the segmentation of one input anew with other concepts: merged, renamed, coarser, or all of these.

    Only what had a label gets one. The files are those of ``segment``; the overlay only if the input can be opened.

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
    weights, parent = _open(source)
    groups = _groups(weights, parent, wanted)
    rgb, left_out = _read_input(source, parent, slide)
    recipe = _recipe(parent, groups, weights.header.method)
    fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    place = Place(out.parent, out.name)
    with claim(place) as mine:
        if not mine:
            mend = "wait for it, or choose another folder"
            raise OutputError(f"cannot write {out}", got="another process that writes it", mend=mend)
        unseal(place)
        sweep(out)
        (out / OVERLAY).unlink(missing_ok=True)  # an old one would show other concepts
        try:
            store = DiskStore(place.work, fingerprint)
            with open_labels(source / LABELS) as before:
                for band in _bands(weights, groups, before, parent.get("unlike")):
                    store.put(band, None)
            segmentation = _assemble(weights, parent, groups, store.maps(), recipe)
            _write(segmentation, rgb, out)
        finally:
            clear(place)
        seal(place, segmentation.recipe, fingerprint, fingerprint)
    return left_out


def _open(source: Path) -> tuple[SparseWeights, dict[str, Any]]:
    """Weights and ``segmentation.json`` of a folder, which must belong together."""
    for name, what in ((SEAL, "finished results"), (WEIGHTS, "weights")):
        if not (source / name).exists():
            raise OptionError(
                f"{source} holds no {what}",
                expected="the folder of one input that `histofactor segment --keep-weights` wrote",
                got=f"no {name}",
                mend="segment the input again with --keep-weights",
            )
    weights = SparseWeights(source / WEIGHTS)
    try:
        parent: dict[str, Any] = json.loads((source / SEAL).read_text(encoding="utf-8"))
        recipe = parent["recipe_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"cannot read {source / SEAL}", expected="what histofactor wrote", got=str(error)) from error
    if recipe != weights.header.recipe:
        raise ImageError(
            f"the weights in {source} belong to another run than its {SEAL}",
            expected=f"recipe {recipe[:12]}…",
            got=f"recipe {weights.header.recipe[:12]}…",
            mend="segment the input again with --keep-weights",
        )
    return weights, parent


def _groups(weights: SparseWeights, parent: Mapping[str, Any], wanted: Regrouping) -> list[Group]:
    """What becomes of the concepts of a segmentation."""
    names, colors = weights.header.names, weights.header.colors
    if wanted.bank is not None:
        groups = coarser(wanted.bank, parent["bank"]["sha256"], len(names), wanted.k)
    elif wanted.k is not None:
        raise OptionError("a coarser K needs a bank", mend="give the nested bank with --bank")
    else:
        groups = [Group((i,), *one) for i, one in enumerate(zip(names, colors, strict=True))]
    return regroup(groups, wanted.merges, wanted.renames or {})


def _bands(weights: SparseWeights, groups: Sequence[Group], before: Raster, limit: float | None) -> Iterator[Band]:
    """Decode the token rows in bands; px between two rows need both, so one row above and below is read with each.

    What was unlike the bank, where there is a limit of the residual, stays so.
    """
    header = weights.header
    (width, height), (columns, rows), stride = header.size, header.g_size, header.stride_px
    if before.shape != (height, width):
        raise ImageError(f"{LABELS} and {WEIGHTS} differ in size", expected=f"{(height, width)}", got=f"{before.shape}")
    for start in range(0, rows, _BAND_ROWS):
        stop = min(start + _BAND_ROWS, rows)
        above, below = max(start - 1, 0), min(stop + 1, rows)
        values = weights.rows(above, below)
        size = len(values) * stride, columns * stride
        if header.method == "cluster":  # the cell of a group is the union of its members' cells
            labels, margin = label_pixels(values, size, _owners(groups))
            values = combine(values, groups, header.method)
        else:
            values = combine(values, groups, header.method)
            labels, margin = label_pixels(values, size)
        top, bottom = start * stride, min(stop * stride, height)
        part = slice((start - above) * stride, (start - above) * stride + bottom - top), slice(0, width)
        labels, margin = labels[part], margin[part]
        was = before[top:bottom]
        labels[was == 0], margin[was == 0] = 0, 0
        own, residual = values[start - above : stop - above], weights.residual(start, stop)
        tokens = token_maps(own, residual, stride)
        if limit is not None:
            labels = unlike.mark(labels, was == len(header.names) + 1, len(groups))
            tokens = replace(tokens, label=unlike.mark(tokens.label, residual > limit, len(groups)))
        yield Band(labels, margin, tokens, np.zeros(own.shape[:2], bool), own)


def _owners(groups: Sequence[Group]) -> list[int]:
    """The group of every concept."""
    owner = {member: index for index, group in enumerate(groups) for member in group.members}
    return [owner[concept] for concept in sorted(owner)]


def _recipe(parent: Mapping[str, Any], groups: Sequence[Group], method: str) -> dict[str, Any]:
    """The parent's recipe, and what was made of its labels."""
    concepts = [
        {"label": label, "name": group.name, "color": list(group.color), "of": [member + 1 for member in group.members]}
        for label, group in enumerate(groups, 1)
    ]
    made = {
        "parent_recipe_sha256": parent["recipe_sha256"],
        "weights": "largest" if method == "cluster" else "sum",
        "concepts": concepts,
    }
    return {**parent, "histofactor": histofactor.__version__, "relabel": made}


def _assemble(
    weights: SparseWeights, parent: Mapping[str, Any], groups: Sequence[Group], maps: Maps, recipe: Mapping[str, Any]
) -> Segmentation:
    header, source = weights.header, parent["source"]
    info = SlideInfo(
        Path(header.slide) if header.slide else None, tuple(source["size"]), source["mpp"], (1.0,), source["reader"]
    )
    names, colors = unlike.legend(
        tuple(group.name for group in groups),
        tuple(group.color for group in groups),
        with_unlike=parent.get("unlike") is not None,
    )
    label_map = LabelMap(maps.labels, header.mpp, (0, 0), names, colors)
    return Segmentation(info, label_map, maps.margin, maps.tokens, header.l0_per_px, recipe)


def _write(segmentation: Segmentation, rgb: NDArray[np.uint8] | None, out: Path) -> None:
    write_labels(segmentation, out / LABELS)
    write_geojson(segmentation, out / "regions.geojson.gz")
    write_phenotypes(segmentation, out / "phenotypes.csv")
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
        with open_slide(path, source_mpp=parent["source"]["mpp"]) as slide:
            if list(slide.info.size) != parent["source"]["size"]:
                expected, got = (f"{tuple(size)} px" for size in (parent["source"]["size"], slide.info.size))
                raise ImageError(f"{path} is not the input of this segmentation", expected=expected, got=got)
            return read_thumbnail(slide, thumbnail_size(slide.info.size))[0], []
    except HistofactorError as error:
        if given is not None:
            raise
        return None, [f"{OVERLAY} is left out: {error.what}; give the input with --slide"]


def _input_of(source: Path) -> Path | None:
    """Where the run that wrote a folder found its input, as its ``run.json`` tells."""
    try:
        run = json.loads((source.parent / "run.json").read_text(encoding="utf-8"))
        return next((Path(one["input"]) for one in run["inputs"] if one.get("folder") == source.name), None)
    except (OSError, ValueError, KeyError, TypeError):  # moved away from its run: the input is then not known
        return None
