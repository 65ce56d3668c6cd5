"""Concepts from a collection of images: encode, sample tokens evenly over the images, cluster for every K."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.train import banks_from_features
from histofactor.encoders.build import Encoder
from histofactor.errors import HistofactorError, ImageError, ResolutionError
from histofactor.pipeline.engine import SegmentOptions, prepare
from histofactor.pipeline.segment import tissue_features
from histofactor.records import ConceptBank
from histofactor.slides.reader import open_slide


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """How concepts are learned.

    Attributes:
        mpp: µm/px to work at; default the encoder's own.
        source_mpp: µm/px of images whose header lacks it.
        seed: seed of sampling and clustering.
        tokens_per_image: no image gives more tokens than this, so that large ones do not drown the others.
        encoder: weights, layer and device of the encoder.
    """

    mpp: float | None = None
    source_mpp: float | None = None
    seed: int = 0
    tokens_per_image: int = 20_000
    encoder: SegmentOptions = field(default_factory=SegmentOptions)


def train_concepts(
    inputs: Sequence[str | Path],
    ks: Sequence[int],
    *,
    encoder: str | Encoder = "embedded",
    options: LearnOptions | None = None,
    on_image: Callable[[Path, HistofactorError | None], None] = lambda path, error: None,
) -> list[ConceptBank]:
    """Cluster the tissue tokens of many images into concepts, one bank per K (arXiv 2409.05697, on tokens).

    An image that cannot be read is left out and named in the provenance.

    Args:
        inputs: image files.
        ks: numbers of concepts.
        encoder: name of an encoder, or one that is loaded.
        options: resolution, sampling, seed.
        on_image: called after every image with its path and, if it was left out, why.

    Returns:
        Banks in ascending K.

    Raises:
        ImageError: no image could be used.
        BankError: there are fewer tokens than concepts.
        EncoderError, OptionError: the encoder cannot be had, or an argument is out of range.
    """
    options = options or LearnOptions()
    engine = prepare(encoder=encoder, mpp=options.mpp, method="single", options=options.encoder)
    rng = np.random.default_rng(options.seed)
    samples: list[NDArray[np.float32]] = []
    used: list[str] = []
    left_out: dict[str, str] = {}
    for path in map(Path, inputs):
        try:
            with open_slide(path, source_mpp=options.source_mpp) as slide:
                features = tissue_features(slide, engine)
        except (ImageError, ResolutionError) as error:
            left_out[path.name] = str(error)
            on_image(path, error)
            continue
        size = min(len(features), options.tokens_per_image)
        samples.append(features[np.sort(rng.choice(len(features), size, replace=False))])
        used.append(path.name)
        on_image(path, None)
    if not sum(map(len, samples)):
        raise ImageError("no tissue to learn from", expected="images with tissue", got=f"{len(inputs)} images without")
    spec = engine.encoder.spec
    provenance = {"images": used, "left_out": left_out, "tokens_per_image": options.tokens_per_image}
    return banks_from_features(
        np.concatenate(samples), ks, spec.key, mpp=options.mpp or spec.mpp, seed=options.seed, provenance=provenance
    )
