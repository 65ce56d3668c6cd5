"""Banks and studies changed in place: under their lock, told in their journal, with what the kept sample tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histofactor.concepts.bank.edit import level_of, merge, rename
from histofactor.concepts.bank.exclude import exclude, include
from histofactor.concepts.bank.file import BankFile, bank_bytes, write_bank_file
from histofactor.concepts.bank.following import following_of
from histofactor.concepts.bank.groups import Merge
from histofactor.concepts.bank.one_name import joined
from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.split import Splitting, split
from histofactor.errors import OptionError
from histofactor.records import Color
from histofactor.runs.history import forget
from histofactor.runs.kept_sample import check_explained, is_spherical, learned_tokens, told_by
from histofactor.runs.study import (
    find_bank,
    keep_aside,
    open_study,
    read_journal,
    sample_of,
    study_lock,
    write_study,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a bank.

    Attributes:
        file: all that it holds now.
        k: the level that was made, or changed.
        did: what was done, as the journal tells it.
        moved: K of levels that have another K now.
        notes: what was not done everywhere, one sentence each.
    """

    file: BankFile
    k: int
    did: str
    moved: Mapping[int, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """What was written.

    Attributes:
        path: of the bank.
        change: what became of it.
        k: the level that slides are segmented with from now on; None for a bank that belongs to no study.
        noted: whether a journal tells of it, which a bank that was not learned here has none of.
        written: whether anything was: a bank that is already as it was to become stays, and so does its journal.
    """

    path: Path
    change: Change
    k: int | None
    noted: bool = False
    written: bool = True


def edit(
    target: Path,
    k: int | None,
    change: Callable[[Path, BankFile, int], Change],
    *,
    out: Path | None = None,
    arguments: Sequence[str] = (),
) -> Edited:
    """Change a bank, or that of a study, under its lock.

    Args:
        target: a bank, or the output folder of a study.
        k: the level to change; None takes the only one of a bank, or that which a study is segmented with.
        change: from path, content and K of the bank to what becomes of it.
        out: another file to write, which then belongs to no study; None writes the bank itself.
        arguments: what the journal says it was called with.

    Raises:
        OptionError: the folder is no study, the bank has several K or lacks this one, or a level would take the place
            of another one of a bank; that of a study is kept beside it.
        BankError: it is no bank, or that of a study was changed by something else.
        OutputError: it cannot be written.
    """
    path = find_bank(target)
    if not target.is_dir() and not read_journal(path):
        file = open_study(path).file
        level = which_k(file, k)
        made = change(path, file, level)
        _check_free(path, file, level, made, out)
        if out is None and _is_as(made.file, file):
            return Edited(path, made, None, written=False)
        write_bank_file(made.file, out or path)
        return Edited(out or path, made, None)
    with study_lock(path.parent):
        study = open_study(path)
        level = which_k(study.file, study.k if k is None else k)
        made = change(path, study.file, level)
        if out is not None:
            write_bank_file(made.file, out)
            return Edited(out, made, None)
        now = made.k if made.k != level else made.moved.get(study.k, study.k)
        if now == study.k and _is_as(made.file, study.file):
            return Edited(path, made, now, study.learned, written=False)
        if made.k != level and made.k in study.file.banks:
            aside = keep_aside(path)
            note = f"it takes the place of the K = {made.k} that there was; the concepts before are kept as {aside}"
            made = replace(made, notes=(*made.notes, note))
        write_study(made.file, path, now, made.did, arguments)
        forget(path)
    return Edited(path, made, now, study.learned)


def _is_as(file: BankFile, before: BankFile) -> bool:
    """Whether a bank would be written as it is."""
    return bank_bytes(file) == bank_bytes(before)


def which_k(file: BankFile, k: int | None) -> int:
    """The K that is meant; raises OptionError where it is not told or not there."""
    if k is None and len(file.banks) > 1:
        raise OptionError("the bank has several K", mend=f"choose one with -k: {', '.join(map(str, file.banks))}")
    k = next(iter(file.banks)) if k is None else k
    if k not in file.banks:
        raise OptionError(f"the bank has no K = {k}", expected=f"one of {', '.join(map(str, file.banks))}")
    return k


def _check_free(path: Path, file: BankFile, k: int, made: Change, out: Path | None) -> None:
    """A level of a bank that is there is replaced in another file only."""
    if out is None and made.k != k and made.k in file.banks:
        mend = "write to another file with -o; the level of that K is replaced there"
        raise OptionError(f"{path} has a level of K = {made.k} already", mend=mend)


def named(names: Mapping[int, str], colors: Mapping[int, Color]) -> Callable[[Path, BankFile, int], Change]:
    """The change that gives concepts other names and colours, see ``concepts.bank.edit.rename``."""
    return lambda path, file, k: Change(rename(file, k, names, colors), k, "named", {})


def merged(merges: Sequence[Merge]) -> Callable[[Path, BankFile, int], Change]:
    """The change that puts concepts together, and with them those that bear the name already, see ``bank.one_name``."""

    def change(path: Path, file: BankFile, k: int) -> Change:
        all_of = joined(level_of(file, k).names, merges)
        coarser = k - sum(len(labels) - 1 for labels, _ in all_of)
        return Change(merge(file, k, all_of), coarser, "merged", {})

    return change


def parted(wanted: Splitting) -> Callable[[Path, BankFile, int], Change]:
    """The change that clusters the tokens of one concept again, see ``concepts.learn.split.split``."""

    def change(path: Path, file: BankFile, k: int) -> Change:
        learned = learned_tokens(path, file)
        check_explained(path, file, k, learned)
        how = KMeansOptions(spherical=is_spherical(file))
        made = split(file, k, wanted, learned.tokens, how)
        finer = k + wanted.into - 1
        return Change(told_by(made, finer, learned), finer, "split", {})

    return change


def of_one_group(*, back: bool = False, name: str | None = None) -> Callable[[Path, BankFile, int], Change]:
    """The change that does so with those that follow one group of slides, see ``concepts.bank.following``."""

    def change(path: Path, file: BankFile, k: int) -> Change:
        found = following_of(level_of(file, k))
        labels = [] if found is None else [label for label, follows in enumerate(found.follows, 1) if follows]
        if not labels:
            raise OptionError(
                f"no concept of K = {k} is known to follow one group of slides",
                expected="concepts that were learned with groups, some of which do",
                mend="name the labels, or see: histofactor concepts show",
            )
        return artefacts(labels, back=back, name=name)(path, file, k)

    return change


def artefacts(
    labels: Sequence[int], *, back: bool = False, name: str | None = None
) -> Callable[[Path, BankFile, int], Change]:
    """The change that marks concepts as artefacts, or takes that back, see ``concepts.bank.exclude``."""

    def change(path: Path, file: BankFile, k: int) -> Change:
        if name is not None:
            file = rename(file, k, dict.fromkeys(labels, name))
        made = (include if back else exclude)(file, k, labels)
        file, did = made.file, "included" if back else "excluded"
        if made.grown and sample_of(path).exists():
            learned = learned_tokens(path, file)
            for level in made.grown.values():
                file = told_by(file, level, learned)
        return Change(file, k, did, made.grown, made.notes)

    return change
