"""Small segmentations for the writers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from histofactor.base.colors import palette
from histofactor.masks.bands import token_maps
from histofactor.records import ConceptBank, EncoderKey, LabelMap, Segmentation, SlideInfo, Weights


@pytest.fixture(scope="session")
def make_segmentation() -> Callable[..., Segmentation]:
    """Build a segmentation of k phenotypes whose tokens are 4 px wide, from a token-grid label map."""

    def make(tokens=((1, 1, 2), (0, 3, 2)), *, k=4, mpp=0.5, l0_per_px=2.0, stride_px=4, cut_px=0, seed=0):
        tokens = np.asarray(tokens)
        rng = np.random.default_rng(seed)
        height, width = (side * stride_px - cut_px for side in tokens.shape)
        labels = tokens.repeat(stride_px, 0).repeat(stride_px, 1)[:height, :width].astype(np.uint8)
        values = rng.uniform(0, 0.2, (*tokens.shape, k)).astype(np.float32)
        rows, cols = np.nonzero(tokens)
        values[rows, cols, tokens[rows, cols] - 1] += 1
        values[tokens == 0] = 0
        names = tuple(f"Phenotype {i + 1}" for i in range(k))
        key = EncoderKey("embedded", "1", "code", "relu")
        bank = ConceptBank(np.eye(k, dtype=np.float32), key, names, palette(k), mpp)
        weights = Weights(values, stride_px, bank, rng.uniform(0, 1, tokens.shape).astype(np.float32))
        margin = rng.uniform(0, 1, labels.shape).astype(np.float32) * (labels > 0)
        info = SlideInfo(
            Path("slides/case 1.svs"),
            (int(width * l0_per_px), int(height * l0_per_px)),
            None if mpp is None else mpp / l0_per_px,
            (1.0,),
            "test",
        )
        return Segmentation(
            info,
            LabelMap(labels, mpp, (0, 0), names, palette(k)),
            margin,
            token_maps(weights.values, weights.residual, stride_px),
            (l0_per_px, l0_per_px),
            {"method": "project", "k": k},
            weights,
        )

    return make


class Reads:
    """A map that is only read by slices of rows, or of rows and columns, and keeps count of what is read."""

    def __init__(self, values):
        self._values = values
        self.shape, self.dtype = values.shape, values.dtype
        self.largest = self.total = 0

    def __getitem__(self, index):
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        assert isinstance(rows, slice)
        assert isinstance(columns, slice)
        found = self._values[rows, columns].copy()
        self.largest, self.total = max(self.largest, found.size), self.total + found.size
        return found


@pytest.fixture
def lazily():
    """Return the same segmentation with labels and margin that count what is read of them."""

    def make(segmentation):
        label_map = dataclasses.replace(segmentation.label_map, labels=Reads(segmentation.label_map.labels))
        return dataclasses.replace(segmentation, label_map=label_map, margin=Reads(segmentation.margin))

    return make
