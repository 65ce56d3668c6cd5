"""How much faster is the embedded encoder with fewer multiplications, and do labels stay the same?

Both sides run the same network on the same windows of tissue: its wide convolutions as PyTorch has them, on maps with
the channels last, and as ``encoders.embedded.winograd`` has them. In turn; the median of the ratios of tokens a second.
Then whole fields are segmented in both ways with the embedded concepts: the share of px whose label is the same.

    python benchmarks/embedded_speed.py ../shared        writes results/embedded_speed.csv
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
import torch
from common import report
from PIL import Image

from histofactor.encoders.build import load_encoder
from histofactor.encoders.embedded import network
from histofactor.encoders.encode import encode
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.reader import open_slide

REPEATS, WINDOWS, SIDE = 9, 4, 512
KS = (16, 64)


@contextmanager
def plainly() -> Iterator[None]:
    """All convolutions are those of PyTorch."""
    quick, network._is_quick = network._is_quick, lambda _: False
    try:
        yield
    finally:
        network._is_quick = quick


def speed(image: np.ndarray, threads: int) -> tuple:
    """Tokens a second of both, and the median of the ratios."""
    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    encoder = load_encoder("embedded")
    windows = np.stack([image[100 * i :, 150 * i :][:SIDE, :SIDE] for i in range(WINDOWS)])
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        quick = encode(encoder, windows).values
        between = time.perf_counter()
        with plainly():
            plain = encode(encoder, windows).values
        seconds.append((between - start, time.perf_counter() - between))
    times = np.array(seconds[1:])  # the first pair compiles
    error = float((quick - plain).norm() / plain.norm())
    tokens = quick[..., 0].numel()
    per_second = tokens / np.median(times, axis=0)
    name = f"{threads} thread{'s' if threads > 1 else ''}, {WINDOWS} windows of {SIDE} px"
    return name, per_second[1], per_second[0], float(np.median(times[:, 1] / times[:, 0])), f"error {error:.1e}"


def labels(paths: list[Path], k: int) -> tuple:
    """Seconds a field of both, the median of the ratios, and the px whose label is the same."""
    segmenter, seconds, equal, px = prepare(k=k, options=SegmentOptions(views=4)), [], 0, 0
    for path in paths:
        found = []
        for way in (False, True):
            start = time.perf_counter()
            with open_slide(path, source_mpp=0.25) as slide:
                if way:
                    with plainly():
                        found.append(segment_slide(slide, segmenter).label_map.labels)
                else:
                    found.append(segment_slide(slide, segmenter).label_map.labels)
            found.append(time.perf_counter() - start)
        seconds.append((found[1], found[3]))
        equal, px = equal + int((found[0] == found[2]).sum()), px + found[0].size
    times = np.array(seconds)
    rate = len(paths) / times.sum(axis=0)
    name = f"{len(paths)} fields in four views, K = {k}, segmented"
    return name, rate[1], rate[0], float(np.median(times[:, 1] / times[:, 0])), f"{equal / px:.5%} of labels equal"


def main() -> None:
    """Measure and print."""
    paths = sorted((Path(sys.argv[1]) / "data/oscc").glob("*.jpg"))
    image = np.asarray(Image.open(paths[0]).convert("RGB").resize((1024, 818)))
    cores = torch.get_num_threads()
    rows = [speed(image, threads) for threads in sorted({1, cores})]
    rows += [labels(paths, k) for k in KS]
    header = ("what", "plain a second", "quick a second", "quick / plain", "difference")
    report("embedded_speed", header, rows, ("torch", "numpy"))


if __name__ == "__main__":
    main()
