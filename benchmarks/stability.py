"""How stable are the labels, and what do margin and residual tell?

Twenty fields of ``glas-dev`` (every fourth), default settings, K = 16, concepts clustered from the fields themselves.
The share of px that keep their label (the image re-aligned) when the image is

    cut by one px, turned by 90 degrees, mirrored    before it is worked
    restained                                        every channel's optical density (natural log) moved by N(0, 0.05)

and how often seams would show: the window layout moved by a third of a window. Beside it the same for a single pass.

Uncertainty, on all fields: px are sorted by margin; among the surest share of px, how many have the wrong class
(majority of their label on the other patients)? The area under the risk-coverage curve beside that of chance (the error
rate) and of an oracle; and the AUROC of 1 - margin for errors. The residual of a px of tissue unlike the bank: AUROC
of the mean residual of 128 px squares of the fields against those of other images: an immunostain, another organ, blur,
pen ink, a fold (two tissues on top of each other).

    python benchmarks/stability.py ../shared        writes results/stability.csv and results/uncertainty.csv
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from common import report
from PIL import Image
from sklearn.metrics import roc_auc_score

from histofactor.concepts.bank import new_bank
from histofactor.concepts.kmeans import KMeansOptions, kmeans
from histofactor.encoders.build import Encoder, with_transform
from histofactor.evaluation import metrics
from histofactor.evaluation.datasets import load_dataset
from histofactor.evaluation.labels import level0_labels
from histofactor.evaluation.protocol import class_maps
from histofactor.evaluation.stability import DISTURBANCES, kept_labels, shares
from histofactor.pipeline.engine import Engine, SegmentOptions, prepare
from histofactor.pipeline.segment import segment
from histofactor.records import ConceptBank, Segmentation
from masks import MPP, Grids, Scorer, encode_all, find_encoder

K, SQUARE_PX = 16, 128
ENCODERS = ("nic_multitask4", "resnet50v2", "embedded")


def ink(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pen ink over the whole field: light loses red and green."""
    return (image * np.array([0.25, 0.35, 0.9])).astype(np.uint8)


def fold(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The field on top of its mirror image: optical densities add up."""
    return (image.astype(np.float64) * image[:, ::-1] / 255).astype(np.uint8)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus by 6 px."""
    return cv2.GaussianBlur(image, (0, 0), 6)


def segmented(image: np.ndarray, engine: Engine, bank: ConceptBank, mpp: float) -> Segmentation:
    """An image at the engine's settings."""
    return segment(
        np.ascontiguousarray(image), encoder=engine.encoder, concepts=bank, mpp=engine.mpp, source_mpp=mpp,
        options=engine.options,
    )  # fmt: skip


def stability(images: list[np.ndarray], engine: Engine, mpp: float) -> list[float]:
    """Share of px that keep their label, by disturbance."""
    rng = np.random.default_rng(0)
    moved = replace(engine, options=replace(engine.options, shift_px=320))
    counts, same = 0, []
    for image in images:
        plain, other = (level0_labels(segmented(image, one, engine.bank, mpp)) for one in (engine, moved))
        counts = counts + kept_labels(image, {"": plain}, {"": engine}, mpp, rng)[""]
        same.append((other == plain).ravel())
    return [*shares(counts).values(), float(np.mean(np.concatenate(same)))]


def bank_of(grids: Grids, encoder: Encoder) -> ConceptBank:
    """Concepts of the fields."""
    return new_bank(kmeans(grids.sample(0), K, KMeansOptions(0)), encoder.spec.key)


def risk(scorer: Scorer, images: list[np.ndarray], engine: Engine, bank: ConceptBank) -> list[float]:
    """Error rate, area under the risk-coverage curve, the oracle's, AUROC of 1 - margin for errors."""
    found = [segmented(image, engine, bank, scorer.dataset.mpp) for image in images]
    labels = [level0_labels(one) for one in found]
    tables = np.stack(
        [metrics.confusion(one, truth, K + 1, 2, -1) for one, truth in zip(labels, scorer.truth, strict=True)]
    )
    maps = class_maps(scorer.patients, tables)
    wrong = np.concatenate([
        (classes[one] != truth).ravel()[::7] for classes, one, truth in zip(maps, labels, scorer.truth, strict=True)
    ])  # fmt: skip
    margins = [
        level0_labels(replace(one, label_map=replace(one.label_map, labels=one.margin))).ravel()[::7] for one in found
    ]
    margin = np.concatenate(margins)
    areas = [
        float((np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)).mean())
        for order in (np.argsort(-margin, kind="stable"), np.argsort(wrong, kind="stable"))
    ]
    return [float(wrong.mean()), *areas, float(roc_auc_score(wrong, -margin))]


def squares(image: np.ndarray, engine: Engine, bank: ConceptBank, mpp: float) -> list[float]:
    """Mean residual of the squares of an image."""
    tokens = segmented(image, engine, bank, mpp).tokens
    side = SQUARE_PX // tokens.stride_px
    rows, columns = (length // side for length in tokens.residual.shape)
    cut = tokens.residual[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.mean((1, 3)).ravel().tolist()


def unlike(shared: Path, images: list[np.ndarray], engine: Engine, bank: ConceptBank, mpp: float) -> list[float]:
    """AUROC of the residual for tissue unlike the bank; half of the fields lend themselves to be spoilt."""
    rng = np.random.default_rng(0)
    own = [value for image in images[::2] for value in squares(image, engine, bank, mpp)]
    other_organ = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((shared / "data/oscc").glob("*"))[:4]]
    kidney = np.asarray(Image.open(shared / "data/slides/kidney-48-5.tif").convert("RGB"))
    sets = [[(kidney, 0.5)], [(image, 0.25) for image in other_organ]]
    sets += [[(spoil(image, rng), mpp) for image in images[1::2]] for spoil in (blur, ink, fold)]
    found = []
    for one in sets:
        theirs = [value for image, scale in one for value in squares(image, engine, bank, scale)]
        found.append(float(roc_auc_score([0] * len(own) + [1] * len(theirs), own + theirs)))
    return found


def main() -> None:
    """Measure both, for three encoders and for four views and one."""
    shared = Path(sys.argv[1])
    scorer = Scorer(load_dataset(shared / "data/glas-dev"))
    images = [np.asarray(Image.open(item.image).convert("RGB")) for item in scorer.dataset.items]
    steady, sure = [], []
    for name in ENCODERS:
        encoder = with_transform(find_encoder(shared, name), "root" if name == "resnet50v2" else "split-root")
        for views in (4, 1):
            bank = bank_of(encode_all(scorer.dataset, encoder, views), encoder)
            options = SegmentOptions(tissue=False, views=views)
            engine = prepare(encoder=encoder, concepts=bank, mpp=MPP[name], options=options)
            steady.append((name, views, *stability(images[::4], engine, scorer.dataset.mpp)))
            if views == 4:
                few = risk(scorer, images, engine, bank)
                sure.append((name, *few, *unlike(shared, images[::4], engine, bank, scorer.dataset.mpp)))
    report("stability", ("encoder", "views", *DISTURBANCES, "windows moved"), steady, ("torch",))
    risks = ("error rate", "risk-coverage area", "oracle's", "AUROC of margin for errors")
    others = ("immunostain", "another organ", "blur", "ink", "fold")
    report("uncertainty", ("encoder", *risks, *others), sure, ("torch", "scikit-learn"))


if __name__ == "__main__":
    main()
