"""Suggestions are right where the answer is known, and unsure where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, t

from histofactor.concepts.suggest import (
    APART,
    BY_CHANCE,
    by_chance,
    by_direction,
    by_words,
    class_means,
    settled,
    suggest,
)
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


def directions(rng, count, dim):
    return units(rng.normal(size=(count, dim)))


def around(rng, middles, count=8):
    """Patches (count, d) of each concept, which are all alike."""
    dim = middles.shape[1]
    return {label: units(one + 0.3 * directions(rng, count, dim)) for label, one in enumerate(middles, 1)}


def sure(made):
    return np.array([not one.unsure for one in made.values()])


@pytest.mark.parametrize("scale", [10.0, 100.0])
@pytest.mark.parametrize("classes", [3, 6, 12])
@pytest.mark.parametrize("dim", [256, 768])
@pytest.mark.parametrize("told_others", [True, False])
def test_noise_that_is_alike_within_a_concept_is_unsure(scale, classes, dim, told_others):
    rng = np.random.default_rng(classes)
    texts, names = directions(rng, classes, dim), [f"class {place}" for place in range(classes)]
    others = directions(rng, 32, dim) if told_others else None
    found = [suggest(around(rng, directions(rng, 12, dim)), texts, names, scale, others) for _ in range(50)]
    assert np.mean([sure(made) for made in found]) <= 2 * BY_CHANCE


@pytest.mark.parametrize("concepts", [1, 2, 12])
def test_noise_in_a_cone_is_unsure_and_classes_are_named(concepts):
    """Images share a direction, and so do texts, which are near to each other whatever they show or say."""
    rng, wrong, right, named = np.random.default_rng(0), [], [], []
    for _ in range(240 // concepts):
        of_images, of_texts = (4 / 3 * one for one in directions(rng, 2, 512))
        says, words = directions(rng, 6, 512), directions(rng, 32, 512)
        texts, others = units(of_texts + says), units(of_texts + words)
        noise = suggest(around(rng, of_images + directions(rng, concepts, 512)), texts, NAMES, 100.0, others)
        wrong.extend(sure(noise))
        of = rng.integers(0, 6, concepts)
        shows = units(0.6 * says[of] + 0.8 * directions(rng, concepts, 512))
        made = suggest(around(rng, of_images + shows), texts, NAMES, 100.0, others)
        right.extend(one.best[0].name == NAMES[place] for one, place in zip(made.values(), of, strict=True))
        named.extend(sure(made) if len({*of}) > 1 or concepts == 1 else [])
    assert np.mean(wrong) <= 2 * BY_CHANCE
    assert np.mean(right) > 0.99
    assert np.mean(named) > 0.95


def test_most_concepts_may_be_of_one_class():
    rng = np.random.default_rng(0)
    says, others = directions(rng, 6, 256), directions(rng, 32, 256)
    of = np.array([0] * 9 + [1, 2, 3])
    made = suggest(around(rng, units(0.6 * says[of] + 0.8 * directions(rng, 12, 256))), says, NAMES, 100.0, others)
    assert [one.best[0].name for one in made.values()] == [NAMES[place] for place in of]
    assert sure(made).all()


def test_a_word_that_is_no_class_takes_the_win():
    axes = np.eye(40)
    says, others = axes[:6], axes[6:]
    for near, told in ((0.5, ""), (1.1, "like no class")):
        middles = units(np.stack([axes[0] + near * axes[6], axes[1]]))
        made = suggest(
            {label: np.repeat(one[None], 8, 0) for label, one in enumerate(middles, 1)}, says, NAMES, 20, others
        )
        assert [one.unsure for one in made.values()] == [told, ""]


@given(st.integers(3, 64), st.integers(2, 12), st.floats(-0.99, 0.99))
def test_what_a_direction_can_do(dim, classes, cosine):
    exact = t.sf(cosine * np.sqrt((dim - 1) / (1 - cosine**2)), dim - 1)  # the same cosine as Student's t
    expected = min(1, classes * exact) if cosine > 0 else 1
    assert by_direction(np.array([cosine]), dim, classes) == pytest.approx([expected], rel=1e-6, abs=1e-300)


def test_what_words_can_do():
    rng = np.random.default_rng(0)
    classes, others, (mean,) = directions(rng, 4, 16), directions(rng, 9, 16), directions(rng, 1, 16)
    near, of_words = (mean @ classes.T).max(), mean @ others.T
    near_all = t.sf((near - of_words.mean()) / of_words.std(ddof=1) / np.sqrt(10 / 9), 8)
    expected = 1.0 if near < of_words.max() else min(1.0, 4 * near_all)
    assert by_words(mean[None], classes, others) == pytest.approx([expected])
    others[:, :] = others[0]
    assert by_words(classes[:1], classes, others) == pytest.approx([0])
    assert by_words(others[:1], classes, others) == pytest.approx([1])


def test_few_patches_say_little():
    one = np.eye(4)[:1]
    for count, unsure in ((1, "too few patches"), (3, "too few patches"), (5, "")):
        assert suggest({1: np.repeat(one, count, 0)}, np.eye(4), list("abcd"), 20.0)[1].unsure == unsure


@pytest.mark.parametrize(("classes", "count", "enough"), [(5, 4, False), (6, 4, True), (6, 3, False), (3, 6, True)])
def test_patches_that_agree_say_what_more_would(classes, count, enough):
    texts = np.eye(12)[:classes]
    assert settled(np.repeat(texts[:1], count, 0), texts) == enough
    assert not settled(np.concatenate([np.repeat(texts[:1], count, 0), texts[1:2]]), texts)


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
