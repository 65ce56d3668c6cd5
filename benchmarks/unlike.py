"""What does ``segment --unlike auto`` mark?

Concepts (K = 16, default settings) of every fourth field of ``glas-dev``; six other fields, as they are and spoilt as a
whole: out of focus by 3 and 6 px, under pen ink, folded. Share of the labelled px that are told to be unlike the bank.

    python benchmarks/unlike.py ../shared           writes results/unlike.csv
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from common import report
from PIL import Image
from stability import blur, fold, ink

from histofactor.encoders.build import with_transform
from histofactor.runs.learn_concepts import learn_concepts
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions
from masks import MPP, find_encoder

K, FIELD_MPP = 16, 0.62
ENCODERS = ("embedded", "nic_multitask4")
SPOILT: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "untouched": lambda image, rng: image,
    "blur 3 px": lambda image, rng: cv2.GaussianBlur(image, (0, 0), 3),
    "blur 6 px": blur,
    "ink": ink,
    "fold": fold,
}


def main() -> None:
    """Measure two encoders."""
    shared, rng = Path(sys.argv[1]), np.random.default_rng(0)
    paths = sorted((shared / "data/glas-dev/images").iterdir())
    fields = [np.asarray(Image.open(path).convert("RGB")) for path in paths[1::16]]
    rows = []
    for name in ENCODERS:
        encoder = with_transform(find_encoder(shared, name), "split-root")
        learning = LearnOptions(mpp=MPP[name], opening=Opening(source_mpp=FIELD_MPP), tokens=60_000)
        (bank,) = learn_concepts(paths[::4], [K], encoder=encoder, options=learning).banks
        shares = []
        for spoil in SPOILT.values():
            counts = np.zeros(K + 2)
            for field in fields:
                found = segment(
                    np.ascontiguousarray(spoil(field, rng)), encoder=encoder, concepts=bank, mpp=MPP[name],
                    source_mpp=FIELD_MPP, options=SegmentOptions(unlike="auto"),
                )  # fmt: skip
                counts += np.bincount(found.label_map.labels[:].ravel(), minlength=K + 2)
            shares.append(float(counts[K + 1] / counts[1:].sum()))
        rows.append((name, bank.provenance["residual_limit"], *shares))
    report("unlike", ("encoder", "limit", *SPOILT), rows, ("torch",))


if __name__ == "__main__":
    main()
