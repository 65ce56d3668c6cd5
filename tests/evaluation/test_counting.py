"""Images are told each time they are encoded, and a loaded encoder is loaded once."""

import pytest

from histofactor.evaluation import counting
from histofactor.evaluation.counting import Images, count, learn_from
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions

HOW = SegmentOptions(tissue=False, views=1)


@pytest.fixture
def images(tissue_folder):
    done = []
    given = Images(
        dataset=load_dataset(tissue_folder), opening=Opening(), mpp=None, workers=LocalWorkers(), on_image=done.append
    )
    return given, done


def test_what_is_learned_is_counted(images, tiny_encoder, monkeypatch):
    given, done = images
    seen = []
    loaded, banks = learn_from(given, tiny_encoder, HOW, LearnOptions(), lambda tokens: seen.append(tokens) or [2, 3])
    assert loaded is tiny_encoder
    assert {k: len(bank.names) for k, bank in banks.items()} == {2: 2, 3: 3}
    assert seen[0] > 0
    assert len(done) == 4
    real, used = counting.prepare, []
    monkeypatch.setattr(counting, "prepare", lambda **given: used.append(given["encoder"]) or real(**given))
    ask = {("ours", 2): ("project", banks[2]), ("near", 3): ("cluster", banks[3]), ("own", 2): ("single", None)}
    counted, cells, kept = count(given, "tiny", ask, HOW, loaded=loaded, stability=2)
    assert used == [loaded] * 3
    assert len(done) == 8
    assert len(cells) == 4
    assert {*kept} == {("ours", 2)}  # the first way alone is disturbed
    assert {way: one.alone for way, one in counted.items()} == {way: way[0] == "own" for way in ask}
    for (_, k), one in counted.items():
        assert [table.shape for table in one.tables] == [(k + 1, 2)] * 4
