"""The field that a study shows at every K, taken of the inputs that its concepts are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histofactor.errors import HistofactorError
from histofactor.records import ConceptBank
from histofactor.records.urls import Input
from histofactor.runs.outcome import Reporter
from histofactor.runs.place import windows_of
from histofactor.runs.sample_builder import SampleBuilder
from histofactor.segmentation.encode_field import encode_field, where_most_meet
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.field import Field
from histofactor.segmentation.kept_batches import KeptInput
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import with_mask
from histofactor.segmentation.window_memory import HeldInput
from histofactor.slides.slide_parts import is_features


def take_field(
    builder: SampleBuilder, inputs: Sequence[Input], banks: Sequence[ConceptBank], reporter: Reporter
) -> Field | None:
    """Encode the field where most of the concepts meet.

    Inputs that are features, or lie on a store, have none to show.

    Args:
        builder: that the concepts were learned with.
        inputs: of it, in its order.
        banks: of every K, ascending.
        reporter: told where the field cannot be read any more.
    """
    number_of = {source: number for number, source in enumerate(builder.sources)}
    numbers = [number_of[source] for source in builder.used]
    here = {place for place, number in enumerate(numbers) if _is_here(inputs[number])}
    place = where_most_meet(banks[-1], here, builder.spec.patch_px)
    if place is None:
        return None
    number = numbers[place.slide]
    source, path = builder.sources[number], inputs[number]
    setup = with_mask(builder.setup, source.mask or None)
    try:
        with builder.options.opening.open(path, source.mpp) as slide:
            plan, windows = make_plan(slide, setup), None
            if (keep := builder.kept_in(source.name)) is not None:
                windows = KeptInput(windows_of(keep, path), source.content).memory(Planned(slide, setup, plan))
            known = HeldInput(plan, windows, builder.sample.means.get(number))
            return encode_field(slide, setup, place, known, banks[-1].centring)
    except HistofactorError as error:
        reporter.on_note(f"no field is shown at every K: {error}")
        return None


def _is_here(path: Input) -> bool:
    return isinstance(path, Path) and not is_features(path)
