"""Concepts to look at."""

import io

import numpy as np
from PIL import Image

from histofactor.concepts.bank.file import read_bank_file
from histofactor.concepts.bank.provenance import examples_of
from histofactor.runs.study import BANK


def test_a_card_tells_what_the_bank_does(looked_at, whole_study):
    bank = read_bank_file(whole_study[0] / BANK).banks[8]
    for label in range(1, 9):
        card = looked_at.json(f"/api/concepts/{label}")
        assert card["name"] == bank.names[label - 1]
        assert {other for other, _ in card["neighbours"]} <= {*range(1, 9)} - {label}
        assert len(card["neighbours"]) == 3
        assert card["told_places"] == len(examples_of(bank)[label - 1])
        assert 0 < len(card["patches"]) <= card["told_places"]
        assert {patch["id"] for patch in card["patches"]} <= {*looked_at.ids}
    assert looked_at.get("/api/concepts/9").status_code == 404
    assert looked_at.get("/api/concepts/0").status_code == 404


def test_typical_places_are_of_several_slides_and_are_what_is_shown(looked_at, whole_study):
    _, paths = whole_study
    images = {id_: np.asarray(Image.open(path)) for id_, path in zip(looked_at.ids, paths, strict=True)}
    several = 0
    for label in range(1, 9):
        card = looked_at.json(f"/api/concepts/{label}")
        several += len({patch["id"] for patch in card["patches"]}) > 1
        for rank, patch in enumerate(card["patches"][:2]):
            answer = looked_at.get(f"/patches/x/{label}/{rank}.jpg")
            with Image.open(io.BytesIO(answer.content)) as image:
                assert image.size == (192, 192)
                shown = np.asarray(image).astype(float)
            side = round(patch["side"])
            whole = images[patch["id"]]
            x = round(min(max(patch["x"], 0), whole.shape[1] - side))
            y = round(min(max(patch["y"], 0), whole.shape[0] - side))
            expected = whole[y : y + side, x : x + side].reshape(-1, 3).mean(0)
            assert np.abs(shown.reshape(-1, 3).mean(0) - expected).max() < 6
    assert several > 0
    assert looked_at.get("/patches/x/1/99.jpg").status_code == 404
