"""Names suggested for the concepts of a bank or a study from their typical patches, and those that a person takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.edit import level_of
from histofactor.concepts.bank.file import BankFile, read_bank_file
from histofactor.concepts.bank.provenance import examples_of
from histofactor.concepts.bank.suggested import Suggested, concept_keys, of_level, read_suggested, write_suggested
from histofactor.concepts.bank.unnamed import is_unnamed
from histofactor.concepts.prompts import Prompts
from histofactor.concepts.suggest import class_means, settled, suggest
from histofactor.encoders.pair import Pair
from histofactor.errors import OptionError
from histofactor.records import Float
from histofactor.records.urls import Input
from histofactor.runs.edit_study import which_k
from histofactor.runs.examples import Look, Patches, read_examples
from histofactor.runs.ledger import inputs_of, openings_of
from histofactor.runs.source import Opening
from histofactor.runs.study import find_bank, open_study, read_journal, study_lock

PATCHES, FIRST = 8, 4  # of each concept, as many as a bank tells; and those that are looked at before the others
_BATCH = 16  # patches at a time
_DIGITS = 12  # of a digest, as it is told
_FEWEST_OTHERS = 3  # whose spread says something


@dataclass(frozen=True, slots=True)
class Found:
    """Suggestions that were written.

    Attributes:
        bank: path of the bank that they are for.
        file: all that it holds.
        k: the level.
        by_label: the suggestions.
        missing: patches that could not be read, one sentence each.
    """

    bank: Path
    file: BankFile
    k: int
    by_label: dict[int, Suggested]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken of the suggestions of a level.

    Attributes:
        names: by label.
        left: of those that were asked for and are not taken, why, one sentence each.
    """

    names: dict[int, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def suggest_names(target: Path, k: int | None, pair: Pair, prompts: Prompts, *, slides: Sequence[Input] = ()) -> Found:
    """Suggest names for the concepts of one level, and write them beside the bank.

    The bank stays as it is. Patches are those that it tells of, read as they lie on its slides at the side that the
    model takes; no more of a slide is looked at, and nothing leaves the machine.

    Args:
        target: a bank, or the output folder of a study.
        k: the level; None takes the only one of a bank, or that which a study is segmented with.
        pair: the vision-language model.
        prompts: the classes.
        slides: those that the concepts were learned on, where they lie now; none stands for the inputs of the study.

    Raises:
        OptionError: the folder is no study, the bank has several K or lacks this one, tells of no patches, or none can
            be read.
        BankError: it is no bank, or that of a study was changed by something else.
        OutputError: the suggestions cannot be written.
    """
    bank = find_bank(target)
    study = open_study(bank)
    level = which_k(study.file, study.k if k is None and (study.learned or target.is_dir()) else k)
    patches, missing = _patches(bank, study.file, level, pair.side_px, slides)
    classes = class_means(pair.texts(prompts.texts), prompts.owners)
    embedded = _embedded(pair, {label: found for (_, label), found in patches.items()}, classes)
    made = suggest(embedded, classes, prompts.classes, pair.scale, _others(pair, prompts))
    told = f"{prompts.name} ({prompts.sha256[:_DIGITS]})"
    by_label = {label: Suggested(one, str(pair), told) for label, one in made.items()}
    keys = concept_keys(study.file.banks[level])
    with study_lock(bank.parent) if target.is_dir() or read_journal(bank) else nullcontext():
        write_suggested(bank, read_bank_file(bank), {keys[label - 1]: one for label, one in by_label.items()})
    return Found(bank, study.file, level, by_label, missing)


def accepted(bank: Path, file: BankFile, k: int, labels: Sequence[int] | None) -> Taken:
    """The names that suggestions give to concepts of a level; those that are unsure give none.

    Args:
        bank: path of the bank.
        file: all that it holds.
        k: the level.
        labels: of the concepts; None for all that have no name yet and are no artefacts.

    Raises:
        OptionError: there is no such label, or no suggestion to take.
        BankError: there is no such K, or the suggestions cannot be read.
    """
    level = level_of(file, k)
    suggested = of_level(level, read_suggested(bank))
    if not suggested:
        mend = "suggest names first: `histofactor concepts name OUT|BANK --suggest PROMPTS.csv`"
        raise OptionError(f"there are no suggested names for {bank} at K = {k}", mend=mend)
    if absent := [label for label in labels or () if not 1 <= label <= k]:
        raise OptionError(f"there is no label {absent[0]}", expected=f"labels from 1 to {k}")
    open_ = [label for label, name in enumerate(level.names, 1) if is_unnamed(name) and label - 1 not in level.excluded]
    taken = Taken()
    for label in open_ if labels is None else labels:
        one = suggested.get(label)
        if one is None:
            taken.left.append(f"label {label}: no name is suggested for it")
        elif one.suggestion.unsure:
            taken.left.append(f"label {label}: {one.suggestion}")
        else:
            taken.names[label] = one.suggestion.best[0].name
    if not taken.names:
        got = "; ".join(taken.left[:3]) or "only concepts that have names, or are artefacts"
        raise OptionError("there is no suggested name to take", expected="one that is not unsure", got=got)
    return taken


def _embedded(
    pair: Pair, patches: Mapping[int, Sequence[NDArray[np.uint8]]], classes: NDArray[np.float64]
) -> dict[int, Float]:
    """The embeddings (n, d) of the patches of each concept: the first of them, and the others where they do not settle.

    Half of the work is saved where a concept is clear, see ``settled``.
    """
    first = _by_label(pair, {label: found[:FIRST] for label, found in patches.items()})
    more = {
        label: found[FIRST:]
        for label, found in patches.items()
        if len(found) > FIRST and not settled(first[label], classes)
    }
    then = _by_label(pair, more)
    return {label: np.concatenate([one, then[label]]) if label in then else one for label, one in first.items()}


def _by_label(pair: Pair, patches: Mapping[int, Sequence[NDArray[np.uint8]]]) -> dict[int, Float]:
    """The embeddings (n, d) of patches, made from all concepts together."""
    flat = [one for found in patches.values() for one in found]
    parts = [pair.images(np.stack(flat[at : at + _BATCH])) for at in range(0, len(flat), _BATCH)]
    ends = np.cumsum([len(found) for found in patches.values()])
    return dict(zip(patches, np.split(np.concatenate(parts), ends[:-1]), strict=True)) if parts else {}


def _others(pair: Pair, prompts: Prompts) -> NDArray[np.float64] | None:
    """The embeddings of words that name none of the classes, or None where there are too few."""
    if len(prompts.others) < _FEWEST_OTHERS:
        return None
    owners = [place for place, texts in enumerate(prompts.others) for _ in texts]
    return class_means(pair.texts([text for texts in prompts.others for text in texts]), owners)


def _patches(bank: Path, file: BankFile, k: int, side_px: int, slides: Sequence[Input]) -> tuple[Patches, list[str]]:
    """Typical patches of the concepts of one level, and what could not be read."""
    level = file.banks[k]
    if not any(examples_of(level)):
        raise OptionError(
            f"{bank} tells of no typical patches at K = {k}",
            expected="concepts that were learned with `histofactor segment` or `histofactor concepts train`",
            got="a bank that was imported or made otherwise",
            mend="learn concepts from the slides, or name them by hand",
        )
    inputs = slides or inputs_of(bank.parent)
    opened = {path.name: Opening(**one) for path, one in openings_of(bank.parent).items()}
    openings = {path: opened[path.name] for path in inputs if path.name in opened}
    one_level = replace(file, banks={k: level})
    look = Look(count=PATCHES, side_px=side_px, checked=bool(slides))
    patches, missing = read_examples(one_level, inputs, look=look, openings=openings)
    if not patches:
        raise OptionError(
            f"none of the typical patches of {bank} can be read",
            expected="the slides that its concepts were learned on",
            got="; ".join(missing[:3]) or "none of them",
            mend="give them, or their folder, with --slides",
        )
    return patches, missing
