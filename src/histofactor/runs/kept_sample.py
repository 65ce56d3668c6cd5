"""The sample that a bank was learned from, read again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.digests import DamagedError
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import check_card, counts_of, slides_of
from histofactor.concepts.learn.counts_and_examples import counts_and_examples
from histofactor.concepts.learn.kmeans import unit_rows
from histofactor.concepts.learn.sample import Sample, read_sample
from histofactor.concepts.learn.split import label_by, level_by
from histofactor.errors import BankError, OptionError
from histofactor.records import Float
from histofactor.runs.study import sample_of

_APART = 0.05  # share of the tokens that may count elsewhere than a bank says: what is negative in a centroid became 0


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The sample that a bank was learned from.

    Attributes:
        sample: as it was kept.
        tokens: (N, d) as they were clustered.
        slides: (N,) place of every token's slide on the card.
        groups, sides: of every slide, as for ``counts_and_examples``.
    """

    sample: Sample
    tokens: Float
    slides: NDArray[np.int64]
    groups: tuple[str | None, ...]
    sides: tuple[float, ...]


def learned_tokens(path: Path, file: BankFile) -> Learned:
    """The tokens that a bank was learned from, as they were clustered.

    Args:
        path: of the bank.
        file: what it holds.

    Raises:
        OptionError: no sample is kept beside it, or it was not learned by clustering.
        BankError: the sample is damaged, or belongs to another bank.
    """
    kept = sample_of(path)
    if not kept.exists():
        raise OptionError(
            f"no sample of {path} is kept",
            expected=f"the tokens that it was learned from, in {kept.name} beside it",
            mend="learn it again with: histofactor concepts train --keep-sample",
        )
    if file.card.get("algorithm") != "kmeans":
        raise OptionError(
            f"the concepts of {path} are no clusters",
            expected="a bank that was learned by kmeans",
            got=f"{file.card.get('algorithm')!r:.80}",
        )
    try:
        sample, note = read_sample(kept)
        told = {name: known for name, known in json.loads(note)["slides"].items() if known.get("windows", 1)}
        hashes = {str(name): str(known["sha256"]) for name, known in told.items()}
        sides_of = {str(name): float(known["side"]) for name, known in told.items()}
    except DamagedError as error:
        raise BankError(f"{kept} is damaged", got=str(error), mend="learn the bank again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BankError(
            f"{kept} does not say what it is of", got=f"{error!r:.80}", mend="learn the bank again"
        ) from error
    check_card(file.card)
    notes = slides_of(file.card)
    numbers, places = np.unique(sample.slides[: sample.size], return_inverse=True)
    sampled = [one.get("sampled") for one in file.card.get("slides") or ()]
    present = [place for place, count in enumerate(sampled) if count]
    counts = np.bincount(places, minlength=len(numbers)).tolist()
    dim = next(iter(file.banks.values())).vectors.shape[1]
    same = hashes == {one.name: one.sha256 for one in notes} and counts == [sampled[place] for place in present]
    if not same or sample.tokens.shape[1] != dim:
        raise BankError(
            f"{kept} is not the sample that {path} was learned from",
            expected=f"{sum(count or 0 for count in sampled)} tokens of {dim} channels from {len(notes)} inputs",
            got=f"{sample.size} tokens of {sample.tokens.shape[1]} channels from {len(hashes)} inputs",
            mend="learn the bank again with: histofactor concepts train --keep-sample",
        )
    _centre(sample, kept, path, file)
    tokens = sample.tokens[: sample.size]
    return Learned(
        sample,
        unit_rows(tokens) if is_spherical(file) else tokens,
        np.array(present, np.int64)[places.ravel()],
        tuple(one.group for one in notes),
        tuple(sides_of[one.name] for one in notes),
    )


def _centre(sample: Sample, kept: Path, path: Path, file: BankFile) -> None:
    """Take from the tokens what was taken from them when the bank was learned."""
    centring = next(iter(file.banks.values())).centring
    if centring is None:
        return
    mean = sample.centre(centring.share).mean if sample.means else np.zeros(0)
    if mean.shape != centring.mean.shape or not np.allclose(mean, centring.mean, rtol=1e-4, atol=1e-6):
        raise BankError(
            f"{kept} is not the sample that {path} was learned from",
            expected="the mean of its slides that the bank is centred about",
            got="another mean" if sample.means else "no means",
            mend="learn the bank again with: histofactor concepts train --keep-sample",
        )


def is_spherical(file: BankFile) -> bool:
    """Whether the concepts of a bank are directions."""
    return (file.card.get("options") or {}).get("spherical") is True


def check_explained(path: Path, file: BankFile, k: int, learned: Learned) -> None:
    """Raise BankError unless the sample explains the tokens that a level tells of its concepts."""
    told = counts_of(file.banks[k])
    if told is None:
        return
    found = np.bincount(label_by(file.banks[k], learned.tokens), minlength=k)
    if np.abs(found - told).sum() > 2 * _APART * len(learned.tokens):
        raise BankError(
            f"K = {k} of {path} was not learned from the sample that is kept beside it",
            expected=f"{', '.join(f'{count:.0f}' for count in told[:5])}, … tokens of concept 1, 2, …",
            got=f"{', '.join(map(str, found[:5]))}, …",
            mend="choose another level, or learn the bank again",
        )


def told_by(file: BankFile, k: int, learned: Learned) -> BankFile:
    """The file with what the sample tells of the concepts of one level: counts, where they are from, typical tokens."""
    bank = file.banks[k]
    level = level_by(bank, learned.tokens)
    known: dict[str, Any] = counts_and_examples(learned.sample, learned.slides, level, learned.groups, learned.sides)
    told = replace(bank, provenance={**bank.provenance, "counts": level.counts.tolist(), **known})
    return replace(file, banks={**file.banks, k: told})
