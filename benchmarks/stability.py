"""How stable are the labels, and what do margin and residual tell?

Eleven fields of ``glas-dev`` (every eighth, 0.62 µm/px) and six cuts of oral fields (1024 px a side, 0.25 µm/px, as
slides are scanned at 40x), nested concepts of three samples of tokens of ``glas-dev``, projection and nearest leaf. The
mean share of px that keep their label (the image re-aligned) when the image is

    cut by one px, turned by 90 degrees, mirrored    before it is worked
    restained                                        every channel's optical density (natural log) moved by N(0, 0.05)

and, for seams, when the window layout is moved by a third of a window. Beside it the same for a single pass.

Uncertainty, K = 16, on all fields: px are sorted by margin; among the surest share of px, how many have the wrong class
(majority of their label on the other patients)? The area under the risk-coverage curve beside that of chance (the error
rate) and of an oracle; and the AUROC of 1 - margin for errors. The residual of tissue unlike the bank: AUROC of the
mean residual of 128 px squares of the fields against those of other images: another organ, and the other half of the
fields as an immunostain (eosin painted in DAB), out of focus, under pen ink, folded (two tissues on each other).

    python benchmarks/stability.py ../shared ENCODER     nic_multitask4 | embedded | resnet50v2
    writes results/stability_ENCODER.csv and results/uncertainty_ENCODER.csv
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from common import report
from PIL import Image
from skimage.color import hed2rgb, rgb2hed
from sklearn.metrics import roc_auc_score

from histofactor.concepts.learn.levels import banks_from_features
from histofactor.encoders.build import Encoder, with_transform
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.labels import labels_of
from histofactor.evaluation.scores.protocol import class_maps
from histofactor.evaluation.scores.stability import DISTURBANCES, kept_labels, shares
from histofactor.records import ConceptBank
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import Segmenter, SegmentOptions, prepare
from histofactor.slides.reader import open_slide
from masks import MPP, Grids, Scorer, encode_all, find_encoder, unit

KS, K, SQUARE_PX, CUT_PX = (8, 16, 64), 16, 128, 1024
SEEDS = (0, 1, 2)
METHODS = ("project", "cluster")


def ink(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pen ink over the whole field: light loses red and green."""
    return (image * np.array([0.25, 0.35, 0.9])).astype(np.uint8)


def fold(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The field on top of its mirror image: optical densities add up."""
    return (image.astype(np.float64) * image[:, ::-1] / 255).astype(np.uint8)


def immunostain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eosin painted in DAB (Ruifrok and Johnston 2001), as if another stain had been used."""
    stains = rgb2hed(image)
    return (hed2rgb(np.stack([stains[..., 0], np.zeros(image.shape[:2]), stains[..., 1]], -1)) * 255).astype(np.uint8)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus by 6 px."""
    return cv2.GaussianBlur(image, (0, 0), 6)


Way = tuple[str, int, int]


def stability(
    images: list[np.ndarray], segmenters: dict[Way, Segmenter], mpp: float
) -> dict[tuple[str, int], np.ndarray]:
    """Mean share of px that keep their label, by method, K and disturbance; the last for windows that are moved."""
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(segmenters, 0)
    moved = dict.fromkeys(segmenters, 0)
    others = {way: replace(one, setup=replace(one.setup, shift_px=320)) for way, one in segmenters.items()}
    for image in images:
        with open_slide(image, source_mpp=mpp) as slide:
            plain, other = labels_of(slide, segmenters), labels_of(slide, others)
        for way, found in kept_labels(image, plain, segmenters, mpp, rng).items():
            counts[way] = counts[way] + found
            moved[way] = moved[way] + np.array([(plain[way] == other[way]).sum(), plain[way].size])
    found = {way: np.array([*shares(counts[way]).values(), moved[way][0] / moved[way][1]]) for way in segmenters}
    return {(m, k): np.mean([found[m, k, seed] for seed in SEEDS], 0) for m in METHODS for k in KS}


def cuts(shared: Path) -> list[np.ndarray]:
    """The middle of six oral fields."""
    fields = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((shared / "data/oscc").iterdir())[:6]]
    starts = [[(side - CUT_PX) // 2 for side in field.shape[:2]] for field in fields]
    return [field[y : y + CUT_PX, x : x + CUT_PX] for field, (y, x) in zip(fields, starts, strict=True)]


def banks_of(grids: Grids, encoder: Encoder) -> dict[tuple[int, int], ConceptBank]:
    """Nested concepts of the fields, by K and sample."""
    return {
        (len(bank.vectors), seed): bank
        for seed in SEEDS
        for bank in banks_from_features(grids.sample(seed), KS, encoder.spec.key)
    }


def risk(scorer: Scorer, grids: Grids, H: np.ndarray) -> list[float]:
    """Error rate, area under the risk-coverage curve, the oracle's, AUROC of 1 - margin for errors."""
    found = [
        scorer.decoded(unit(grid, H), *one)
        for grid, *one in zip(grids.features, grids.frames, scorer.truth, strict=True)
    ]
    counts = [
        metrics.confusion(labels, truth, len(H) + 1, 2, -1)
        for (labels, _), truth in zip(found, scorer.truth, strict=True)
    ]
    maps = class_maps(scorer.patients, np.stack(counts))
    wrong = np.concatenate([
        (classes[labels] != truth).ravel()[::7]
        for classes, (labels, _), truth in zip(maps, found, scorer.truth, strict=True)
    ])  # fmt: skip
    margin = np.concatenate([one.ravel()[::7] for _, one in found])
    areas = [
        float((np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)).mean())
        for order in (np.argsort(-margin, kind="stable"), np.argsort(wrong, kind="stable"))
    ]
    return [float(wrong.mean()), *areas, float(roc_auc_score(wrong, -margin))]


def squares(image: np.ndarray, segmenter: Segmenter, mpp: float) -> list[float]:
    """Mean residual of the squares of an image."""
    with open_slide(np.ascontiguousarray(image), source_mpp=mpp) as slide:
        tokens = segment_slide(slide, segmenter).tokens
    side = SQUARE_PX // tokens.stride_px
    rows, columns = (length // side for length in tokens.residual.shape)
    cut = tokens.residual[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.mean((1, 3)).ravel().tolist()


def unlike(shared: Path, images: list[np.ndarray], segmenter: Segmenter, mpp: float) -> list[float]:
    """AUROC of the residual for tissue unlike the bank; half of the fields lend themselves to be spoilt."""
    rng = np.random.default_rng(0)
    own = [value for image in images[::2] for value in squares(image, segmenter, mpp)]
    other_organ = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((shared / "data/oscc").glob("*"))[:4]]
    sets = [[(image, 0.25) for image in other_organ]]
    sets += [[(spoil(image, rng), mpp) for image in images[1::2]] for spoil in (immunostain, blur, ink, fold)]
    found = []
    for one in sets:
        theirs = [value for image, scale in one for value in squares(image, segmenter, scale)]
        found.append(float(roc_auc_score([0] * len(own) + [1] * len(theirs), own + theirs)))
    return found


def main() -> None:
    """Measure both, for four views and one."""
    shared, name = Path(sys.argv[1]), sys.argv[2]
    scorer = Scorer(load_dataset(shared / "data/glas-dev"))
    images = [np.asarray(Image.open(item.image).convert("RGB")) for item in scorer.dataset.items]
    sets = {"colon, 0.62": (images[::8], scorer.dataset.mpp), "oral, 0.25": (cuts(shared), 0.25)}
    steady, sure = [], []
    encoder = with_transform(find_encoder(shared, name), "split-root")
    for views in (4, 1):
        grids = encode_all(scorer.dataset, encoder, views)
        options = SegmentOptions(tissue=False, views=views)
        banks = banks_of(grids, encoder)
        segmenters = {
            (method, *way): prepare(encoder=encoder, concepts=bank, method=method, mpp=MPP[name], options=options)
            for method in METHODS for way, bank in banks.items()
        }  # fmt: skip
        for tissue, (fields, mpp) in sets.items():
            found = stability(fields, segmenters, mpp)
            steady += [(name, tissue, *way, views, *values) for way, values in found.items()]
        if views == 4:
            few = risk(scorer, grids, banks[K, 0].vectors)
            more = unlike(shared, images[::4], segmenters["project", K, 0], scorer.dataset.mpp)
            sure.append((name, *few, *more))
    header = ("encoder", "tissue, µm/px", "method", "K", "views", *DISTURBANCES, "windows moved")
    report(f"stability_{name}", header, steady, ("torch",))
    risks = ("error rate", "risk-coverage area", "oracle's", "AUROC of margin for errors")
    others = ("another organ", "immunostain", "blur", "ink", "fold")
    report(f"uncertainty_{name}", ("encoder", *risks, *others), sure, ("torch", "scikit-learn"))


if __name__ == "__main__":
    main()
