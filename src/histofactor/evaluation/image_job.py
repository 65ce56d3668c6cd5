"""One image of a data set as a task: encoded once, segmented in every way, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.clock import Watch
from histofactor.errors import HistofactorError, ImageError
from histofactor.evaluation.data.datasets import Dataset, Item, read_truth
from histofactor.evaluation.scores.cells import Cells, cells_of
from histofactor.evaluation.scores.floors_and_ceilings import drawn_per_image
from histofactor.evaluation.scores.stability import kept_labels
from histofactor.evaluation.scores.tally import Counted, add_counted, add_image
from histofactor.runs.source import Opening
from histofactor.runs.task import Request
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import Segmenter
from histofactor.slides.thumbnail import read_thumbnail

Way = tuple[str, int]  # what its scores are called, a method or a variant of the paper, and K
_DRAW, _RESTAIN = 0, 1  # sources of chance, each with the place of the image


@dataclass(frozen=True, slots=True)
class ImageTask:
    """An image to count.

    Attributes:
        item: the image and its labels.
        place: in the data set.
        disturbed: whether it is disturbed too, see ``stability``.
    """

    item: Item
    place: int
    disturbed: bool

    @property
    def name(self) -> str:
        """What the data set calls it."""
        return self.item.stem

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.item.image


@dataclass(frozen=True, slots=True)
class CountedImage:
    """What was counted of one image.

    Attributes:
        counted: by method and K, of this image alone.
        cells: see there.
        kept: px that keep their label where the image is disturbed, by method and K, see ``kept_labels``.
    """

    counted: Mapping[Way, Counted]
    cells: Cells
    kept: Mapping[Way, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class ImageJob:
    """Every image of a data set segmented in every way, and counted.

    Attributes:
        dataset: all of it.
        requests: what images are segmented with, by method and K; to go elsewhere they name their encoder.
        opening: how images are opened.
        here: the same, loaded in this process; it goes nowhere else.
    """

    dataset: Dataset
    requests: Mapping[Way, Request]
    opening: Opening
    here: Mapping[Way, Segmenter] | None = None

    def __reduce__(self) -> tuple[type[ImageJob], tuple[Any, ...]]:
        return ImageJob, (self.dataset, self.requests, self.opening)

    @property
    def out(self) -> None:
        """Counts are returned, and go nowhere."""
        return None

    def start(self, shared: dict[str, Any]) -> Mapping[Way, Segmenter]:
        """Load encoder and concepts; raises what ``prepare`` does."""
        return self.here or {way: request.load(shared) for way, request in self.requests.items()}

    def do(self, state: Mapping[Way, Segmenter], task: ImageTask, watch: Watch) -> CountedImage:
        """Count an image.

        Raises:
            ImageError: it or its labels cannot be used.
            HistofactorError: it cannot be segmented in one of the ways, as told by ``segment``; with its name.
        """
        try:
            return self._counted(state, task)
        except ImageError:
            raise
        except HistofactorError as error:
            raise error.saying(f"{task.path}: {error.what}") from error

    def aid(self, task: ImageTask) -> None:
        """Nothing."""

    def lost(self, task: ImageTask, cause: str) -> CountedImage:
        """Scores without an image would be those of another data set.

        Raises:
            ImageError: always.
        """
        raise ImageError(f"cannot count {task.path}", got=cause, mend="leave the image out of the data set")

    def _counted(self, state: Mapping[Way, Segmenter], task: ImageTask) -> CountedImage:
        dataset, item, (first, _) = self.dataset, task.item, next(iter(state))
        counted = {way: Counted(*way, alone=not one.method.needs_bank) for way, one in state.items()}
        plain, kept = {}, {}
        truth = read_truth(dataset, item)
        with self.opening.open(item.image, dataset.mpp) as slide:
            cache = cache_features(slide, next(iter(state.values())).setup)
            for way, segmenter in state.items():
                labels = add_image(counted[way], dataset, item, truth, segment_slide(slide, segmenter, cache=cache))
                if task.disturbed and way[0] == first:
                    plain[way] = labels
            rgb, _ = read_thumbnail(slide, slide.info.size)
            mpp = slide.info.mpp
        to_draw, to_restain = (np.random.default_rng([source, task.place]) for source in (_DRAW, _RESTAIN))
        drawn = drawn_per_image(len(dataset.items))
        cells = cells_of(rgb, truth, len(dataset.classes), cache, drawn, to_draw)
        if plain:
            kept = kept_labels(rgb, plain, {way: state[way] for way in plain}, mpp, to_restain)
        return CountedImage(counted, cells, kept)


def together(images: Sequence[CountedImage]) -> tuple[dict[Way, Counted], list[Cells], dict[Way, NDArray[np.int64]]]:
    """What was counted of images, in their order: by method and K, of each, and of those that were disturbed.

    Raises:
        OptionError: labels of a method mean something else in every image.
    """
    counted = {way: Counted(*way, alone=one.alone) for way, one in images[0].counted.items()}
    kept: dict[Way, NDArray[np.int64]] = {}
    for image in images:
        for way, one in image.counted.items():
            add_counted(counted[way], one)
        for way, counts in image.kept.items():
            kept[way] = kept.get(way, 0) + counts
    return counted, [image.cells for image in images], kept
