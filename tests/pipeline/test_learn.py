"""Concepts from images: sampled evenly, repeatable, tolerant of a bad file."""

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import BankError, ImageError
from histofactor.pipeline.learn import LearnOptions, train_concepts
from histofactor.pipeline.segment import segment
from histofactor.slides.phantom import phantom


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in (0, 1):
        Image.fromarray(phantom((320, 240), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    (folder / "bad.png").write_bytes(b"not an image")
    return folder


def test_banks_that_segment(images, tiny_encoder):
    paths = [images / name for name in ("0.png", "bad.png", "1.png")]
    told = {}
    banks = train_concepts(
        paths,
        [3, 5],
        encoder=tiny_encoder,
        options=LearnOptions(source_mpp=1.0),
        on_image=lambda path, error: told.update({path.name: error}),
    )
    assert [len(bank.vectors) for bank in banks] == [3, 5]
    assert banks[0].encoder == tiny_encoder.spec.key
    assert banks[0].mpp == 1.0
    assert banks[0].provenance["images"] == ["0.png", "1.png"]
    assert list(banks[0].provenance["left_out"]) == ["bad.png"]
    assert isinstance(told["bad.png"], ImageError)
    assert told["0.png"] is None
    labels = segment(images / "0.png", encoder=tiny_encoder, concepts=banks[1], source_mpp=1.0).label_map.labels
    assert len(np.unique(labels[labels > 0])) >= 4


def test_same_seed_same_bank(images, tiny_encoder):
    options = LearnOptions(source_mpp=1.0, seed=4, tokens_per_image=200)
    first, second = (
        train_concepts([images / "0.png"], [4], encoder=tiny_encoder, options=options)[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.provenance["tokens"] == 200


def test_nothing_to_learn_from(images, tiny_encoder, tmp_path):
    Image.new("RGB", (64, 64), (245, 245, 245)).save(tmp_path / "blank.png")
    for path in (images / "bad.png", tmp_path / "blank.png"):
        with pytest.raises(ImageError, match="no tissue"):
            train_concepts([path], [3], encoder=tiny_encoder)


def test_fewer_tokens_than_concepts(images, tiny_encoder):
    options = LearnOptions(source_mpp=1.0, tokens_per_image=10)
    with pytest.raises(BankError, match="20"):
        train_concepts([images / "0.png"], [20], encoder=tiny_encoder, options=options)
