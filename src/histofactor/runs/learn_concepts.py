"""Concepts from a collection: sample its tokens, learn every K, and write down what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import histofactor
from histofactor.base.text import counted
from histofactor.concepts.learn.choose_k import Choice, stated
from histofactor.concepts.learn.from_sample import Features, Origin, learn_from_sample
from histofactor.concepts.learn.levels import check_ks
from histofactor.encoders.encoder import Encoder
from histofactor.errors import ImageError
from histofactor.records import ConceptBank
from histofactor.records.shown import Shown
from histofactor.records.urls import Input
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.notebook import watched
from histofactor.runs.outcome import Reporter
from histofactor.runs.sample_builder import LearnOptions, SampleBuilder
from histofactor.runs.source import Source, Sources, file_sources

_SHOWN = 3  # names of inputs that are told
_ALIKE = 0.5  # times the tokens of the group with most, below which a group gives too few


@dataclass(frozen=True, slots=True, repr=False)
class Learned(Shown):
    """What was learned.

    Attributes:
        banks: one per K, ascending.
        card: what is true of all of them; JSON types only.
        choice: of K, as the card states it; None where the sample is too small for one.
    """

    banks: list[ConceptBank]
    card: dict[str, Any]
    choice: Choice | None = None


def learn_concepts(
    inputs: Sequence[str | Input] | Sources,
    ks: Sequence[int],
    *,
    encoder: str | Encoder = "embedded",
    options: LearnOptions | None = None,
    work: Path | None = None,
    reporter: Reporter | None = None,
) -> Learned:
    """Learn concept banks, one per K, from the tissue of many images or slides (arXiv 2409.05697, on tokens).

    An input that cannot be read, or that fails half-way, is left out as a whole and named on the card.

    Args:
        inputs: files, or where they come from.
        ks: numbers of concepts.
        encoder: name of an encoder, or one that is loaded.
        options: resolution, sampling, clustering, seeds. Features are ``split-root`` where neither a transform is given
            nor an encoder that is loaded or joint.
        work: file that holds the sample while it grows, to go on from after an interruption; None keeps none. It stays:
            another run with the same inputs and sampling learns from it without encoding again.
        reporter: who is told of progress; in a notebook it is shown where nobody is.

    Returns:
        Banks in ascending K, and their card.

    Raises:
        ImageError: no input could be used, or none has tissue.
        BankError: there are fewer tokens than concepts.
        EncoderError, OptionError, OutputError: the encoder cannot be had, an argument is out of range, or the sample
            cannot be written.
    """
    options = options or LearnOptions()
    check_ks(ks)
    sources = inputs if isinstance(inputs, Sources) else file_sources(inputs, opening=options.opening)
    with watched(reporter) as told:
        with open_workers(options.engine) as workers:
            builder = SampleBuilder(sources, encoder, options, work=work, reporter=told, workers=workers)
            builder.gather()
        told.on_stage("learning concepts")
        return learn(builder, lambda tokens: ks)


def learn(builder: SampleBuilder, ks: Callable[[int], Sequence[int]]) -> Learned:
    """Learn every K from a sample.

    Args:
        builder: after ``gather``.
        ks: from the number of tokens to numbers of concepts.

    Raises:
        ImageError: there is no tissue.
        OptionError, BankError: as ``train_levels``.
    """
    sample, options, spec = builder.sample, builder.options, builder.spec
    if not sample.size:
        got = next(iter(builder.left_out.values()), f"{counted(len(builder.sources), 'input')} without")
        raise ImageError("no tissue to learn from", expected="images with tissue", got=got)
    sample.sort()
    used, slides = _used(builder)
    for sentence in _told_of_sample(builder, used, slides):
        builder.tell(sentence)
    sides = [builder.slides[source.name]["side"] for source in used]
    origin = Origin(slides, [source.group for source in used], sides)
    mpp, single = options.mpp or spec.mpp, options.pool == "token"
    window_px = spec.window.size_px
    features = Features(encoder=spec.key, mpp=mpp, single=single, centring=builder.centring, window_px=window_px)
    banks, choice = learn_from_sample(sample, origin, ks(sample.size), features, options.train)
    return Learned(banks, {**_provenance(builder, used, slides), "choice": stated(choice)}, choice)


def _used(builder: SampleBuilder) -> tuple[list[Source], NDArray[np.int64]]:
    """The inputs that were used, and for every token in the sample the place of its own among them."""
    used = builder.used
    is_used = np.isin([source.name for source in builder.sources], [source.name for source in used])
    place = np.cumsum(is_used) - 1
    return used, place[builder.sample.slides[: builder.sample.size]]


def _told_of_sample(builder: SampleBuilder, used: Sequence[Source], slides: NDArray[np.int64]) -> list[str]:
    """What is to be told of a sample: inputs that are not in it, and groups that have too little to give alike."""
    told = []
    if none := builder.without_tissue:
        more = f" and {len(none) - _SHOWN} more" if len(none) > _SHOWN else ""
        inputs, give = counted(len(none), "input"), "gives" if len(none) == 1 else "give"
        told.append(
            f"no tissue was found in {inputs}, which {give} nothing to learn from: {', '.join(none[:_SHOWN])}{more}"
        )
    gives: Counter[str | None] = Counter()
    for source, number in zip(used, np.bincount(slides, minlength=len(used)).tolist(), strict=True):
        gives[source.group] += number
    (most, high), (least, low) = gives.most_common(1)[0], gives.most_common()[-1]
    if builder.balance == "group" and low < _ALIKE * high:
        told.append(
            f"groups do not give alike: {_group(most)} {counted(high, 'token')}, {_group(least)} {low:,}, for it has no"
            f" more; `histofactor concepts train --tokens {len(gives) * max(low, 1)}` takes as many of each"
        )
    return told


def _group(name: str | None) -> str:
    """A group as a sentence calls it."""
    return "inputs without a group" if name is None else name


def _provenance(builder: SampleBuilder, used: Sequence[Source], slides: NDArray[np.int64]) -> dict[str, Any]:
    """What is true of all levels."""
    sample, options = builder.sample, builder.options
    train = options.train
    sampled = np.bincount(slides, minlength=len(used)).tolist()
    groups = [source.group for source in used if source.group is not None]
    return {
        "made": f"histofactor {histofactor.__version__}",
        "algorithm": train.algorithm,
        "options": {
            **asdict(train.kmeans),
            "sampling_seed": options.seed,
            "tokens": sample.size,
            "windows_per_slide": options.windows,
            "views": options.encoder.views,
            "pool": options.pool,
            "balance": builder.balance,
            "centring": builder.centring,
            "nested": train.nested and train.algorithm == "kmeans",
        },
        "licence": "that of the slides and of the encoder",
        "groups": {group: groups.count(group) for group in sorted(set(groups))},
        "slides": [
            {"name": source.name, "group": source.group, **builder.slides[source.name], "sampled": number}
            for source, number in zip(used, sampled, strict=True)
        ],
        "left_out": builder.left_out,
    }
