"""The main job on one page: encode → respond → blend → solve → decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import histofactor
from histofactor.base.clock import Clock, Watch
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.encoders.encoder import Encoder
from histofactor.errors import OptionError
from histofactor.masks import unlike
from histofactor.masks.bands import Decoder, Decoding
from histofactor.masks.borders import ImageBorders, WeighedRows
from histofactor.masks.small import least_px, merging
from histofactor.records import ConceptBank, Float, LabelMap, Segmentation, SlideInfo, Weights
from histofactor.segmentation.encoding import Blended, Blender, Planned, encode_features, encode_rows
from histofactor.segmentation.feature_cache import FeatureCache, mean_of_cache, respond_from
from histofactor.segmentation.feature_file import FeatureSlide, open_input
from histofactor.segmentation.method import Solved, Tokens, method_of, weigh
from histofactor.segmentation.own import learn_from_one
from histofactor.segmentation.plan import Plan, make_plan, tissue_rows, unreadable_share
from histofactor.segmentation.setup import Segmenter, SegmentOptions, Setup, check_options, learning_setup, prepare
from histofactor.segmentation.shift import find_shift
from histofactor.segmentation.store import Maps, MemoryStore, Store
from histofactor.segmentation.window_memory import HeldInput
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.reader import Slide
from histofactor.slides.warnings import NO_TISSUE, erased

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
        source: an image file, an array (height, width, 3) uint8, or a folder that `histofactor features` wrote.
        encoder: name of an encoder, or one that is loaded.
        concepts: a bank or its file, or ``embedded`` for the one that ships with that encoder; default: learned from
            the image itself.
        k: number of concepts, one that the bank has; default the recommended one. For ``single`` the number of
            components.
        mpp: µm/px to work at; default the encoder's own. Nothing is ever magnified.
        source_mpp: µm/px of the source where its header lacks it.
        method: ``project``, ``cluster``, ``raw``, ``factorize`` or ``single`` (arXiv 2409.05697).
        options: what is seldom changed.

    Returns:
        Labels at the working resolution, margin, weights and the recipe.

    Raises:
        HistofactorError: one of its leaves, telling what to mend.
    """
    given = partial(prepare, mpp=mpp, method=method, options=options)
    if concepts is not None or not method_of(method).needs_bank:
        segmenter = given(encoder=encoder, concepts=concepts, k=k)
        with open_input(source, source_mpp) as slide:
            return segment_slide(slide, segmenter)
    options = options or SegmentOptions()
    check_options(k, method_of(method), options)
    setup = learning_setup(encoder, mpp, options)
    with open_input(source, source_mpp) as slide:
        bank, held = learn_from_one(slide, setup, k, options.seed)
        return segment_slide(slide, given(encoder=setup.encoder, concepts=bank), held=held)


def segment_slide(
    slide: Slide,
    segmenter: Segmenter,
    *,
    store: Store | None = None,
    watch: Watch | None = None,
    cache: FeatureCache | None = None,
    held: HeldInput | None = None,
) -> Segmentation:
    """Segment an open input: encode → respond → blend → solve → decode, band by band from top to bottom.

    Args:
        slide: the input.
        segmenter: from ``prepare``.
        store: where bands are kept, in memory by default; one on disk may hold some already, which are not made again
            (only for methods that are streamed: the others need all tokens at once).
        watch: who is told.
        cache: the features, where they are at hand.
        held: what the input was encoded to before, with the same setup.
    """
    if cache is None and isinstance(slide, FeatureSlide):
        cache = slide.cache(segmenter.setup)
        segmenter = replace(segmenter, setup=cache.setup)
    setup, store, watch = segmenter.setup, store or MemoryStore(), watch or Watch()
    planned = _planned(slide, setup, cache or held)
    if cache is None and planned.memory is None:
        planned = replace(planned, memory=store.found_windows(planned))
    plan = planned.plan
    min_px = least_px(segmenter.min_area_um2, plan.frame.t_mpp)
    mean = held.mean if held is not None else None if cache is None else mean_of_cache(cache, planned)
    shift, planned = find_shift(planned, segmenter, mean, watch, store)
    asked = shift.asked
    width = setup.encoder.spec.dim if asked is None else asked.shape[1]
    blender = Blender(plan, width, watch.clock, colours=setup.colours)
    decoder, borders = Decoder(_decoding(plan, segmenter)), ImageBorders(plan.frame.g_size[1])
    if state := store.state():
        blender.restore(state)
        decoder.restore(state)
        borders.restore(state)

    if cache is None:
        responses = encode_rows(replace(planned, elsewhere=store.elsewhere), asked, watch, blender.next_row)
        blended = blender.blend(responses)
    else:
        blended = respond_from(cache, setup, asked)
    bank = segmenter.bank or _no_concepts(setup)
    for part, solved in _solve(shift.of(blended), segmenter, plan, watch.clock):
        bank, rows = solved[2], _spread(part, solved)
        if setup.colours:
            with watch.clock("borders"):
                rows = borders.rows(rows)
        if rows.g_rows[0] == rows.g_rows[1]:
            continue  # they come with the next
        with watch.clock("decode"):
            band = decoder.rows(rows.g_rows, rows.weights, rows.residual, rows.unreadable)
        with watch.clock("store"):
            store.put(band, {**blender.state(), **decoder.state(), **borders.state()} if part.ends_row else None)
            if part.ends_row and store.elsewhere is not None:
                store.elsewhere.drop(blender.next_row)
    maps, note = store.maps(), ""
    if segmenter.min_area_um2 is not None and min_px is not None:
        with watch.clock("merge"):
            merged = merging(maps.labels, min_px)
        maps = replace(maps, labels=merged.labels)
        note = erased(segmenter.min_area_um2, merged.share, merged.before, merged.after)
    return _assemble(slide, segmenter, plan, maps, bank, note)


def tissue_features(slide: Slide, setup: Setup) -> NDArray[np.float32]:
    """Features (n, d) of the tissue tokens of an open input, in reading order."""
    parts = encode_features(_planned(slide, setup))
    return np.concatenate([part.B[part.tissue] for part in parts])


def _planned(slide: Slide, setup: Setup, known: FeatureCache | HeldInput | None = None) -> Planned:
    plan = make_plan(slide, setup) if known is None else known.plan
    return Planned(slide, setup, plan, known.windows if isinstance(known, HeldInput) else None)


def _solve(
    blended: Iterable[Blended], segmenter: Segmenter, plan: Plan, clock: Clock
) -> Iterator[tuple[Blended, Solved]]:
    """Weights of the tissue tokens of every band; methods that factorize the input itself wait for all of it."""
    if segmenter.method.streamed:
        for part in blended:
            with clock("solve"):
                solved = _weigh(part.B[part.tissue], part.sq_norms[part.tissue], segmenter, plan)
            yield part, solved
        return
    _check_memory(int(plan.g_tissue.sum()) * segmenter.setup.encoder.spec.dim * 4, segmenter.method.name)
    parts = list(blended)
    with clock("solve"):
        B = np.concatenate([part.B[part.tissue] for part in parts])
        sq_norms = np.concatenate([part.sq_norms[part.tissue] for part in parts])
        W, residual, bank = _weigh(B, sq_norms, segmenter, plan)
    ends = np.cumsum([np.count_nonzero(part.tissue) for part in parts])[:-1]
    for part, weights, unexplained in zip(parts, np.split(W, ends), np.split(residual, ends), strict=True):
        yield part, (weights, unexplained, bank)


def _weigh(B: Float, sq_norms: Float, segmenter: Segmenter, plan: Plan) -> Solved:
    """Weights (n, K) and residual (n,) of tissue tokens, none where there are none."""
    encoder = segmenter.setup.encoder.spec
    if not len(B):
        bank = segmenter.bank or _no_concepts(segmenter.setup)
        columns = len(segmenter.owners or bank.vectors)
        return np.zeros((0, columns), np.float32), np.zeros(0, np.float32), bank
    tokens = Tokens(B, sq_norms, encoder.key, plan.frame.t_mpp)
    return weigh(segmenter.method, tokens, segmenter.bank, segmenter.factorization)


def _decoding(plan: Plan, segmenter: Segmenter) -> Decoding:
    """How the weights of an input become labels."""
    frame = plan.frame
    tissue = partial(tissue_rows, plan.thumbnail, frame)
    return Decoding(frame.t_size, frame.stride_px, tissue, segmenter.owners, segmenter.unlike)


def _no_concepts(setup: Setup) -> ConceptBank:
    """What stands for an image's own concepts where it has no tissue."""
    return new_bank(np.ones((1, setup.encoder.spec.dim), np.float32), setup.encoder.spec.key)


def _spread(part: Blended, solved: Solved) -> WeighedRows:
    """What is known of tissue tokens (n, …) on their grid (rows, w, …); 0 elsewhere."""

    def spread(values: Float) -> Float:
        grid = np.zeros((*part.tissue.shape, *values.shape[1:]), np.float32)
        grid[part.tissue] = values
        return grid

    W, residual, _ = solved
    return WeighedRows(part.g_rows, spread(W), spread(residual), part.tissue, part.unreadable, part.colours)


def _check_memory(needed: int, method: str) -> None:
    """Methods that factorize the input itself hold all its features; refuse what would not fit."""
    if needed > _FEATURE_BYTES:
        raise OptionError(
            f"the image is too large for method {method!r}",
            expected=f"at most {_FEATURE_BYTES / 2**30:.0f} GiB of features",
            got=f"{needed / 2**30:.1f} GiB",
            mend="use --method project, --fast, or a coarser --mpp",
        )


def _assemble(slide: Slide, segmenter: Segmenter, plan: Plan, maps: Maps, bank: ConceptBank, note: str) -> Segmentation:
    """All bands and what is known of the input, as one record."""
    frame = plan.frame
    lost, places = unreadable_share(maps.unreadable, plan)
    empty = "" if maps.tokens.label.any() else NO_TISSUE
    notes = (*slide.info.notes, *segmenter.setup.encoder.notes, *filter(None, [frame.note, empty, note, places]))
    info = replace(slide.info, notes=notes)
    weights = maps.weights
    names, colors = unlike.legend(bank.names, bank.colors, with_unlike=segmenter.unlike is not None)
    return Segmentation(
        slide=info,
        label_map=LabelMap(maps.labels, frame.t_mpp, (0, 0), names, colors, tuple(one + 1 for one in bank.excluded)),
        margin=maps.margin,
        tokens=maps.tokens,
        l0_per_px=frame.l0_per_px,
        recipe=_recipe(info, segmenter, frame, bank) | {"unreadable": lost},
        weights=None if weights is None else Weights(weights, frame.stride_px, bank, maps.tokens.residual),
    )


def _recipe(info: SlideInfo, segmenter: Segmenter, frame: Frame, bank: ConceptBank) -> dict[str, Any]:
    """All that is needed to make the same labels again."""
    setup = segmenter.setup
    spec = setup.encoder.spec
    return {
        "histofactor": histofactor.__version__,
        "encoder": asdict(spec.key),
        "inference": {"format": setup.encoder.precision, "repaired": setup.encoder.repaired},
        "bank": {"sha256": bank_hash(bank), "k": len(bank.vectors), "provenance": dict(bank.provenance)},
        "method": segmenter.method.name,
        "factorization": None if segmenter.method.streamed else asdict(segmenter.factorization),
        "tissue": setup.tissue.find,
        "unlike": segmenter.unlike,
        "min_area_um2": segmenter.min_area_um2,
        "borders": segmenter.borders,
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
            "views": setup.views,
            "shift_px": setup.shift_px,
        },
    }
