"""The variants of the paper, against the same steps written out by hand."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.learn.levels import TrainOptions
from histofactor.encoders.encoder import with_transform
from histofactor.evaluation.counting import Images
from histofactor.evaluation.data.datasets import load_dataset, read_truth
from histofactor.evaluation.paper import VARIANTS, count_variants
from histofactor.evaluation.scores.labels import level0_labels
from histofactor.evaluation.scores.protocol import count
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.learn_concepts import learn_concepts
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom


@pytest.fixture
def images(tissue_folder):
    """Images of some hundred tokens."""
    for seed, path in enumerate(sorted((tissue_folder / "images").iterdir())):
        tissue = phantom((300, 280), seed=seed, mpp=1.0)
        Image.fromarray(tissue.image).save(path)
        labels = np.where(tissue.truth % 2, 4, 1).astype(np.uint8)
        Image.fromarray(labels).save(tissue_folder / f"labels/{path.stem}.png")
    dataset = load_dataset(tissue_folder)
    done = []
    found = Images(
        dataset=dataset, opening=Opening(), mpp=None, workers=LocalWorkers(), on_image=done.append
    )  # fmt: skip
    return found, done


def test_variants_are_those_of_the_paper(images, tiny_encoder):
    (given, done), ks = images, (2, 3)
    counted, told = count_variants(given, tiny_encoder, ks, SegmentOptions(tissue=False))
    assert told == ""
    assert len(done) == 3 * 4
    relu = with_transform(tiny_encoder, "relu")
    how = SegmentOptions(tissue=False, views=1)
    paths = [item.image for item in given.dataset.items]
    learning = partial(LearnOptions, opening=Opening(source_mpp=1.0), windows=0, encoder=how, centring=0.0)
    train = TrainOptions(nested=False)
    of_tokens, of_tiles = (
        learn_concepts(paths, ks, encoder=relu, options=learning(pool=pool, train=train)).banks
        for pool in ("token", "tile")
    )
    ways = {(name, len(bank.names)): (method, bank) for name, method in VARIANTS.items() for bank in of_tokens}
    ways |= {("paper a, tiles", len(bank.names)): ("raw", bank) for bank in of_tiles}
    assert counted.keys() == {*ways, ("paper d", 12)}
    for way, (method, bank) in ways.items():
        for item, table in zip(given.dataset.items, counted[way].tables, strict=True):
            found = segment(item.image, encoder=relu, concepts=bank, method=method, source_mpp=1.0, options=how)
            labels, truth = level0_labels(found), read_truth(given.dataset, item)
            assert np.array_equal(table, count(given.dataset, item, truth, labels, way[1] + 1))
    assert [one.alone for one in counted.values()] == [name == "paper d" for name, _ in counted]
    assert len({*counted["paper d", 12].recipes}) == 4  # concepts of every image


def test_k_beyond_the_tiles_are_told(images, tiny_encoder):
    given, _ = images
    counted, told = count_variants(given, tiny_encoder, [4, 40], SegmentOptions(tissue=False))
    assert told == "; paper a, tiles lacks K = 40, for there are fewer tiles"
    assert ("paper a, tiles", 40) not in counted
    assert ("paper a", 40) in counted
