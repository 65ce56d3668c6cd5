"""A labelled data set segmented in several ways, every image encoded once, and scored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histofactor.base.extras import need
from histofactor.concepts.learn.from_sample import bearable_ks
from histofactor.errors import OptionError
from histofactor.evaluation.data.datasets import Dataset, load_dataset
from histofactor.evaluation.data.split import Split, describe, divide
from histofactor.evaluation.image_job import CountedImage, ImageJob, ImageTask, Way, together
from histofactor.evaluation.pages.outputs import Evaluation, write_evaluation
from histofactor.evaluation.pages.page import write_page
from histofactor.evaluation.pages.panels import best_and_worst
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.cells import Cells
from histofactor.evaluation.scores.floors_and_ceilings import brackets
from histofactor.evaluation.scores.protocol import CROSS_VALIDATION
from histofactor.evaluation.scores.stability import shares
from histofactor.evaluation.scores.tally import Counted, result_of
from histofactor.records import ConceptBank
from histofactor.runs.execute.engine import LOCAL, Engine, Workers
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.learn_concepts import learn
from histofactor.runs.outcome import Observer
from histofactor.runs.sample_builder import LearnOptions, SampleBuilder
from histofactor.runs.source import Opening, file_sources
from histofactor.runs.task import Request
from histofactor.segmentation.given_bank import EMBEDDED
from histofactor.segmentation.method import method_of
from histofactor.segmentation.setup import Segmenter, SegmentOptions, name_of, prepare

if TYPE_CHECKING:
    from histofactor.encoders.encoder import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What is evaluated, and how.

    Attributes:
        ks: numbers of concepts, each once.
        methods: methods of ``segment`` whose labels mean the same in every image, each once; ``single`` has none.
        fast: encode every window once, not in four views.
        mpp: µm/px to work at; default the encoder's own.
        opening: how images are opened; a µm/px here takes the place of the data set's.
        segment: weights, layer and device of the encoder and the like; everything counts as tissue.
        split: fit the classes of labels on one part and score the other; None holds out one patient at a time.
        engine: where images are worked on.
        stability: disturb so many images, spread evenly over the data set, to tell how many px keep their label; of the
            first method only.
    """

    ks: Sequence[int] = (8, 16, 32, 64)
    methods: Sequence[str] = ("project",)
    fast: bool = False
    mpp: float | None = None
    opening: Opening = field(default_factory=Opening)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    split: Split | None = None
    stability: int = 0
    engine: Engine = LOCAL


def evaluate(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    encoder: str | Encoder = "embedded",
    concepts: str | Path | ConceptBank | None = None,
    options: EvaluateOptions | None = None,
    on_image: Callable[[str], None] = lambda stem: None,
) -> Evaluation:
    """Segment a labelled data set with every method and K, and score it by cross-validation over patients or once.

    Every image is encoded once, whatever the number of methods and K; where concepts are learned, once more before.

    Args:
        folder: the data set, laid out as ``datasets`` says.
        out: folder for ``evaluation.json``, ``evaluation.csv`` and ``evaluation.html``; None writes nothing.
        encoder: as for ``segment``.
        concepts: likewise; None takes those that ship with the embedded encoder. For others they are learned from all
            images, also those that are held out, without labels, as ``segment`` learns them; the protocol says so.
        options: what is evaluated, and how.
        on_image: called with the stem of every image that is done.

    Returns:
        One result per method and K, in their order, and what they lie between.

    Raises:
        OptionError: scikit-learn is missing, the data set or the split is not as stated, there is one patient only and
            no split, there is nothing to do, or a K or a method is named twice.
        ImageError: an image or its labels cannot be used.
        BankError, EncoderError, ResolutionError, OutputError: as told by ``segment`` and the writers.
    """
    options = options or EvaluateOptions()
    _check(options)
    dataset, scored, protocol = load_dataset(folder), None, CROSS_VALIDATION
    if options.split is not None:
        dataset, scored = divide(dataset, options.split)
        protocol = describe(dataset, scored)
    if options.opening.source_mpp is not None:
        dataset = replace(dataset, mpp=options.opening.source_mpp)
    metrics.held_out_and_rest([item.patient for item in dataset.items], scored)  # tells now if patients are too few
    ways = list(itertools.product(options.methods, options.ks))
    how = replace(options.segment, tissue=False, views=1 if options.fast else 4)  # lumina and glass are scored too
    banks: dict[int, str | Path | ConceptBank | None] = dict.fromkeys(options.ks, concepts)
    needed = all(method_of(method).needs_bank for method in options.methods)
    with open_workers(options.engine) as workers:
        loaded = encoder
        if concepts is None and needed and name_of(encoder) != EMBEDDED:
            loaded, learned = _learned(dataset, encoder, options, how, workers)
            banks |= learned
            protocol += f"; concepts learned from all {len(dataset.items)} images without labels, held-out ones too"
        segmenters = _segmenters(loaded, banks, ways, options.mpp, how)
        job = ImageJob(dataset, _requests(encoder, segmenters, options.mpp, how), options.opening, segmenters)
        counted, cells, kept = _count(job, options.stability, workers, on_image)
    results = tuple(
        replace(result_of(tally, dataset, scored), stability=shares(kept[way]) if way in kept else {})
        for way, tally in counted.items()
    )
    evaluation = Evaluation(dataset, results, brackets(dataset, cells, options.ks, scored), protocol)
    if out is not None:
        write_evaluation(evaluation, out)
        first = [result for result in results if result.method == options.methods[0]]
        best = max(first, key=lambda result: result.scores.mean_iou)
        panels = best_and_worst(dataset, counted[best.method, best.k], best.scores.images, scored)
        write_page(evaluation, panels, Path(out) / "evaluation.html")
    return evaluation


def _check(options: EvaluateOptions) -> None:
    need("evaluation needs", "evaluate", "sklearn")  # which the bounds of the scores take, at the very end
    if not options.ks or not options.methods:
        got = f"{options.ks}, {options.methods}"
        raise OptionError("nothing to evaluate", expected="at least one K and one method", got=got)
    for what, values in (("K", options.ks), ("method", options.methods)):
        if len({*values}) < len(values):
            raise OptionError(f"a {what} is named twice", expected="each once", got=f"{values}")
    if options.stability < 0:
        got = f"{options.stability}"
        raise OptionError("the number of images to disturb is out of range", expected="0 or more", got=got)


def _count(
    job: ImageJob, stability: int, workers: Workers, on_image: Callable[[str], None]
) -> tuple[dict[Way, Counted], list[Cells], dict[Way, NDArray[np.int64]]]:
    """Segment every image: px by label and class, cells, and px that keep their label, by method and K."""
    images, found = len(job.dataset.items), dict[int, CountedImage]()
    disturbed = {i * images // stability for i in range(stability)}
    tasks = [ImageTask(item, place, place in disturbed) for place, item in enumerate(job.dataset.items)]
    for task, image in workers.execute(job, tasks, Observer()):
        found[task.place] = image
        on_image(task.name)
    return together([found[place] for place in range(images)])


def _requests(
    encoder: str | Encoder, segmenters: Mapping[Way, Segmenter], mpp: float | None, how: SegmentOptions
) -> dict[Way, Request]:
    """What other processes load these segmenters by."""
    return {
        (method, k): Request(
            encoder=encoder, concepts=one.bank, k=None if one.bank else k, mpp=mpp, method=method, options=how
        )
        for (method, k), one in segmenters.items()
    }


def _learned(
    dataset: Dataset, encoder: str | Encoder, options: EvaluateOptions, how: SegmentOptions, workers: Workers
) -> tuple[Encoder, dict[int, ConceptBank]]:
    """The encoder, loaded, and concepts of every K learned from the images, whose labels are not looked at."""
    opening = replace(options.opening, source_mpp=dataset.mpp)
    learning = LearnOptions(mpp=options.mpp, opening=opening, windows=0, encoder=how)
    sources = file_sources([item.image for item in dataset.items])
    builder = SampleBuilder(sources, encoder, learning, workers=workers)
    builder.gather()
    learned = learn(builder, lambda tokens: sorted({*options.ks, *bearable_ks(tokens, max(options.ks))}))
    return builder.setup.encoder, {len(bank.names): bank for bank in learned.banks}


def _segmenters(
    encoder: str | Encoder,
    banks: Mapping[int, str | Path | ConceptBank | None],
    ways: Sequence[Way],
    mpp: float | None,
    how: SegmentOptions,
) -> dict[Way, Segmenter]:
    """A segmenter for every method and K, which share one encoder."""
    segmenters: dict[Way, Segmenter] = {}
    for method, k in ways:
        segmenter = prepare(encoder=encoder, concepts=banks[k], k=k, mpp=mpp, method=method, options=how)
        encoder = segmenter.setup.encoder
        segmenters[method, k] = segmenter
    return segmenters
