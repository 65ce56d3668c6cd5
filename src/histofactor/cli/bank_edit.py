"""``histofactor concepts name|merge|split|exclude``: the concepts of a bank, or of a study, kept in order."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.base.text import counted
from histofactor.cli.options import labels_and_name, names_by_label, say
from histofactor.cli.suggest import SuggestChoice, suggest, suggest_options, take
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.concepts.bank.file import BankFile
    from histofactor.runs.edit_study import Change, Edited

_Target = Annotated[Path, typer.Argument(metavar="OUT|BANK", help="An output folder with concepts, or a bank.")]
_K = Annotated[
    int | None, typer.Option("-k", help="Which K; default that of the study, and needed where a bank has several.")
]
_Out = Annotated[Path | None, typer.Option("-o", "--out", help="Bank to write; default the one given.")]


@suggest_options
def name(
    target: _Target,
    names: Annotated[list[str] | None, typer.Argument(metavar="[LABEL=NAME...]", help="For example 3=stroma.")] = None,
    k: _K = None,
    table: Annotated[Path | None, typer.Option(help="CSV with label, name and perhaps color (#rrggbb).")] = None,
    out: _Out = None,
    *,
    by: SuggestChoice,
) -> None:
    """Name concepts, once for all slides; a phenotypes.csv that was edited serves as the table.

    Several may have one name: they keep their labels, and are shown in one colour and summed together.

    With --suggest names are suggested and none is given: a vision-language model compares typical patches of every
    concept with the prompts, on this machine, and the best three names are written beside the bank, or that it is
    unsure. --accept LABEL... gives the best suggested name to these concepts, --accept all to all that have none yet.
    """
    from histofactor.concepts.bank.edit import level_of
    from histofactor.concepts.bank.name_table import Naming, read_names
    from histofactor.runs.edit_study import edit, named

    by.check(given=bool(names) or table is not None or out is not None)
    if by.suggest is not None:
        suggest(target, k, by)
        return
    naming = read_names(table) if table is not None else Naming()
    labels, texts = by.labels(names or ())
    new = {**naming.names, **names_by_label(texts, "LABEL=NAME", "a name is for one label, once")}
    if not new and not naming.colors and by.accept is None:
        raise OptionError("nothing to name", mend="give LABEL=NAME, --table, or --accept of suggested names")
    names_before: dict[int, tuple[str, ...]] = {}

    def change(path: Path, file: BankFile, level: int) -> Change:
        if by.accept is not None:
            new.update(take(path, file, level, labels, new))
        names_before[level] = level_of(file, level).names
        return named(new, naming.colors)(path, file, level)

    made = edit(target, k, change, out=out, arguments=sys.argv[1:])
    if not made.written:
        say(f"nothing changed, nothing written: {made.path} has these names at K = {made.change.k}")
        return
    say(f"wrote {made.path}: {counted(len(new), 'name')} at K = {made.change.k}")
    for label, called in sorted(new.items()):
        if (before := names_before[made.change.k][label - 1]) != called:
            say(f"  {label}, which was {before}, is {called}")
    _tell_next(target, made)


def merge(
    target: _Target,
    merges: Annotated[list[str], typer.Argument(metavar="LABEL+LABEL=NAME...", help="For example 1+4=tumour.")],
    k: _K = None,
    out: _Out = None,
) -> None:
    """Put concepts together: adds a coarser level in which they are one, which a study is segmented with from then on.

    Concepts that bear the name already are part of it. Where a bank has a level of that K already, it is replaced in
    another file only (-o); a study keeps the concepts before beside the new ones.
    """
    from histofactor.runs.edit_study import edit, merged

    wanted = [labels_and_name(text, "LABEL+LABEL=NAME", "1+4=tumour") for text in merges]
    made = edit(target, k, merged(wanted), out=out, arguments=sys.argv[1:])
    _tell_level(made, "merged")
    _tell_next(target, made)


def split(
    target: _Target,
    label: Annotated[int, typer.Argument(metavar="LABEL", help="The concept.")],
    into: Annotated[int, typer.Option("--into", min=2, help="Number of parts.")],
    k: _K = None,
    called: Annotated[str | None, typer.Option("--name", help="What parts are called, with a letter each.")] = None,
    out: _Out = None,
) -> None:
    """Cluster the tokens of one concept again: adds a finer level, which a study is segmented with from then on.

    Needs the sample that the concepts were learned from, which a study keeps; `concepts train` does with --keep-sample.
    """
    from histofactor.concepts.learn.split import Splitting
    from histofactor.runs.edit_study import edit, parted

    made = edit(target, k, parted(Splitting(label, into, called)), out=out, arguments=sys.argv[1:])
    _tell_level(made, "split")
    bank = made.change.file.banks[made.change.k]
    counts = bank.provenance["counts"]
    for part in range(label, label + into):
        say(f"  {part} {bank.names[part - 1]}: {counted(counts[part - 1], 'token')} of the sample")
    _tell_next(target, made)


def exclude(  # noqa: PLR0913 - one parameter an option
    target: _Target,
    labels: Annotated[list[int] | None, typer.Argument(metavar="LABEL...", help="Artefacts, such as pen.")] = None,
    *,
    k: _K = None,
    called: Annotated[str | None, typer.Option("--name", help="What they are called.")] = None,
    include: Annotated[bool, typer.Option("--include", help="The way back: they are tissue after all.")] = False,
    one_group: Annotated[
        bool, typer.Option("--one-group", help="Those that follow one group of slides, see `concepts show`.")
    ] = False,
    out: _Out = None,
) -> None:
    """Mark concepts as artefacts, at every K: they keep their label and count in no share.

    Where an artefact is part of a concept at another K, it becomes a concept of its own there, and that K grows by one.
    """
    from histofactor.runs.edit_study import artefacts, edit, of_one_group

    if bool(labels) == one_group:
        raise OptionError(
            "which concepts?", expected="their labels, or --one-group", got="both" if labels else "neither"
        )
    change = of_one_group if one_group else functools.partial(artefacts, labels or [])
    made = edit(target, k, change(back=include, name=called), out=out, arguments=sys.argv[1:])
    bank = made.change.file.banks[made.change.k]
    listed = ", ".join(bank.names[concept] for concept in bank.excluded) or "none"
    if not made.written:
        say(f"nothing changed, nothing written: excluded at K = {made.change.k} of {made.path} already: {listed}")
        return
    say(f"wrote {made.path}: excluded at K = {made.change.k}: {listed}")
    for before, now in sorted(made.change.moved.items()):
        say(f"K = {before} is K = {now} now: the artefact was part of a concept there")
    _tell_next(target, made)


def _tell_level(made: Edited, what: str) -> None:
    """The levels that there are now, and which is new."""
    levels = ", ".join(map(str, made.change.file.banks))
    begin = "wrote" if made.written else "nothing changed, nothing written:"
    say(f"{begin} {made.path}: K = {levels}; the {what} level is K = {made.change.k}")


def _tell_next(target: Path, made: Edited) -> None:
    """What was done otherwise, and how the slides of a study come up to date."""
    for note in made.change.notes:
        say(note, err=True)
    if made.k is not None:
        folder = target if target.is_dir() else target.parent
        level = "" if made.noted else f" -k {made.k}"
        say(f"slides are segmented with K = {made.k}; now: histofactor relabel {folder}{level}")
