"""The main job on one page: encode → respond → blend → solve → decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import histofactor
from histofactor.base.clock import Clock
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.encoders.build import Encoder
from histofactor.errors import OptionError
from histofactor.masks import unlike
from histofactor.records import ConceptBank, Float, LabelMap, Segmentation, SlideInfo, TokenMaps, Weights
from histofactor.segmentation.encoding import Blended, Decoder, Encoding, Progress
from histofactor.segmentation.feature_cache import CachedEncoding, FeatureCache
from histofactor.segmentation.method import STREAMED, Solved, Tokens, by_owner, owners, weigh
from histofactor.segmentation.plan import Plan, make_plan, unreadable_share
from histofactor.segmentation.setup import Engine, SegmentOptions, prepare
from histofactor.segmentation.store import Band, Maps, MemoryStore, Store
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.reader import Slide, open_slide

_FEATURE_BYTES = 4 * 2**30  # features that methods without a fixed bank may hold


def segment(  # noqa: PLR0913 - the public face of the main job
    source: str | Path | NDArray[Any],
    *,
    encoder: str | Encoder = "embedded",
    concepts: str | Path | ConceptBank | None = None,
    k: int | None = None,
    mpp: float | None = None,
    source_mpp: float | None = None,
    method: str = "project",
    options: SegmentOptions | None = None,
) -> Segmentation:
    """Segment one image into tissue phenotypes.

    Args:
        source: an image file, or an array (height, width, 3) uint8.
        encoder: name of an encoder, or one that is loaded.
        concepts: a bank or its file; the embedded encoder brings its own.
        k: number of concepts, one that the bank has; for ``single`` the number of components.
        mpp: µm/px to work at; default the encoder's own. Nothing is ever magnified.
        source_mpp: µm/px of the source where its header lacks it.
        method: ``project``, ``cluster``, ``raw``, ``factorize`` or ``single`` (arXiv 2409.05697).
        options: what is seldom changed.

    Returns:
        Labels at the working resolution, margin, weights and the recipe.

    Raises:
        HistofactorError: one of its leaves, telling what to mend.
    """
    engine = prepare(encoder=encoder, concepts=concepts, k=k, mpp=mpp, method=method, options=options)
    with open_slide(source, source_mpp=source_mpp) as slide:
        return segment_slide(slide, engine)


def segment_slide(
    slide: Slide,
    engine: Engine,
    on_progress: Progress = lambda done, total: None,
    *,
    store: Store | None = None,
    clock: Clock | None = None,
    encoded: FeatureCache | None = None,
) -> Segmentation:
    """Segment an open input: encode → respond → blend → solve → decode, band by band from top to bottom.

    Args:
        slide: the input.
        engine: from ``prepare``.
        on_progress: called with (windows done, windows in all).
        store: where bands are kept, in memory by default; one on disk may hold some already, which are not made again
            (only for the methods in ``STREAMED``: the others need all tokens at once).
        clock: told how long each stage takes.
        encoded: the features, where they are at hand.
    """
    plan = make_plan(slide, engine) if encoded is None else encoded.plan
    store, clock = store or MemoryStore(), clock or Clock()
    owned = owners(engine.method, engine.bank)
    marked_k = _marked_k(engine)
    decoder = Decoder(plan, owned, marked_k)
    encoding: Encoding | CachedEncoding = (
        Encoding(slide, engine, plan, clock, on_progress) if encoded is None else CachedEncoding(encoded, engine)
    )
    bank = engine.bank or _no_concepts(engine)
    if state := store.state():
        encoding.restore(state)
        decoder.restore(state)
    for blended, solved in _solve(encoding, engine, plan, clock):
        W, residual, bank = solved
        with clock("decode"):
            values, left = _spread(W, blended.tissue), _spread(residual, blended.tissue)
            over = left > (engine.unlike or 1.0)
            labels, margin = decoder.rows(blended.g_rows, values, blended.unreadable, over)
            values = by_owner(values, owned)
            tokens = token_maps(values, left, plan.frame.stride_px)
            if marked_k is not None:
                tokens = replace(tokens, label=unlike.mark(tokens.label, over, marked_k))
        with clock("store"):
            band = Band(labels, margin, tokens, blended.unreadable, values)
            store.put(band, {**encoding.state(), **decoder.state()} if blended.ends_row else None)
    return _assemble(slide, engine, plan, store.maps(), bank)


def tissue_features(slide: Slide, engine: Engine) -> NDArray[np.float32]:
    """Features (n, d) of the tissue tokens of an open input, in reading order; ``engine.method`` must be ``single``."""
    encoding = Encoding(slide, engine, make_plan(slide, engine), Clock(), lambda done, total: None)
    return np.concatenate([part.B[part.tissue] for part in encoding])


def _solve(encoding: Iterable[Blended], engine: Engine, plan: Plan, clock: Clock) -> Iterator[tuple[Blended, Solved]]:
    """Weights of the tissue tokens of every band; methods that factorize the input itself wait for all of it."""
    if engine.method in STREAMED:
        for part in encoding:
            with clock("solve"):
                solved = _weigh(part.B[part.tissue], part.sq_norms[part.tissue], engine, plan)
            yield part, solved
        return
    _check_memory(int(plan.g_tissue.sum()) * engine.encoder.spec.dim * 4, engine.method)
    parts = list(encoding)
    with clock("solve"):
        B = np.concatenate([part.B[part.tissue] for part in parts])
        sq_norms = np.concatenate([part.sq_norms[part.tissue] for part in parts])
        W, residual, bank = _weigh(B, sq_norms, engine, plan)
    ends = np.cumsum([np.count_nonzero(part.tissue) for part in parts])[:-1]
    for part, own, left in zip(parts, np.split(W, ends), np.split(residual, ends), strict=True):
        yield part, (own, left, bank)


def _weigh(B: Float, sq_norms: Float, engine: Engine, plan: Plan) -> Solved:
    """Weights (n, K) and residual (n,) of tissue tokens, none where there are none."""
    if not len(B):
        bank = engine.bank or _no_concepts(engine)
        columns = len(owners(engine.method, bank) or bank.vectors)
        return np.zeros((0, columns), np.float32), np.zeros(0, np.float32), bank
    tokens = Tokens(B, sq_norms, engine.encoder.spec.key, plan.frame.t_mpp)
    return weigh(engine.method, tokens, engine.bank, engine.factorization)


def _marked_k(engine: Engine) -> int | None:
    """Number of concepts, where tissue unlike the bank gets the label after theirs; else None."""
    return None if engine.unlike is None or engine.bank is None else len(engine.bank.vectors)


def _no_concepts(engine: Engine) -> ConceptBank:
    """What stands for an image's own concepts where it has no tissue."""
    return new_bank(np.ones((1, engine.encoder.spec.dim), np.float32), engine.encoder.spec.key)


def _spread(values: Float, tissue: NDArray[np.bool_]) -> Float:
    """Values of tissue tokens (n, …) on their grid (rows, w, …); 0 elsewhere."""
    grid = np.zeros((*tissue.shape, *values.shape[1:]), np.float32)
    grid[tissue] = values
    return grid


def _check_memory(needed: int, method: str) -> None:
    """Methods that factorize the input itself hold all its features; refuse what would not fit."""
    if needed > _FEATURE_BYTES:
        raise OptionError(
            f"the image is too large for method {method!r}",
            expected=f"at most {_FEATURE_BYTES / 2**30:.0f} GiB of features",
            got=f"{needed / 2**30:.1f} GiB",
            mend="use --method project, --fast, or a coarser --mpp",
        )


def token_maps(W: Float, residual: Float, stride_px: int) -> TokenMaps:
    """What weights (h, w, K) say of every token: its strongest concept, that one's share, and the margin.

    Args:
        W: (h, w, K) weights ≥ 0.
        residual: (h, w), kept with them.
        stride_px: working px per token.
    """
    first, total = W.max(axis=-1), W.sum(axis=-1)
    second = np.partition(W, -2, axis=-1)[..., -2] if W.shape[-1] > 1 else np.zeros_like(first)
    share = np.divide(first, total, out=np.zeros_like(first), where=first > 0)
    margin = np.divide(first - second, first, out=np.zeros_like(first), where=first > 0)
    label = np.where(first > 0, W.argmax(axis=-1) + 1, 0).astype(np.min_scalar_type(W.shape[-1]))
    return TokenMaps(stride_px, label, share, margin, residual)


def _assemble(slide: Slide, engine: Engine, plan: Plan, maps: Maps, bank: ConceptBank) -> Segmentation:
    """All bands and what is known of the input, as one record."""
    frame = plan.frame
    lost, places = unreadable_share(maps.unreadable, plan)
    notes = (*slide.info.notes, *filter(None, [frame.note, places]))
    info = replace(slide.info, notes=notes)
    weights = maps.weights
    names, colors = unlike.legend(bank.names, bank.colors, told=engine.unlike is not None)
    return Segmentation(
        slide=info,
        label_map=LabelMap(maps.labels, frame.t_mpp, (0, 0), names, colors),
        margin=maps.margin,
        tokens=maps.tokens,
        l0_per_px=frame.l0_per_px,
        recipe=_recipe(info, engine, frame, bank) | {"unreadable": lost},
        weights=None if weights is None else Weights(weights, frame.stride_px, bank, maps.tokens.residual),
    )


def _recipe(info: SlideInfo, engine: Engine, frame: Frame, bank: ConceptBank) -> dict[str, Any]:
    """All that is needed to make the same labels again."""
    spec = engine.encoder.spec
    return {
        "histofactor": histofactor.__version__,
        "encoder": asdict(spec.key),
        "inference": {"format": str(engine.encoder.autocast or "float32"), "mended": engine.encoder.mended},
        "bank": {"sha256": bank_hash(bank), "k": len(bank.vectors), "provenance": dict(bank.provenance)},
        "method": engine.method,
        "factorization": asdict(engine.factorization) if engine.method in {"factorize", "single"} else None,
        "tissue": engine.options.tissue,
        "unlike": engine.unlike,
        "mpp": frame.t_mpp,
        "source": {
            "size": list(info.size),
            "mpp": info.mpp,
            "reader": info.reader,
            "notes": list(info.notes),
        },
        "geometry": {
            "size": list(frame.t_size),
            "stride_px": frame.stride_px,
            "grid": list(frame.g_size),
            "l0_per_px": list(frame.l0_per_px),
            "window": asdict(spec.window),
            "views": engine.options.views,
            "shift_px": engine.options.shift_px,
        },
    }
