"""What is taken from the tokens of one input before its concepts weigh them, where the bank is centred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from histofactor.base.clock import Watch
from histofactor.concepts.centring import centred_responses, offset_of, with_offset
from histofactor.records import Float, SlideMean
from histofactor.segmentation.encoding import Blended, Planned
from histofactor.segmentation.method import Directions
from histofactor.segmentation.sampling import WindowRule, draw_windows, is_small, mean_of, sparing_rule
from histofactor.segmentation.setup import Segmenter
from histofactor.segmentation.store import Store


@dataclass(frozen=True, slots=True)
class Shift:
    """An offset of all tokens of an input.

    Attributes:
        offset: (d,) what is taken from each, or None for nothing.
        directions: (d, r) what features are multiplied with before blending; None keeps the features.
    """

    offset: Float | None
    directions: Directions | None

    @property
    def asked(self) -> Directions | None:
        """What features are multiplied with to know the responses less the offset."""
        if self.offset is None or self.directions is None:
            return self.directions
        return with_offset(self.directions, self.offset)

    def of(self, parts: Iterable[Blended]) -> Iterator[Blended]:
        """Responses to ``asked`` made those of tokens less the offset; features stay ≥ 0."""
        for part in parts:
            if self.offset is None:
                yield part
            elif self.directions is None:
                yield replace(part, B=np.maximum(part.B - self.offset, 0))
            else:
                B, sq_norms = centred_responses(part.B, part.sq_norms, self.directions, self.offset)
                yield replace(part, B=B, sq_norms=sq_norms)


def find_shift(
    planned: Planned, segmenter: Segmenter, mean: SlideMean | None, watch: Watch, store: Store
) -> tuple[Shift, Planned]:
    """The shift of an input; where its mean is not known, windows of it are encoded first.

    Args:
        planned: the input.
        segmenter: whose bank says whether features are centred.
        mean: of the input's tokens, where it is known.
        watch: told how long it takes.
        store: where the mean is kept, and windows of an input that is encoded whole to know it.

    Returns:
        The shift, and the input with all that was encoded of it on the way.
    """
    directions, centring = segmenter.directions, None if segmenter.bank is None else segmenter.bank.centring
    if centring is None:
        return Shift(None, directions), planned
    if mean is None:
        if planned.memory is None and encodes_all(planned, segmenter):
            planned = replace(planned, memory=store.windows(planned))
        mean = store.mean
    if mean is None:
        drawn = replace(planned, plan=draw_windows(planned.plan, planned.setup, _rule(segmenter)))
        mean = mean_of(drawn, Watch(clock=watch.clock))
    if mean is not None:
        store.keep_mean(mean)
    return Shift(None if mean is None else offset_of(centring, mean), directions), planned


def encodes_all(planned: Planned, segmenter: Segmenter) -> bool:
    """Whether all windows of an input are encoded to know its mean, before the first is segmented."""
    centred = segmenter.bank is not None and segmenter.bank.centring is not None
    return centred and is_small(planned.plan, planned.setup, _rule(segmenter))


def _rule(segmenter: Segmenter) -> WindowRule:
    return sparing_rule(segmenter.factorization.seed)
