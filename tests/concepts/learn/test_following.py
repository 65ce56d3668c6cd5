"""Whether concepts follow groups of slides: on tokens whose tissue and whose hospital are known."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.following import following_of, sentences
from histofactor.concepts.learn.following import follow_groups
from histofactor.concepts.learn.from_sample import Features, Origin, learn_from_sample
from histofactor.concepts.learn.sample import Known, Sample
from histofactor.records import EncoderKey

KEY = EncoderKey("tiny", None, "blocks[-1]", "split-root")
GROUPS = ["north"] * 5 + ["south"] * 5
KINDS, TOKENS, DIM = 6, 120, 10


def learned(kinds_of, shift, ks=(2, 4), groups=GROUPS):
    """Banks from slides whose tokens are some kinds of tissue; all tokens of the south are moved along one channel."""
    rng = np.random.default_rng(0)
    kinds = np.eye(DIM, dtype=np.float32)[:KINDS] * 2 + 1
    sample = Sample(len(groups) * TOKENS, DIM)
    for number, group in enumerate(groups):
        which = rng.choice(kinds_of[group], TOKENS)
        tokens = kinds[which] + rng.normal(0, 0.2, (TOKENS, DIM)).astype(np.float32)
        tokens[:, -1] += shift * (group == "south")
        known = Known((tokens**2).sum(1), np.zeros((TOKENS, 2), np.float32))
        sample.add(tokens, sample.quota.draw(str(number), TOKENS).keys, number, known)
    sample.sort()
    origin = Origin(sample.slides[: sample.size].astype(np.int64), groups, [8.0] * len(groups))
    banks, _ = learn_from_sample(sample, origin, ks, Features(encoder=KEY, mpp=0.5))
    return {len(bank.names): bank for bank in banks}


SAME = {"north": range(4), "south": range(4)}


@pytest.fixture(scope="module")
def shifted():
    return learned(SAME, 6.0)


def test_hospitals_that_shift_everything_are_the_concepts(shifted):
    found = following_of(shifted[2])
    assert (found.groups, found.slides) == (2, 10)
    assert found.ari == pytest.approx(1)
    assert found.by_chance < 0.2
    assert found.p <= 0.02  # 2 of the 252 ways of dealing do as much
    assert found.excess == (1, 1)
    assert {*found.most} == {"north", "south"}
    assert found.share == found.tail_mean == 1
    assert found.are_groups
    assert found.centred_share < 0.1  # the same tissue, once the shift is gone
    assert found.is_shift
    finer = following_of(shifted[4])
    assert finer.are_groups
    assert finer.ari < 0.7  # concepts of one group are several: no agreement one by one, and yet pure
    warned, mend = sentences(BankFile(shifted, {}), 2, "bank.safetensors")
    assert warned.startswith("warning: K = 2: the concepts are the groups: 100% of the tissue")
    assert warned.endswith("at K = 4 too the concepts are the groups")
    assert "--centring 1" in mend


def test_other_tissue_in_every_group_is_told_as_such():
    banks = learned({"north": range(3), "south": range(3, 6)}, 0.0, (3, 6))
    found = following_of(banks[6])
    assert found.are_groups
    assert found.centred_share > 0.9
    assert not found.is_shift
    _, mend = sentences(BankFile(banks, {}), 6, "out")
    assert "different tissue" in mend
    assert "cannot be told apart" in mend
    assert mend.endswith("histofactor concepts exclude out -k 6 --one-group")


def test_hospitals_that_are_alike_are_not_warned_of():
    banks = learned(SAME, 0.0)
    for bank in banks.values():
        found = following_of(bank)
        assert found.ari == pytest.approx(0, abs=0.01)
        assert found.tail_mean < 0.2
        assert not any(found.follows)
        assert found.centred_share is None
    (told,) = sentences(BankFile(banks, {}), 4, "out")
    assert told.startswith("K = 4: no concept follows a group (ARI with the groups 0.0")


def test_one_concept_of_many():
    banks = learned({"north": range(4), "south": range(5)}, 0.0, (5,))
    found = following_of(banks[5])
    assert sum(found.follows) == 1
    at = found.follows.index(True)
    assert (found.most[at], found.excess[at]) == ("south", 1)
    assert found.share == pytest.approx(0.1, abs=0.02)  # a fifth of the south
    assert found.tail_mean > 0.85
    assert not found.are_groups
    told, mend = sentences(BankFile(banks, {}), 5, "out")
    assert f"1 concept follows one group, {found.share:.0%} of the tissue: {at + 1} (south)" in told
    assert "exclude out -k 5 --one-group" in mend


def test_false_alarms_over_fifty_seeds_are_rare():
    """Slides differ much in their tissue, and hospitals do not: whole concepts are one slide's, and so one group's."""
    alarms, most_alone = 0, 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        per_slide = np.stack([rng.multinomial(500, rng.dirichlet([0.1] * 12)) for _ in range(10)])
        found = follow_groups(per_slide, GROUPS)
        most_alone += max(found.excess) > 0.9
        alarms += any(found.follows)
        assert not found.are_groups
    assert most_alone > 25  # which chance explains
    assert alarms <= 2  # of 50: one in twenty


@pytest.mark.parametrize(
    ("groups", "tells"), [("aabb", False), ("aaabbb", False), ("abc", False), ("aaaabbbb", True), ("aaabbbb", True)]
)
def test_too_few_slides_to_tell(groups, tells):
    per_slide = np.array([[100, 0] if group == "a" else [0, 100] for group in groups])
    found = follow_groups(per_slide, list(groups))
    assert (found.p is not None, found.are_groups, any(found.follows)) == (tells, tells, tells)
    assert found.ari == pytest.approx(1 if len({*groups}) == 2 else 0.5, abs=0.1)


def test_figures_by_hand():
    """Groups count alike: of a concept with 30 % of the north and 10 % of the south, three quarters are the north's."""
    per_slide = np.array([[300, 700], [5, 45], [5, 45]])  # the north gives ten times as many
    found = follow_groups(per_slide, ["north", "south", "south"])
    assert found.excess == pytest.approx((0.5, 2 * 0.9 / 1.6 - 1), abs=1e-4)
    assert found.most == ("north", "south")
    assert found.tail_mean == pytest.approx(0.5, abs=1e-4)  # the first concept is a fifth of the tissue
    truth, labels = np.repeat([0, 0, 1, 1], [300, 700, 100, 900]), np.repeat([0, 1, 0, 1], [300, 700, 100, 900])
    assert found.ari == pytest.approx(adjusted_rand_score(truth, labels), abs=2e-3)


def test_a_slide_without_group_or_tokens_counts_nothing():
    per_slide = np.array([[9, 1]] * 5 + [[1, 9]] * 5)
    found = follow_groups(per_slide, GROUPS)
    more = np.concatenate([per_slide, [[500, 0], [0, 0]]])
    assert follow_groups(more, [*GROUPS, None, "south"]) == found
    assert follow_groups(per_slide, ["north"] * 10) is None
    assert follow_groups(per_slide, [None] * 10) is None


def test_a_group_that_a_concept_has_no_tokens_of():
    found = follow_groups(np.array([[4, 0], [4, 0]]), ["a", "b"])
    assert found.excess[1] == 0
    assert found.most[1] == ""


def test_what_a_bank_holds_is_what_was_measured(shifted):
    held = following_of(shifted[2])
    assert following_of(replace(shifted[2], provenance={})) is None
    assert held.follows == (True, True)


def test_a_concept_of_one_slide_alone_is_not_judged():
    """It is all of one group to whichever group its slide is dealt."""
    per_slide = np.array([[100, 0]] * 4 + [[50, 50]] + [[100, 0]] * 5)
    found = follow_groups(per_slide, GROUPS)
    assert (found.excess[1], found.most[1]) == (1, "north")
    assert not any(found.follows)
