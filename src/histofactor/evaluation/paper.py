"""The variants of the paper (arXiv 2409.05697) on the same images and with the same encoder, K and scores.

Features are clipped at 0 (ReLU) and every image is encoded in one view, as in the paper's package; concepts are
clustered from all tokens of the images, every K anew:

    paper a   projection on the concepts as they are, the largest weight wins
    paper b   factorization of every image, each component handed to the nearest concept by cosine
    paper c   the nearest concept of every token
    paper d   factorization of every image alone, 20 components: its labels mean something else in every image

and ``paper a, tiles``, as a, with concepts clustered from means of 256 px tiles, as the published ones were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from histofactor.concepts.learn.levels import TrainOptions
from histofactor.encoders.encoder import Encoder, with_transform
from histofactor.evaluation.counting import Ask, Images, count, learn_from
from histofactor.evaluation.image_job import Way
from histofactor.evaluation.scores.tally import Counted
from histofactor.runs.sample_builder import LearnOptions
from histofactor.segmentation.setup import SegmentOptions

PASSES = 3  # times that every image is encoded: for tokens, for tiles, and to be segmented
VARIANTS = {"paper a": "raw", "paper b": "factorize", "paper c": "cluster"}  # methods of ``segment``
_ALONE, _TILES = "paper d", "paper a, tiles"


def count_variants(
    images: Images, encoder: str | Encoder, ks: Sequence[int], how: SegmentOptions
) -> tuple[dict[Way, Counted], str]:
    """Segment every image in the ways of the paper, and count.

    Args:
        images: to learn from and to count.
        encoder: name of an encoder, or one that is loaded with whatever transform.
        ks: numbers of concepts.
        how: weights, layer and device of the encoder and the like.

    Returns:
        Px by label and class by variant and K, and a clause that tells what was left out, or "".

    Raises:
        ImageError, BankError, EncoderError, OptionError: as ``learn_from`` and ``count``.
    """
    how = replace(how, transform="relu", views=1)
    encoder = with_transform(encoder, "relu") if isinstance(encoder, Encoder) else encoder
    learning = LearnOptions(train=TrainOptions(nested=False), centring=0.0)
    loaded, banks = learn_from(images, encoder, how, learning, lambda tokens: ks)
    tiles = replace(learning, pool="tile")
    _, of_tiles = learn_from(images, loaded, how, tiles, lambda means: [k for k in ks if k <= means] or [1])
    ask: Ask = {
        **{(name, k): (method, banks[k]) for name, method in VARIANTS.items() for k in ks},
        (_ALONE, min(how.components, loaded.spec.dim)): ("single", None),
        **{(_TILES, k): ("raw", of_tiles[k]) for k in ks if k in of_tiles},
    }
    few = [k for k in ks if k not in of_tiles]
    told = f"; {_TILES} lacks K = {', '.join(map(str, few))}, for there are fewer tiles" if few else ""
    return count(images, encoder, ask, how, loaded=loaded)[0], told
