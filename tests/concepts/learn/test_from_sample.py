"""From a sample to banks: how many concepts tokens bear, and centred ones."""

import numpy as np
import pytest

from histofactor.concepts.learn.from_sample import Features, Origin, bearable_ks, learn_from_sample, level_of
from histofactor.concepts.learn.sample import Known, Sample
from histofactor.errors import BankError
from histofactor.records import EncoderKey, SlideMean

KEY = EncoderKey("tiny", None, "blocks[-1]", "split-root")


def sample_of(shift=0.0, n=600):
    """Two slides with the same three kinds of tissue; all tokens of the second are moved along one channel."""
    rng = np.random.default_rng(0)
    kinds = np.eye(4, dtype=np.float32)[:3] * 2 + 0.2
    sample = Sample(2 * n, 4)
    truth = []
    for number in range(2):
        which = rng.integers(0, 3, n)
        tokens = kinds[which] + rng.normal(0, 0.05, (n, 4)).astype(np.float32).clip(-0.19)
        tokens[:, 3] += number * shift
        draw = sample.quota.draw(str(number), n)
        known = Known((tokens**2).sum(1), np.stack([which, which], 1).astype(np.float32))
        sample.add(tokens, draw.keys, number, known)
        sample.means[number] = SlideMean(tokens.mean(0), 1e6)
        truth.append(which)
    sample.sort()
    return sample


def learned(shift, centring, ks=(3, 6)):
    sample = sample_of(shift)
    origin = Origin(sample.slides[: sample.size].astype(np.int64), [None, None], [8.0, 8.0])
    features = Features(encoder=KEY, mpp=0.5, centring=centring)
    return learn_from_sample(sample, origin, ks, features), sample


def test_every_k_with_what_is_known_of_it():
    (banks, choice), _ = learned(0.0, 0.0)
    assert [len(bank.names) for bank in banks] == [3, 6]
    assert all(bank.centring is None and bank.encoder == KEY and bank.mpp == 0.5 for bank in banks)
    assert choice.recommended in {3, 6}
    assert len(banks[0].provenance["examples"]) == 3
    assert 0 < banks[0].provenance["residual_limit"] < 1


def test_centring_finds_the_tissue_where_slides_differ():
    """Moved by 3 the slide is the largest difference; centred wholly, the kinds are found in both."""
    (plain, _), _ = learned(3.0, 0.0, (3,))
    per_slide = np.array(plain[0].provenance["per_slide"])
    assert (per_slide.min(0) < 0.02 * per_slide.max(0)).any()  # a concept of one slide alone
    (centred, _), _ = learned(3.0, 1.0, (3,))
    per_slide = np.array(centred[0].provenance["per_slide"])
    assert (per_slide > 150).all()
    means = sample_of(3.0).means
    np.testing.assert_allclose(centred[0].centring.mean, (means[0].value + means[1].value) / 2, rtol=1e-5)
    assert centred[0].centring.share == 1.0


@pytest.mark.parametrize(
    ("tokens", "wanted", "ks"),
    [(128, None, [4]), (255, None, [4]), (512, None, [4, 8, 16]), (10**6, None, [4, 8, 16, 32, 64]),
     (10**6, 20, [4, 8, 16, 20, 32, 64]), (10**6, 200, [4, 8, 16, 32, 64, 200]), (64, 2, [2])],
)  # fmt: skip
def test_bearable(tokens, wanted, ks):
    assert bearable_ks(tokens, wanted) == ks


@pytest.mark.parametrize(
    ("tokens", "wanted", "told"), [(127, None, "K = 3 at most"), (20, None, "no concepts"), (600, 20, "-k 18")]
)
def test_too_little(tokens, wanted, told):
    with pytest.raises(BankError, match=told):
        bearable_ks(tokens, wanted)


def test_the_level_that_is_asked_for():
    (banks, _), _ = learned(0.0, 0.0)
    assert [len(level_of(banks, *given).names) for given in ((None, None), (6, None), (6, 3))] == [3, 6, 3]
