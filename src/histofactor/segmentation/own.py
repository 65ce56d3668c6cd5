"""The concepts of one image, learned from itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histofactor.concepts.learn.choose_k import Choice
from histofactor.concepts.learn.from_sample import Features, Origin, bearable_ks, learn_from_sample, level_of
from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.concepts.learn.sample import Sample
from histofactor.errors import ImageError
from histofactor.records import ConceptBank
from histofactor.segmentation.encode_field import encode_field, where_most_meet
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.feature_file import FeatureSlide
from histofactor.segmentation.field import choose_by
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.sampling import Whose, draw_windows, is_small, put_tokens, sparing_rule, take_tokens
from histofactor.segmentation.setup import Setup
from histofactor.segmentation.window_memory import HeldInput, WindowMemory
from histofactor.slides.reader import Slide

_TOKENS = 2**18  # in the sample, at most


def learn_from_one(
    slide: Slide, setup: Setup, k: int | None = None, seed: int = 0
) -> tuple[ConceptBank, HeldInput | None]:
    """Learn concepts from an open input alone.

    Args:
        slide: the input.
        setup: how tokens come about.
        k: number of concepts; None takes the recommended one.
        seed: of the sample and of the clustering.

    Returns:
        The concepts, and what the input was encoded to, where all of it was.

    Raises:
        ImageError: there is no tissue.
        BankError: there is too little of it for K concepts.
    """
    rule, cache = sparing_rule(seed), slide.cache(setup) if isinstance(slide, FeatureSlide) else None
    plan = make_plan(slide, setup) if cache is None else cache.plan
    drawn = plan if cache is not None else draw_windows(plan, setup, rule)
    held = WindowMemory() if cache is None and is_small(plan, setup, rule) else None
    sample = Sample(min(_TOKENS, max(1, int(drawn.g_tissue.sum()))), setup.encoder.spec.dim, seed)
    name = "array" if slide.info.path is None else slide.info.path.name
    planned = Planned(slide, setup, drawn, held, None if cache is None else cache.parts)
    taken = take_tokens(planned, sample.quota, Whose(""))  # whatever it is called
    put_tokens(sample, 0, taken)
    if not sample.size:
        raise ImageError(f"no tissue to learn concepts from in {name}", mend="give a bank with concepts=")
    sample.sort()
    spec = setup.encoder.spec
    origin = Origin(np.zeros(sample.size, np.int64), [None], [taken.side])
    features = Features(encoder=spec.key, mpp=setup.mpp or spec.mpp, window_px=spec.window.size_px)
    options = TrainOptions(kmeans=KMeansOptions(seed))
    banks, choice = learn_from_sample(sample, origin, bearable_ks(sample.size, k), features, options)
    if choice is not None and k is None and cache is None:
        choice = _in_sight(choice, slide, setup, HeldInput(plan, held), banks)
    bank = level_of(banks, None if choice is None else choice.recommended, k)
    return bank, None if held is None else HeldInput(plan, held, taken.mean)


def _in_sight(choice: Choice, slide: Slide, setup: Setup, known: HeldInput, banks: Sequence[ConceptBank]) -> Choice:
    """The choice of K once a field was seen at every K."""
    about = where_most_meet(banks[-1], {0}, setup.encoder.spec.patch_px)
    if about is None:
        return choice
    return choose_by(encode_field(slide, setup, about, known), {len(bank.names): bank for bank in banks}, choice)
