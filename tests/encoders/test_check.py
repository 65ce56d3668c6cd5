"""What ``encoders check`` finds, on encoders that are right and one that is not."""

from dataclasses import replace

import pytest
import torch

from histofactor.encoders.build import load_encoder
from histofactor.encoders.check import access, check_encoder
from histofactor.encoders.registry import get


def test_the_embedded_encoder_is_right():
    encoder = load_encoder("embedded", device="cpu")
    small = replace(encoder, spec=replace(encoder.spec, window=replace(encoder.spec.window, size_px=256)))
    found = check_encoder(small)
    assert found.grid == (32, 32)
    assert found.geometry
    assert found.norm > 0
    assert found.outliers < 0.01
    assert found.tokens_s > 0
    assert found.peak_mb > 50


def test_a_grid_that_is_moved_is_found(tiny_encoder):
    def moved(pixels):
        return torch.roll(tiny_encoder.dense(pixels), 3, dims=3)

    assert check_encoder(tiny_encoder).geometry
    assert not check_encoder(replace(tiny_encoder, dense=moved)).geometry


def test_access_is_told(monkeypatch):
    import huggingface_hub.constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    assert access(get("embedded")) == "needs no hub"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in access(get("uni"))
    monkeypatch.setattr("histofactor.encoders.hub.answers", lambda address: True)
    monkeypatch.setattr(huggingface_hub, "auth_check", lambda repository: None)
    assert "let you in" in access(get("uni"))

    def refuse(error):
        def ask(repository):
            raise error

        return ask

    response = type("Response", (), {"status_code": 403, "headers": {}, "request": None})()
    for kind, told in ((GatedRepoError, "MahmoodLab/UNI"), (RepositoryNotFoundError, "no repository")):
        monkeypatch.setattr(huggingface_hub, "auth_check", refuse(kind("no", response=response)))
        assert told in access(get("uni"))


@pytest.mark.gpu
def test_on_an_accelerator():
    found = check_encoder(load_encoder("embedded", device="cuda"))
    assert found.geometry


@pytest.mark.parametrize(("spoil", "finite", "alike"), [(float("inf"), False, True), (0.0, True, True)])
def test_tokens_that_say_nothing_are_found(tiny_encoder, spoil, finite, alike):
    def spoiled(pixels):
        return torch.full_like(tiny_encoder.dense(pixels), spoil)

    good, found = check_encoder(tiny_encoder), check_encoder(replace(tiny_encoder, dense=spoiled))
    assert (good.finite, good.alike) == (True, False)
    assert (found.finite, found.alike) == (finite, alike)
