"""A field of an input, chosen where most concepts meet, and its features."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.provenance import Example, examples_of
from histofactor.concepts.centring import offset_of
from histofactor.records import Centring, ConceptBank, Float, Region
from histofactor.segmentation.encoding import Planned, encode_features
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.field import SIDE_PX, Field
from histofactor.segmentation.setup import Setup, TissueRule
from histofactor.segmentation.window_memory import HeldInput
from histofactor.slides.blocks import read_blocks
from histofactor.slides.geometry.frame import Frame, make_frame
from histofactor.slides.reader import Slide, open_slide

_PATCHES = 8  # of the encoder, along the side of the patch that shows an example


def where_most_meet(bank: ConceptBank, slides: Collection[int], patch_px: int) -> Example | None:
    """The typical token about which most concepts have typical tokens, within half the side of a field.

    Args:
        bank: whose examples are looked at.
        slides: places on the card of the slides that may be chosen.
        patch_px: of the encoder.

    Returns:
        The first of those with most; None where there are none.

    Raises:
        BankError: what the bank tells of its examples cannot be read.
    """
    labelled = [
        (one, label) for label, examples in enumerate(examples_of(bank)) for one in examples if one.slide in slides
    ]
    best, most = None, 0
    for one, _ in labelled:
        reach = one.side * SIDE_PX / (_PATCHES * patch_px) / 2
        met = {
            label
            for other, label in labelled
            if other.slide == one.slide and abs(other.x - one.x) <= reach and abs(other.y - one.y) <= reach
        }
        if len(met) > most:
            best, most = one, len(met)
    return best


def encode_field(
    slide: Slide, setup: Setup, about: Example, known: HeldInput | None = None, centring: Centring | None = None
) -> Field:
    """The field about a typical token, moved inwards where it would leave the input.

    Where all windows of the input are held none is encoded; else the field is, as an input of its own. Features are
    kept in half precision.

    Args:
        slide: the input.
        setup: how tokens come about.
        about: a token of it.
        known: of the input; without the mean of its tokens nothing is taken from them.
        centring: of the concepts, or None.

    Raises:
        ImageError: the input cannot be read.
    """
    if known is None or known.windows is None:
        field = _encoded_alone(slide, setup, about)
    else:
        field = _of_held(slide, setup, about, known)
    features = field.features
    if centring is not None and known is not None and known.mean is not None:
        features = features - offset_of(centring, known.mean)
    return replace(field, features=features.astype(np.float16).astype(np.float32))


def _of_held(slide: Slide, setup: Setup, about: Example, held: HeldInput) -> Field:
    """A field of an input whose windows are held, on its token grid."""
    frame = held.plan.frame
    stride, (wide, high) = frame.stride_px, frame.t_size
    columns, rows = (-(-min(SIDE_PX, whole) // stride) for whole in frame.t_size)
    left, top = _corner(about, frame, (columns, rows), frame.g_size, stride)
    bands, tissue = [], []
    for part in encode_features(Planned(slide, setup, held.plan, held.windows)):
        first, last = (min(max(row, top), top + rows) - part.g_rows[0] for row in part.g_rows)
        bands.append(part.B[first:last, left : left + columns])
        tissue.append(part.tissue[first:last, left : left + columns])
        if part.g_rows[1] >= top + rows:
            break
    x, y = left * stride, top * stride
    size = min(columns * stride, wide - x), min(rows * stride, high - y)
    rgb = read_blocks(slide, _region(frame, (x, y), size))[0]
    return _field(rgb, np.concatenate(bands), np.concatenate(tissue), frame, setup)


def _encoded_alone(slide: Slide, setup: Setup, about: Example) -> Field:
    """A field that is read and encoded as an input of its own; tissue is found on it alone."""
    spec = setup.encoder.spec
    frame = make_frame(slide.info, setup.mpp or spec.mpp, spec.patch_px)
    width, height = (min(SIDE_PX, whole) for whole in frame.t_size)
    corner = _corner(about, frame, (width, height), frame.t_size)
    rgb = read_blocks(slide, _region(frame, corner, (width, height)))[0]
    alone = replace(setup, mpp=None if frame.t_mpp is None else setup.mpp, tissue=TissueRule(setup.tissue.find))
    with open_slide(rgb, source_mpp=frame.t_mpp) as part:
        cache = cache_features(part, alone)
    features, tissue = ([getattr(band, name) for band in cache.parts] for name in ("B", "tissue"))
    return _field(rgb, np.concatenate(features), np.concatenate(tissue), cache.plan.frame, setup)


def _corner(
    about: Example, frame: Frame, size: tuple[int, int], whole: tuple[int, int], px: int = 1
) -> tuple[int, int]:
    """The corner (x, y) of a field of a size about a token, inside the whole; all in units of so many working px."""
    centers = about.x + about.side / 2, about.y + about.side / 2
    x, y = (
        min(max(round(center / scale / px - side / 2), 0), of - side)
        for center, scale, side, of in zip(centers, frame.l0_per_px, size, whole, strict=True)
    )
    return x, y


def _region(frame: Frame, corner: tuple[int, int], size: tuple[int, int]) -> Region:
    """Working px of an input as a region of it."""
    (sx, sy), (x, y), (width, height) = frame.l0_per_px, corner, size
    return Region(x * sx, y * sy, width * sx, height * sy, size, frame.t_mpp)


def _field(rgb: NDArray[np.uint8], features: Float, tissue: NDArray[np.bool_], frame: Frame, setup: Setup) -> Field:
    return Field(
        rgb=rgb,
        features=features,
        tissue=tissue,
        stride_px=frame.stride_px,
        mpp=frame.t_mpp,
        encoder=setup.encoder.spec.key,
    )
