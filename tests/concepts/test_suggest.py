"""Suggestions are right where the answer is known, and unsure where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from histofactor.concepts.suggest import APART, BY_CHANCE, by_chance, class_means, suggest
from small_pairs import SIDE_PX, TISSUES, exact_pair, units

NAMES = [*TISSUES]


def colored(rng, *names, count=8):
    """Patches (count, side, side, 3), each px of one of these tissues at random, with some noise."""
    palette = np.array([TISSUES[name] for name in names])
    px = palette[rng.integers(len(names), size=(count, SIDE_PX, SIDE_PX))]
    return np.clip(px + rng.normal(0, 4, px.shape), 0, 255).astype(np.uint8)


def found(patches, scale=20.0):
    pair = exact_pair(scale)
    classes = class_means(pair.texts([f"an image of {name}" for name in NAMES]), range(len(NAMES)))
    return suggest({label: pair.images(one) for label, one in patches.items()}, classes, NAMES, scale)


def test_every_tissue_is_named_right():
    rng = np.random.default_rng(0)
    made = found({label: colored(rng, name) for label, name in enumerate(NAMES, 1)})
    assert [one.best[0].name for one in made.values()] == NAMES
    assert not any(one.unsure for one in made.values())
    for one in made.values():
        assert (one.votes, one.patches) == (8, 8)
        assert one.best[0].cosine == pytest.approx(1, abs=1e-3)
        assert len(one.best) == 3
        assert one.margin == pytest.approx(one.best[0].share - one.best[1].share)


def test_shares_are_the_softmax_of_scaled_cosines():
    patches, classes = units(np.array([[3.0, 4.0, 0.0]])), np.eye(3)
    (one,) = suggest({1: patches}, classes, ["a", "b", "c"], 5.0).values()
    expected = np.exp([5 * 0.6, 5 * 0.8, 0.0]) / np.exp([5 * 0.6, 5 * 0.8, 0.0]).sum()
    assert [best.name for best in one.best] == ["b", "a", "c"]
    assert [best.share for best in one.best] == pytest.approx([expected[1], expected[0], expected[2]])
    assert [best.cosine for best in one.best] == pytest.approx([0.8, 0.6, 0.0])


def test_noise_and_mixtures_have_no_name_among_concepts_that_have_one():
    rng = np.random.default_rng(0)
    noise = [
        colored(rng, "tumour", "fat"),
        colored(rng, *NAMES),
        rng.integers(0, 256, (8, SIDE_PX, SIDE_PX, 3), np.uint8),
        np.repeat(rng.integers(0, 256, (8, 1, 1, 3), np.uint8), SIDE_PX, 1).repeat(SIDE_PX, 2),
    ]
    made = found(dict(enumerate([*(colored(rng, name) for name in NAMES), *noise], 1)))
    assert [one.best[0].name for one in made.values()][:6] == NAMES
    assert [bool(one.unsure) for one in made.values()] == [False] * 6 + [True] * 4
    assert made[7].margin < APART
    assert made[9].unsure == "like no class"


def test_patches_of_several_tissues_disagree():
    rng = np.random.default_rng(0)
    parts = [colored(rng, name, count=count) for name, count in (("tumour", 5), ("fat", 3))]
    made = found({1: np.concatenate(parts), 2: colored(rng, "muscle")})
    assert made[1].best[0].name == "tumour"
    assert made[1].votes == 5
    assert made[1].unsure == "patches disagree"
    assert str(made[1]) == f"tumour ({made[1].margin:.2f}), unsure: patches disagree"
    assert not made[2].unsure


@pytest.mark.parametrize("classes", [2, 6, 13])
@pytest.mark.parametrize("scale", [14.3, 100.0])
def test_noise_is_unsure(classes, scale):
    rng = np.random.default_rng(classes)
    texts = units(rng.normal(size=(classes, 64)))
    patches = {label: units(rng.normal(size=(8, 64))) for label in range(500)}
    made = suggest(patches, texts, [f"class {place}" for place in range(classes)], scale)
    assert np.mean([not one.unsure for one in made.values()]) <= 2 * BY_CHANCE


def test_few_patches_say_little():
    one = np.eye(4)[:1]
    for count, unsure in ((1, "too few patches"), (3, "too few patches"), (5, "")):
        assert suggest({1: np.repeat(one, count, 0)}, np.eye(4), list("abcd"), 20.0)[1].unsure == unsure


def test_a_model_that_calls_everything_the_same_is_not_believed():
    patches = {label: np.repeat(np.eye(6)[:1], 8, 0) for label in (1, 2, 3)}
    made = suggest(patches, np.eye(6), NAMES, 20.0)
    assert {one.unsure for one in made.values()} == {"every concept would be called so"}
    assert suggest({1: patches[1]}, np.eye(6), NAMES, 20.0)[1].unsure == ""
    patches[3] = np.repeat(np.eye(6)[1:2], 8, 0)
    assert not any(one.unsure for one in suggest(patches, np.eye(6), NAMES, 20.0).values())


@given(st.integers(1, 12), st.integers(2, 20), st.data())
def test_what_chance_can_do(patches, classes, data):
    votes = data.draw(st.integers(0, patches))
    tail = binom.sf(votes - 1, patches, 1 / classes)
    assert by_chance(votes, patches, classes) == pytest.approx(min(1, classes * tail), rel=1e-9)


def test_a_class_is_the_mean_of_its_prompts():
    prompts = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    means = class_means(prompts, [0, 0, 1])
    assert means == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]]))
