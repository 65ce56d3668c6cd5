"""Results of one input put in other concepts, in place: labels are decoded from the weights that lie beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import histofactor
from histofactor.base.clock import Clock
from histofactor.base.files import sweep
from histofactor.base.names import OME_ZARR
from histofactor.concepts.bank.groups import Group
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import ImageError
from histofactor.export.picture import page_maps, small_overlay
from histofactor.export.previews import read_preview
from histofactor.export.read import open_results
from histofactor.export.report import ReportEntry, page_image
from histofactor.export.tables import phenotype_table
from histofactor.export.weights import WeightsHeader
from histofactor.recipe import LabelsRecipe, OutputsRecipe, digest
from histofactor.records import ConceptBank, Segmentation
from histofactor.records.urls import Input
from histofactor.runs.place import Place, clear, seal, unseal
from histofactor.runs.relabel import Legend, assemble, bands, groups_of
from histofactor.runs.results import Outputs, write_files, write_results
from histofactor.runs.rewrite import gone
from histofactor.runs.source import Opening, is_there
from histofactor.runs.task import stated_outputs
from histofactor.segmentation.store import DiskStore

_PATCHES = 4  # of a phenotype, at most


@dataclass(frozen=True, slots=True)
class Target:
    """What results are put in.

    Attributes:
        bank: its concepts.
        members: the concepts of the weights that each of them is made of.
        weights_bank: ``bank_hash`` of the concepts of the weights.
        recipe, outputs: what the results depend on from then on.
    """

    bank: ConceptBank
    members: tuple[tuple[int, ...], ...]
    weights_bank: str
    recipe: LabelsRecipe
    outputs: OutputsRecipe

    @property
    def groups(self) -> list[Group]:
        """The concepts as groups of those of the weights."""
        named = zip(self.members, self.bank.names, self.bank.colors, strict=True)
        return [Group(*group) for group in named]


def decode_again(place: Place, target: Target, source: Input, opening: Opening) -> list[str]:
    """Decode the labels of one input anew, write all its files and seal them; the weights stay as they are.

    Args:
        place: of its results, which are whole and hold weights.
        target: what they are put in.
        source: the input, which is read again, small; if it is gone, its page still shows it.
        opening: how it is opened.

    Returns:
        What was done otherwise since the input is gone, one sentence each.

    Raises:
        ImageError: results are damaged, or the input cannot be read.
        OutputError: the folder cannot be written.
    """
    labels, bank = digest(target.recipe), target.bank
    legend = Legend(bank.names, bank.colors, tuple(concept + 1 for concept in bank.excluded))
    with open_results(place.results) as results:
        weights, entry = results.weights, read_preview(place.results)
        if weights is None or (entry is None and not is_there(source)):
            raise ImageError(f"what the report shows of {place.results} is gone", mend="segment the input again")
        content, before = _content(results.recipe, weights.header, target), groups_of(results, weights)
        store = DiskStore(place.work, f"decoded again: {labels}")
        try:
            for band in bands(weights, before, target.groups, results):
                store.put(band, None)
            segmentation = assemble(weights, results.recipe, legend, store.maps(), content)
            outputs = Outputs(ome_zarr=(place.results / OME_ZARR).exists())
            if is_there(source):
                notes = _write(segmentation, place, outputs, source, opening)
            elif entry is not None:
                patches = _patches(entry, before, target.groups)
                _write_shown(segmentation, place, outputs, replace(entry, patches=patches))
                notes = [gone(source)]
        finally:
            clear(place)
    seal(place, content, labels, digest(target.outputs))
    return notes


def _content(parent: Mapping[str, Any], header: WeightsHeader, target: Target) -> dict[str, Any]:
    """What the seal says."""
    bank, own = target.bank, bank_hash(target.bank)
    found = {name: value for name, value in parent.items() if name != "weights_of"}
    if own != target.weights_bank:
        found["weights_of"] = {
            "recipe": header.recipe, "bank": target.weights_bank, "of": [list(members) for members in target.members],
        }  # fmt: skip
    return {
        **found,
        "histofactor": histofactor.__version__,
        "bank": {"sha256": own, "k": len(bank.names), "provenance": dict(bank.provenance)},
        "made_by": asdict(target.recipe),
        **stated_outputs(target.outputs),
    }


def _write(segmentation: Segmentation, place: Place, outputs: Outputs, source: Input, opening: Opening) -> list[str]:
    """Write the files of an input that is at hand."""
    with opening.open(source) as slide:
        notes = tuple(segmentation.recipe["source"]["notes"])
        segmentation = replace(segmentation, slide=replace(slide.info, notes=notes))
        unseal(place)
        sweep(place.results)
        write_results(segmentation, slide, place, outputs, Clock())
    return []


def _write_shown(segmentation: Segmentation, place: Place, outputs: Outputs, entry: ReportEntry) -> None:
    """Write the files of an input of which there is left what its page shows."""
    segmentation, rgb = replace(segmentation, slide=entry.slide), page_image(entry)

    def shown() -> ReportEntry:
        rows, maps = tuple(phenotype_table(segmentation)), page_maps(segmentation, entry.maps.size)
        return replace(entry, rows=rows, overlay=small_overlay(rgb, segmentation), maps=maps)

    unseal(place)
    sweep(place.results)
    write_files(segmentation, rgb, shown, place, outputs, Clock())


def _patches(entry: ReportEntry, before: Sequence[Group], after: Sequence[Group]) -> dict[int, tuple[bytes, ...]]:
    """Typical patches of groups: those of the largest phenotypes that became part of them."""
    areas = {row.label: row.area_px for row in entry.rows}
    largest = sorted(range(1, len(before) + 1), key=lambda label: -areas.get(label, 0))
    found = {}
    for new, group in enumerate(after, 1):
        parts = [label for label in largest if set(before[label - 1].members) <= set(group.members)]
        patches = [patch for label in parts for patch in entry.patches.get(label, ())]
        if patches:
            found[new] = tuple(patches[:_PATCHES])
    return found
