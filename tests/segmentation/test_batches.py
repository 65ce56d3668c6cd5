"""Batches hold every window of a row once, and on a GPU few of a wide row."""

from dataclasses import replace

import pytest
import torch

from histofactor.segmentation.batches import LANES, batches, within_a_row
from histofactor.segmentation.plan import WindowRow
from histofactor.slides.geometry.windows import Window


def row_of(n, size):
    return WindowRow(tuple(Window(x, 0, size, x % 4) for x in range(n)), (0, 1))


@pytest.mark.parametrize("size", [(512, 512), (512, 256)])
def test_every_window_is_in_one_batch_of_one_shape(tiny_encoder, size):
    row = row_of(21, size)
    found = batches(row, tiny_encoder)
    assert sorted(window.x for batch in found for window in batch) == list(range(21))
    for batch in found:
        turned = {window.size[:: -1 if window.turns % 2 else 1] for window in batch}
        assert len(turned) == 1
    assert batches(WindowRow((), (0, 1)), tiny_encoder) == []


@pytest.mark.parametrize(
    ("n", "side", "largest"),
    [(480, 1024, 30), (40, 1024, 8), (5, 1024, 5), (4096, 224, 256), (1600, 224, 167), (100, 224, 100), (3, 4096, 1)],
)
def test_on_a_gpu_the_first_batches_are_a_part_of_a_wide_row(tiny_encoder, monkeypatch, n, side, largest):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**37, 2**37))
    there = replace(tiny_encoder, device=torch.device("cuda"))
    found = batches(row_of(n, (side, side)), there)
    assert len(found[0]) == largest
    if n >= 4 * LANES * 8:
        assert sum(map(len, found[:LANES])) <= n / 2


@pytest.mark.parametrize(
    ("sizes", "most"), [([[4, 4, 1], [4, 4]], 2), ([[1, 1, 1, 1]], 4), ([[3], [2], []], 1), ([], 1)]
)
def test_no_more_windows_than_a_row_has(sizes, most):
    rows = [[[Window(0, 0, (8, 8))] * n for n in row] for row in sizes]
    assert within_a_row(rows) == most
