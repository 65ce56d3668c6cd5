"""What is told of each concept, against a plain count."""

import json
from copy import deepcopy

import numpy as np
import pytest

from histofactor.concepts.learn.counts_and_examples import EXAMPLES, counts_and_examples
from histofactor.concepts.learn.levels import train_levels
from histofactor.concepts.learn.sample import Known, Sample


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    sample = Sample(900, 5)
    for number in range(3):
        tokens = rng.gamma(0.7, 1.0, (400, 5)).astype(np.float32)
        keys, norms = sample.quota.draw(str(number), 400).keys, (tokens**2).sum(1)
        sample.add(tokens, keys, number, Known(norms, 200 * rng.random((400, 2)).astype(np.float32)))
    sample.sort()
    level = train_levels(sample.tokens, [6])[6]
    return sample, sample.slides.astype(np.int64), level


def test_counts_by_slide_and_group(setting):
    sample, slides, level = setting
    known = counts_and_examples(sample, slides, level, ["n", "s", "n"], [8.0] * 3)
    for number in range(3):
        own = np.bincount(level.labels[slides == number], minlength=6)
        assert known["per_slide"][number] == own.tolist()
    assert known["per_group"]["n"] == np.add(known["per_slide"][0], known["per_slide"][2]).tolist()
    assert sorted(known["per_group"]) == ["n", "s"]
    assert json.loads(json.dumps(known)) == known
    assert "per_group" not in counts_and_examples(sample, slides, level, [None] * 3, [8.0] * 3)


def test_examples_are_the_nearest_of_each_slide_in_turn(setting):
    sample, slides, level = setting
    known = counts_and_examples(sample, slides, level, [None] * 3, [8.0, 9.0, 10.0])["examples"]
    for concept, examples in enumerate(known):
        assert len(examples) == min(EXAMPLES, level.counts[concept])
        assert sorted(one["slide"] for one in examples[:3]) == [0, 1, 2]
        distances = np.linalg.norm(sample.tokens - level.vectors[concept], axis=1)
        for one in examples[:3]:
            own = (level.labels == concept) & (slides == one["slide"])
            assert one["distance"] == pytest.approx(distances[own].min(), abs=1e-3)
            row = np.flatnonzero(own)[distances[own].argmin()]
            assert (one["x"], one["y"]) == pytest.approx(sample.places[row], abs=0.06)
            assert one["side"] == 8.0 + one["slide"]


def test_examples_do_not_overlap(setting):
    """Against a plain search, slide by slide."""
    sample, slides, level = setting
    side = 60.0  # of 200 × 200 px
    known = counts_and_examples(sample, slides, level, [None] * 3, [side] * 3)["examples"]
    for concept, examples in enumerate(known):
        distances = np.linalg.norm(sample.tokens - level.vectors[concept], axis=1)
        for slide in range(3):
            rows = np.flatnonzero((level.labels == concept) & (slides == slide))
            wanted = []
            for row in rows[np.argsort(distances[rows])]:
                if all(np.abs(sample.places[row] - sample.places[one]).max() >= side for one in wanted):
                    wanted.append(row)
            found = [(one["x"], one["y"]) for one in examples if one["slide"] == slide]
            assert len(found) >= 2
            assert np.allclose(found, sample.places[wanted[: len(found)]], atol=0.06)


def test_the_stain_of_a_concept_is_the_mean_of_what_was_measured(setting):
    sample, slides, level = setting
    assert "stains" not in counts_and_examples(sample, slides, level, [None] * 3, [8.0] * 3)
    sample = deepcopy(sample)
    sample.stains[:] = np.random.default_rng(1).random(sample.stains.shape)
    sample.stains[::3] = np.nan
    sample.stains[level.labels == 2] = np.nan
    known = counts_and_examples(sample, slides, level, [None] * 3, [8.0] * 3)
    assert json.loads(json.dumps(known)) == known
    for concept, stain in enumerate(known["stains"]):
        if concept == 2:
            assert stain is None
        else:
            assert stain == pytest.approx(np.nanmean(sample.stains[level.labels == concept], axis=0), abs=1e-4)


def test_slides_are_not_told_one_by_one_where_there_are_many(setting, monkeypatch):
    monkeypatch.setattr("histofactor.concepts.learn.counts_and_examples._SLIDES_TOLD", 2)
    sample, slides, level = setting
    assert "per_slide" not in counts_and_examples(sample, slides, level, [None] * 3, [8.0] * 3)


def test_of_many_slides_the_largest_share_is_told(setting, monkeypatch):
    sample, slides, level = setting
    every = counts_and_examples(sample, slides, level, ["n", "s", "n"], [8.0] * 3)
    monkeypatch.setattr("histofactor.concepts.learn.counts_and_examples._SLIDES_TOLD", 2)
    known = counts_and_examples(sample, slides, level, ["n", "s", "n"], [8.0] * 3)
    assert "per_slide" not in known
    assert "in_one_slide" not in every
    counts = np.array(every["per_slide"])
    assert known["in_one_slide"] == pytest.approx(counts.max(0) / counts.sum(0), abs=1e-4)
    assert all(told <= share for told, share in zip(known["in_one_slide"], counts.max(0) / counts.sum(0), strict=True))
