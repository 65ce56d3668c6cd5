"""The main job on one page: encode → respond → blend → solve → decode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import histofactor
from histofactor.concepts.bank import bank_hash, new_bank
from histofactor.encoders.build import Encoder
from histofactor.encoders.encode import encode, respond
from histofactor.errors import OptionError, ResolutionError
from histofactor.masks.decode import label_pixels
from histofactor.pipeline.canvas import Canvas
from histofactor.pipeline.engine import Engine, SegmentOptions, prepare
from histofactor.pipeline.methods import Tokens, directions, weigh
from histofactor.records import ConceptBank, LabelMap, Region, Segmentation, TokenMaps, Weights
from histofactor.slides.grid import Frame, Window, make_frame, plan_windows, token_overlap, visible_region
from histofactor.slides.reader import Slide, open_slide
from histofactor.slides.tissue import ASSUMED_MPP, tissue_mask

Progress = Callable[[int, int], None]

_BATCH_PX = 2**20  # px encoded at a time on a CPU
_TISSUE_PX = 2048  # long side of the thumbnail on which tissue is found
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
        method: ``project``, ``factorize``, ``cluster`` or ``single`` (arXiv 2409.05697).
        options: what is seldom changed.

    Returns:
        Labels at the working resolution, margin, weights and the recipe.

    Raises:
        HistofactorError: one of its leaves, telling what to mend.
    """
    engine = prepare(encoder=encoder, concepts=concepts, k=k, mpp=mpp, method=method, options=options)
    with open_slide(source, source_mpp=source_mpp) as slide:
        return segment_slide(slide, engine)


def segment_slide(slide: Slide, engine: Engine, on_progress: Progress = lambda done, total: None) -> Segmentation:
    """Segment an open input.

    Args:
        slide: the input.
        engine: from ``prepare``.
        on_progress: called with (windows done, windows in all).
    """
    frame = _frame(slide, engine)
    tissue = _find_tissue(slide, engine, frame)
    g_tissue = _on_grid(tissue, frame)
    canvas = _respond(slide, engine, frame, g_tissue, on_progress)
    weights = _solve(canvas, engine, frame, g_tissue)
    labels, margin = _decode(weights, frame, tissue)
    bank = weights.bank
    return Segmentation(
        slide=replace(slide.info, notes=(*slide.info.notes, *filter(None, [frame.note]))),
        label_map=LabelMap(labels, frame.t_mpp, (0, 0), bank.names, bank.colors),
        margin=margin,
        tokens=token_maps(weights),
        l0_per_px=frame.l0_per_px,
        recipe=_recipe(slide, engine, frame, bank),
        weights=weights,
    )


def tissue_features(slide: Slide, engine: Engine) -> NDArray[np.float32]:
    """Features (n, d) of the tissue tokens of an open input, in reading order; ``engine.method`` must be ``single``."""
    frame = _frame(slide, engine)
    g_tissue = _on_grid(_find_tissue(slide, engine, frame), frame)
    return _respond(slide, engine, frame, g_tissue, lambda done, total: None).blended()[0][g_tissue]


def _frame(slide: Slide, engine: Engine) -> Frame:
    """The working frame; a µm/px asked for needs a µm/px of the source."""
    info, spec = slide.info, engine.encoder.spec
    if engine.mpp is not None and info.mpp is None:
        raise ResolutionError(
            f"{info.path or 'the array'} cannot be worked at {engine.mpp:g} µm/px",
            expected="µm/px in its header",
            got="none",
            mend="state it with --source-mpp, or leave --mpp out",
        )
    return make_frame(info, engine.mpp or spec.mpp, spec.patch_px)


def _find_tissue(slide: Slide, engine: Engine, frame: Frame) -> NDArray[np.bool_]:
    """Tissue (height, width) at the working resolution, found on a thumbnail."""
    if not engine.options.tissue:
        return np.ones(frame.t_size[::-1], bool)
    width, height = slide.info.size
    shrink = min(1.0, _TISSUE_PX / max(frame.t_size))
    size = (max(1, round(frame.t_size[0] * shrink)), max(1, round(frame.t_size[1] * shrink)))
    mpp = (slide.info.mpp or ASSUMED_MPP) * width / size[0]
    mask = tissue_mask(slide.read(Region(0, 0, width, height, size, mpp)), mpp)
    resized = cv2.resize(mask.astype(np.uint8), frame.t_size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, bool)


def _on_grid(tissue: NDArray[np.bool_], frame: Frame) -> NDArray[np.bool_]:
    """Tokens (rows, columns) that hold any tissue."""
    columns, rows = frame.g_size
    stride = frame.stride_px
    padded = np.zeros((rows * stride, columns * stride), bool)
    padded[: tissue.shape[0], : tissue.shape[1]] = tissue
    return np.asarray(padded.reshape(rows, stride, columns, stride).any(axis=(1, 3)))


def _respond(slide: Slide, engine: Engine, frame: Frame, g_tissue: NDArray[np.bool_], on_progress: Progress) -> Canvas:
    """Encode every window with tissue, and blend the responses; the features are dropped at once."""
    spec = engine.encoder.spec
    aims = directions(engine.method, engine.bank)
    width = spec.dim if aims is None else aims.shape[1]
    if aims is None:
        _check_memory(g_tissue.size * width * 4, engine.method)
    canvas = Canvas(frame, spec.window, width)
    shift_px = engine.options.shift_px // spec.patch_px * spec.patch_px
    windows = plan_windows(frame, spec.window, shift_px)
    windows = [window for window in windows if g_tissue[token_overlap(frame, window)[0]].any()]
    done = 0
    for batch in _batches(windows):
        features = encode(engine.encoder, np.stack([_read(slide, frame, window) for window in batch]))
        canvas.add(batch, *respond(features, aims))
        done += len(batch)
        on_progress(done, len(windows))
    return canvas


def _check_memory(needed: int, method: str) -> None:
    """Methods that factorize the image itself hold all its features; refuse what would not fit."""
    if needed > _FEATURE_BYTES:
        raise OptionError(
            f"the image is too large for method {method!r}",
            expected=f"at most {_FEATURE_BYTES / 2**30:.0f} GiB of features",
            got=f"{needed / 2**30:.1f} GiB",
            mend="use --method project, or a coarser --mpp",
        )


def _batches(windows: list[Window]) -> list[list[Window]]:
    """Windows in groups of about ``_BATCH_PX``."""
    if not windows:
        return []
    width, height = windows[0].size
    n = min(16, max(1, _BATCH_PX // (width * height)))
    return [windows[start : start + n] for start in range(0, len(windows), n)]


def _read(slide: Slide, frame: Frame, window: Window) -> NDArray[np.uint8]:
    """Pixels of a window, the image mirrored where it reaches beyond it."""
    region, padding = visible_region(frame, window)
    return np.pad(slide.read(region), (*padding, (0, 0)), mode="symmetric")


def _solve(canvas: Canvas, engine: Engine, frame: Frame, g_tissue: NDArray[np.bool_]) -> Weights:
    """Solve the tissue tokens of a canvas; all others keep weight 0."""
    B, sq_norms = canvas.blended()
    if not g_tissue.any():
        bank = engine.bank or new_bank(np.ones((1, engine.encoder.spec.dim), np.float32), engine.encoder.spec.key)
        return Weights(np.zeros((*g_tissue.shape, len(bank.vectors)), np.float32), frame.stride_px, bank, sq_norms)
    tokens = Tokens(B[g_tissue], sq_norms[g_tissue], engine.encoder.spec.key, frame.t_mpp)
    W, left, bank = weigh(engine.method, tokens, engine.bank, engine.factorization)
    values = np.zeros((*g_tissue.shape, W.shape[1]), np.float32)
    residual = np.zeros(g_tissue.shape, np.float32)
    values[g_tissue], residual[g_tissue] = W, left
    return Weights(values, frame.stride_px, bank, residual)


def token_maps(weights: Weights) -> TokenMaps:
    """What the weights say of every token: its strongest concept, that one's share, the margin, the residual."""
    W = weights.values
    first, total = W.max(axis=-1), W.sum(axis=-1)
    second = np.partition(W, -2, axis=-1)[..., -2] if W.shape[-1] > 1 else np.zeros_like(first)
    share = np.divide(first, total, out=np.zeros_like(first), where=first > 0)
    margin = np.divide(first - second, first, out=np.zeros_like(first), where=first > 0)
    label = np.where(first > 0, W.argmax(axis=-1) + 1, 0).astype(np.min_scalar_type(W.shape[-1]))
    return TokenMaps(weights.stride_px, label, share, margin, weights.residual)


def _decode(
    weights: Weights, frame: Frame, tissue: NDArray[np.bool_]
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.float32]]:
    """Labels and margin (height, width) at the working resolution, 0 off tissue."""
    rows, columns = weights.values.shape[:2]
    labels, margin = label_pixels(weights.values, (rows * frame.stride_px, columns * frame.stride_px))
    width, height = frame.t_size
    labels, margin = labels[:height, :width].copy(), margin[:height, :width].copy()
    labels[~tissue], margin[~tissue] = 0, 0
    return labels, margin


def _recipe(slide: Slide, engine: Engine, frame: Frame, bank: ConceptBank) -> dict[str, Any]:
    """All that is needed to make the same labels again."""
    spec = engine.encoder.spec
    return {
        "histofactor": histofactor.__version__,
        "encoder": asdict(spec.key),
        "bank": {"sha256": bank_hash(bank), "k": len(bank.vectors), "provenance": dict(bank.provenance)},
        "method": engine.method,
        "factorization": asdict(engine.factorization) if engine.method in {"factorize", "single"} else None,
        "tissue": engine.options.tissue,
        "mpp": frame.t_mpp,
        "source": {
            "size": list(slide.info.size),
            "mpp": slide.info.mpp,
            "reader": slide.info.reader,
            "notes": list(slide.info.notes),
        },
        "geometry": {
            "size": list(frame.t_size),
            "stride_px": frame.stride_px,
            "grid": list(frame.g_size),
            "l0_per_px": list(frame.l0_per_px),
            "window": asdict(spec.window),
            "shift_px": engine.options.shift_px,
        },
    }
