"""A labelled data set segmented in several ways, every image encoded once, and scored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from histofactor.base.extras import need
from histofactor.concepts.learn.from_sample import bearable_ks
from histofactor.errors import OptionError
from histofactor.evaluation.counting import Concepts, Images, count, learn_from
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.data.split import Split, describe, divide
from histofactor.evaluation.pages.outputs import Evaluation, write_evaluation
from histofactor.evaluation.pages.page import write_page
from histofactor.evaluation.pages.panels import best_and_worst
from histofactor.evaluation.paper import PASSES, count_variants
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.floors_and_ceilings import brackets
from histofactor.evaluation.scores.protocol import CROSS_VALIDATION
from histofactor.evaluation.scores.stability import shares
from histofactor.evaluation.scores.tally import result_of
from histofactor.records import ConceptBank
from histofactor.runs.execute.engine import LOCAL, Engine
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.method import method_of
from histofactor.segmentation.setup import SegmentOptions, name_of

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
        paper: score the variants of the paper too, see ``evaluation.paper``.
    """

    ks: Sequence[int] = (8, 16, 32, 64)
    methods: Sequence[str] = ("project",)
    fast: bool = False
    mpp: float | None = None
    opening: Opening = field(default_factory=Opening)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    split: Split | None = None
    stability: int = 0
    paper: bool = False
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

    Every image is encoded once, whatever the number of methods and K; where concepts are learned, once more before; and
    for the variants of the paper three times, each in one view.

    Args:
        folder: the data set, laid out as ``datasets`` says.
        out: folder for ``evaluation.json``, ``evaluation.csv`` and ``evaluation.html``; None writes nothing.
        encoder: as for ``segment``.
        concepts: likewise; with None they are learned from all images, also those that are held out, without labels, as
            ``segment`` learns them; the protocol says so.
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
    _check(encoder, options)
    dataset, scored, protocol = load_dataset(folder), None, CROSS_VALIDATION
    if options.split is not None:
        dataset, scored = divide(dataset, options.split)
        protocol = describe(dataset, scored)
    if options.opening.source_mpp is not None:
        dataset = replace(dataset, mpp=options.opening.source_mpp)
    metrics.held_out_and_rest([item.patient for item in dataset.items], scored)  # tells now if patients are too few
    how = replace(options.segment, tissue=False, views=1 if options.fast else 4)  # lumina and glass are scored too
    with open_workers(options.engine) as workers:
        images = Images(
            dataset=dataset, opening=options.opening, mpp=options.mpp, workers=workers, on_image=on_image
        )  # fmt: skip
        loaded, banks = None, dict[int, Concepts](dict.fromkeys(options.ks, concepts))
        theirs, told = count_variants(images, encoder, options.ks, how) if options.paper else ({}, "")
        if learns(concepts, options):
            loaded, learned = learn_from(images, encoder, how, LearnOptions(), partial(_ks, options.ks))
            banks |= learned
            said = f"all {len(dataset.items)} images without labels, held-out ones too, seed {how.seed}"
            protocol += f"; concepts learned from {said}"
        ask = {
            (method, k): (method, banks[k] if method_of(method).needs_bank else None)
            for method, k in itertools.product(options.methods, options.ks)
        }
        counted, cells, kept = count(images, encoder, ask, how, loaded=loaded, stability=options.stability)
    if theirs:
        counted |= theirs
        protocol += "; variants of the paper beside it: ReLU, one view, concepts of every K learned anew" + told
    results = tuple(
        replace(result_of(tally, dataset, scored), stability=shares(kept[way]) if way in kept else {})
        for way, tally in counted.items()
    )
    evaluation = Evaluation(dataset, results, brackets(dataset, cells, options.ks, scored), protocol)
    if out is not None:
        write_evaluation(evaluation, out)
        first = [one for one in results if one.method == results[0].method and not one.alone]
        best = max(first, key=lambda result: result.scores.mean_iou, default=None)
        panels = best_and_worst(dataset, counted[best.method, best.k], best.scores.images, scored) if best else []
        write_page(evaluation, panels, Path(out) / "evaluation.html")
    return evaluation


def learns(concepts: str | Path | ConceptBank | None, options: EvaluateOptions) -> bool:
    """Whether concepts are learned from the images."""
    return concepts is None and any(method_of(method).needs_bank for method in options.methods)


def encodings(concepts: str | Path | ConceptBank | None, options: EvaluateOptions) -> int:
    """How often every image is encoded, so how often ``evaluate`` calls ``on_image`` with it."""
    return 1 + learns(concepts, options) + PASSES * options.paper


def _ks(wanted: Sequence[int], tokens: int) -> list[int]:
    """The K to learn from so many tokens: as ``segment`` does, and those that are asked for."""
    return sorted({*wanted, *bearable_ks(tokens, max(wanted))})


def _check(encoder: str | Encoder, options: EvaluateOptions) -> None:
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
    if options.paper and "," in name_of(encoder):
        raise OptionError(
            "the variants of the paper have the features of one encoder",
            expected="one encoder with --paper",
            got=name_of(encoder),
            mend="name one, or leave --paper out",
        )
