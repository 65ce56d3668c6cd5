"""The concepts of a study: learned from its first inputs, and kept for all that come later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from histofactor.base.files import check_folder
from histofactor.base.lease_state import look
from histofactor.base.text import counted
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.following import sentences
from histofactor.concepts.learn.choose_k import stated
from histofactor.concepts.learn.from_sample import bearable_ks, level_of
from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.encoders.registry import get
from histofactor.errors import BankMismatch, LeaseLost
from histofactor.records.urls import Input
from histofactor.runs.beacon import WAITING
from histofactor.runs.execute.engine import Workers
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.field import field_of, keep_field
from histofactor.runs.learn_concepts import learn
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.place import CONCEPTS, WINDOWS, WORK, key_of
from histofactor.runs.sample_builder import LearnOptions, SampleBuilder
from histofactor.runs.source import NOTHING, Opening, Stated, file_sources
from histofactor.runs.study import (
    BANK,
    Study,
    at_level,
    keep_aside,
    open_study,
    origin,
    page_of,
    sample_of,
    study_lock,
    write_page,
    write_study,
)  # fmt: skip
from histofactor.runs.take_field import take_field
from histofactor.runs.task import Request
from histofactor.runs.thrift import Thrift
from histofactor.segmentation.field import choose_by
from histofactor.segmentation.setup import name_of

MOST_INPUTS = 128  # that concepts are learned from; of more, so many are drawn at random
_CHECKPOINT_S = 1.0  # between two savings of the sample, of a small one
_APART = 1.5  # µm/px of inputs by which concepts begin to mix magnifications
_DIGITS = 12  # of a hash that tells an input


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """How the concepts of a study come about.

    Attributes:
        opening: how inputs are opened.
        relearn: learn anew although there are some.
        thrift: how inputs are spared.
        known: what is said of inputs, by path.
        workers: who encodes.
        balance: what gives tokens alike, see ``LearnOptions``.
    """

    opening: Opening = field(default_factory=Opening)
    relearn: bool = False
    thrift: Thrift = field(default_factory=Thrift)
    known: Mapping[Input, Stated] = field(default_factory=dict)
    workers: Workers = field(default_factory=LocalWorkers)
    balance: str | None = None


@dataclass(frozen=True, slots=True)
class OwnConcepts:
    """Concepts of a study, ready to segment with.

    Attributes:
        request: with the concepts, and with the encoder where it was loaded to learn them.
        origin: where the concepts come from, as reports say it.
    """

    request: Request
    origin: str


def own_concepts(
    out: Path, inputs: Sequence[Input], request: Request, options: StudyOptions, reporter: Reporter
) -> OwnConcepts:
    """Take the concepts of a study, or learn them from its inputs where there are none.

    One process learns; others that share the folder wait for it, and take what it learned.

    Args:
        out: the output folder.
        inputs: what will be segmented.
        request: how; it names no concepts.
        options: how they come about.
        reporter: who is told.

    Raises:
        BankError, BankMismatch: the study's bank was changed by other hands or belongs to another encoder, or there is
            too little tissue for K concepts.
        ImageError: no input could be used, or none has tissue.
        OutputError: the folder cannot be written.
        HistofactorError: the encoder cannot be used, or an option is out of range, as told by ``prepare``.
    """
    while True:
        try:
            with _study_lock(out, reporter):
                path = out / BANK
                if path.exists() and not options.relearn:
                    return _kept(path, inputs, request, options, reporter)
                return _learned(path, inputs, request, options, reporter)
        except LeaseLost as error:
            reporter.on_note(f"{error.what}: it learns the concepts now")


@contextmanager
def _study_lock(out: Path, reporter: Reporter) -> Iterator[None]:
    """Hold the lease of the concepts, and say who is waited for."""
    with ExitStack() as stack:
        if not stack.enter_context(study_lock(out, blocking=False)):
            holder = look(out / CONCEPTS)
            who = "another process" if holder is None else f"process {holder.owner.pid} of {holder.owner.host}"
            reporter.on_note(f"{who} is at the concepts of {out}: waiting for it")
            reporter.on_stage(WAITING)
            stack.enter_context(study_lock(out))
        yield


def _kept(
    path: Path, inputs: Sequence[Input], request: Request, options: StudyOptions, reporter: Reporter
) -> OwnConcepts:
    """The concepts that are there, at the K that is asked for."""
    study = open_study(path)
    theirs = next(iter(study.file.banks.values())).encoder.name
    if (ours := name_of(request.encoder)) != theirs:
        raise BankMismatch(
            f"{path.parent} is a study of another encoder",
            expected=f"{theirs}, which its concepts were learned with",
            got=ours,
            mend=f"give --encoder {theirs}, choose another output folder, or learn anew with --relearn",
        )
    before, k = study.k, request.k or study.k
    if not study.learned:
        reporter.on_note(f"{path} was not learned here: its concepts are taken as they are, K = {k} of them")
    _tell_new(study.file, inputs, reporter)
    if options.balance is not None:
        reporter.on_note("the concepts were learned before, and --balance changes nothing; --relearn learns them anew")
    request = _at_mpp(request, next(iter(study.file.banks.values())).mpp, reporter)
    study = at_level(study, k, [str(k)])
    if k != before:
        reporter.on_note(
            f"{path.parent} goes from K = {before} to {k}: `histofactor relabel {path.parent}` brings all its slides "
            f"along"
        )
    if not page_of(path).exists():
        write_page(study, inputs, options.opening)
    return OwnConcepts(replace(request, concepts=study.file.banks[k], k=None), origin(study))


def _at_mpp(request: Request, learned_mpp: float | None, reporter: Reporter) -> Request:
    """The request at the µm/px that concepts were learned at, unless others are asked for, which is told."""
    encoder = request.encoder
    own = get(encoder.split(",")[0].strip()).mpp if isinstance(encoder, str) else encoder.spec.mpp  # joint: equal ones
    if request.mpp is None and learned_mpp not in {None, own}:
        return replace(request, mpp=learned_mpp)
    if request.mpp is not None and learned_mpp is not None and request.mpp != learned_mpp:
        reporter.on_note(
            f"concepts were learned at {learned_mpp:g} µm/px, and inputs are worked at {request.mpp:g}: leave "
            f"--mpp out, or learn anew with --relearn"
        )
    return request


def _learned(
    path: Path, inputs: Sequence[Input], request: Request, options: StudyOptions, reporter: Reporter
) -> OwnConcepts:
    """Concepts learned from the inputs, written down with their page."""
    seed, out = request.options.seed, path.parent
    check_folder(out / WORK / WINDOWS, inside=out)
    learning = LearnOptions(
        mpp=request.mpp,
        opening=options.opening,
        seed=seed,
        train=TrainOptions(kmeans=KMeansOptions(seed)),
        encoder=request.options,
        thrift=options.thrift,
        balance=options.balance,
        checkpoint_s=_CHECKPOINT_S,
        keep=out,
    )
    drawn = _drawn(inputs, seed, options, reporter)
    sources = file_sources(drawn, options.known, options.opening)
    quiet = _while_learning(reporter)
    work, workers = sample_of(path), options.workers
    builder = SampleBuilder(sources, request.encoder, learning, work=work, reporter=quiet, workers=workers)
    builder.gather()
    _tell_mpp(builder, reporter)
    reporter.on_stage("learning concepts")
    learned = learn(builder, lambda tokens: bearable_ks(tokens, request.k))
    shown = take_field(builder, drawn, learned.banks, reporter)
    learned_from = {"origin": f"learned from {counted(len(builder.used), 'input')}"}
    banks = [replace(bank, provenance={**bank.provenance, **learned_from}) for bank in learned.banks]
    card = {**learned.card, "given": [_digits(one) for one in inputs]}
    file = BankFile({len(bank.names): bank for bank in banks}, card)
    choice = learned.choice
    if choice is not None and shown is not None:
        choice = choose_by(shown, file.banks, choice)
        card["choice"] = stated(choice)
    bank = level_of(banks, None if choice is None else choice.recommended, request.k)
    k = len(bank.names)
    if path.exists():
        reporter.on_note(f"the concepts before are kept as {keep_aside(path)}")
    keep_field(shown, field_of(path))
    write_study(file, path, k, "learned")
    study = Study(path, file, k, learned=True)
    reporter.on_stage("writing the page of the concepts")
    write_page(study, inputs, options.opening)
    ks = ", ".join(map(str, file.banks))
    reporter.on_note(
        f"learned K = {ks} from {counted(len(builder.used), 'input')}, K = {k} is used: {path}, to look at: "
        f"{page_of(path)}"
    )
    for sentence in sentences(file, k, str(path.parent)):
        reporter.on_note(sentence)
    request = replace(request, encoder=builder.setup.encoder, concepts=bank, k=None)
    return OwnConcepts(request, origin(study))


def _drawn(inputs: Sequence[Input], seed: int, options: StudyOptions, reporter: Reporter) -> list[Input]:
    """The inputs that concepts are learned from, in their order: as many of every group, unless slides are balanced."""
    if len(inputs) <= MOST_INPUTS:
        return list(inputs)
    known = {} if options.balance == "slide" else options.known
    digests = {path: hashlib.sha256(f"{seed} {key_of(path)}".encode()).digest() for path in inputs}
    by_group: dict[str | None, list[Input]] = {}
    for path in sorted(inputs, key=digests.__getitem__):
        by_group.setdefault(known.get(path, NOTHING).group, []).append(path)
    evenly = f", evenly from {len(by_group)} groups" if len(by_group) > 1 else ""
    reporter.on_note(f"concepts are learned from {MOST_INPUTS} of {len(inputs)} inputs, drawn at random{evenly}")
    ranked = [(rank, digests[path], path) for paths in by_group.values() for rank, path in enumerate(paths)]
    chosen = {path for *_, path in sorted(ranked, key=lambda one: one[:2])[:MOST_INPUTS]}
    return [path for path in inputs if path in chosen]


def _while_learning(reporter: Reporter) -> Reporter:
    """Tells of inputs that are learned from, none of which is done by that."""

    def on_outcome(outcome: Outcome) -> None:
        if outcome.error:
            reporter.on_note(f"left out of the sample: {outcome.input}: {outcome.error}")

    return replace(
        reporter,
        on_input=lambda name, index, total: reporter.on_input(f"{name}, to learn from", index, total),
        on_outcome=on_outcome,
    )


def _tell_new(file: BankFile, inputs: Sequence[Input], reporter: Reporter) -> None:
    """Say which inputs the concepts were not learned for."""
    given = file.card.get("given")
    known = set(given) if isinstance(given, list) else set()
    if known and (new := sum(_digits(one) not in known for one in inputs)):
        reporter.on_note(
            f"{new} of {counted(len(inputs), 'input')} {'is' if new == 1 else 'are'} new to the study, and projected "
            f"on the concepts that were learned before; --relearn learns anew from all"
        )


def _tell_mpp(builder: SampleBuilder, reporter: Reporter) -> None:
    """Say that inputs lie at very different resolutions."""
    found = [known["mpp"] for known in builder.slides.values() if known["mpp"] is not None]
    if found and max(found) > _APART * min(found):
        reporter.on_note(
            f"inputs are worked at {min(found):.3g} to {max(found):.3g} µm/px, and concepts mix what is seen at these: "
            f"--mpp {max(found):.3g} brings all to one"
        )


def _digits(path: Input) -> str:
    return key_of(path)[:_DIGITS]
