"""Batches: bounded on a CPU, by free memory on a GPU."""

from dataclasses import replace

import pytest
import torch

from histofactor.encoders.batch import windows_at_once


@pytest.mark.parametrize(("side", "count"), [(2048, 1), (1024, 1), (512, 4), (224, 16), (64, 16)])
def test_on_a_cpu(tiny_encoder, side, count):
    assert windows_at_once(tiny_encoder, (side, side)) == count


def test_on_a_gpu_what_fits_into_its_free_memory(tiny_encoder, monkeypatch):
    there = replace(tiny_encoder, device=torch.device("cuda"))
    found = {}
    for free in (2**20, 2**28, 2**30, 2**36):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**37))
        found[free] = windows_at_once(there, (512, 512))
    assert list(found.values()) == sorted(found.values())
    assert found[2**20] == 1
    assert found[2**36] == 256
    assert found[2**30] == int(0.5 * 2**30 / (64 * 64 * 12 * 4 * 40))
