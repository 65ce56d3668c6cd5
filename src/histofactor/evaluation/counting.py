"""Images of a data set segmented in several ways from one encoding, and counted; concepts learned from them first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histofactor.encoders.encoder import Encoder
from histofactor.evaluation.data.datasets import Dataset
from histofactor.evaluation.image_job import CountedImage, ImageJob, ImageTask, Way, together
from histofactor.evaluation.scores.cells import Cells
from histofactor.evaluation.scores.tally import Counted
from histofactor.records import ConceptBank
from histofactor.runs.execute.engine import Workers
from histofactor.runs.learn_concepts import learn
from histofactor.runs.outcome import Observer, Reporter
from histofactor.runs.sample_builder import LearnOptions, SampleBuilder
from histofactor.runs.source import Opening, file_sources
from histofactor.runs.task import Request
from histofactor.segmentation.setup import Segmenter, SegmentOptions, prepare

Concepts = str | Path | ConceptBank | None
Ask = Mapping[Way, tuple[str, Concepts]]
"""The method of ``segment`` and the concepts, by what its scores are called and K."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What is counted, and where.

    Attributes:
        dataset: the images.
        opening: how they are opened; their µm/px is that of the data set.
        mpp: µm/px to work at; default the encoder's own.
        workers: who encodes.
        on_image: called with the stem of every image, each time that it was encoded.
    """

    dataset: Dataset
    opening: Opening
    mpp: float | None
    workers: Workers
    on_image: Callable[[str], None]


def learn_from(
    images: Images,
    encoder: str | Encoder,
    how: SegmentOptions,
    learning: LearnOptions,
    ks: Callable[[int], Sequence[int]],
) -> tuple[Encoder, dict[int, ConceptBank]]:
    """Learn concepts of every K from the images, whose labels are not looked at.

    Args:
        images: to learn from.
        encoder: name of an encoder, or one that is loaded.
        how: weights, layer and device of the encoder and the like, and the seed.
        learning: what is clustered, and how; how inputs are opened and encoded is put in, and the seed.
        ks: from the number of tokens to numbers of concepts.

    Returns:
        The encoder, loaded, and a bank by K; none where tiles are clustered and every image is smaller than one.

    Raises:
        ImageError, BankError, EncoderError, OptionError: as ``learn_concepts``.
    """
    opening = replace(images.opening, source_mpp=images.dataset.mpp)
    train = replace(learning.train, kmeans=replace(learning.train.kmeans, seed=how.seed))
    options = replace(
        learning, mpp=images.mpp, opening=opening, windows=0, encoder=how, seed=how.seed, train=train
    )  # fmt: skip
    sources = file_sources([item.image for item in images.dataset.items])
    told = Reporter(on_outcome=lambda outcome: images.on_image(Path(outcome.input).stem))
    builder = SampleBuilder(sources, encoder, options, workers=images.workers, reporter=told)
    builder.gather()
    if learning.pool == "tile" and not builder.sample.size:
        return builder.setup.encoder, {}
    return builder.setup.encoder, {len(bank.names): bank for bank in learn(builder, ks).banks}


def count(
    images: Images,
    encoder: str | Encoder,
    ask: Ask,
    how: SegmentOptions,
    *,
    loaded: Encoder | None = None,
    stability: int = 0,
) -> tuple[dict[Way, Counted], list[Cells], dict[Way, NDArray[np.int64]]]:
    """Encode every image once, segment it in every way, and count.

    Args:
        images: to count.
        encoder: name of an encoder, or one that is loaded.
        ask: what they are segmented with.
        how: weights, layer and device of the encoder and the like.
        loaded: the encoder, where it is loaded already.
        stability: disturb so many images, spread evenly over the data set.

    Returns:
        Px by label and class by method and K, cells of every image, and px that keep their label where it is disturbed.

    Raises:
        ImageError: an image or its labels cannot be used.
        BankError, EncoderError, OptionError, ResolutionError: as ``prepare``.
    """
    here, segmenters = loaded or encoder, dict[Way, Segmenter]()
    for (name, k), (method, concepts) in ask.items():
        segmenter = prepare(encoder=here, concepts=concepts, k=k, mpp=images.mpp, method=method, options=how)
        here = segmenter.setup.encoder
        segmenters[name, k] = segmenter
    requests = {
        way: Request(
            encoder=encoder,
            concepts=one.bank,
            k=None if one.bank else way[1],
            mpp=images.mpp,
            method=one.method.name,
            options=how,
        )
        for way, one in segmenters.items()
    }  # what other processes load the segmenters by
    job = ImageJob(images.dataset, requests, images.opening, segmenters)
    number, found = len(images.dataset.items), dict[int, CountedImage]()
    disturbed = {i * number // stability for i in range(stability)}
    tasks = [ImageTask(item, place, place in disturbed) for place, item in enumerate(images.dataset.items)]
    for task, image in images.workers.execute(job, tasks, Observer()):
        found[task.place] = image
        images.on_image(task.name)
    return together([found[place] for place in range(number)])
