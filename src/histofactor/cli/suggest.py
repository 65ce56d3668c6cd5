"""Options of ``histofactor concepts name`` on suggested names, and what they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histofactor.base.text import counted
from histofactor.cli.options import named_input, numbers, say, taking
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.concepts.bank.file import BankFile
    from histofactor.runs.suggest import Found

_ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestChoice:
    """What is suggested by whom, and what is taken of it, as the options say it."""

    suggest: Annotated[
        str | None,
        typer.Option(
            metavar="PROMPTS.csv|SET",
            help="Suggest names: a CSV of classes, or general, colon, oral, breast, skin, lung, kidney.",
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option("--with", metavar="keep|FOLDER", help="Vision-language model that suggests; default keep."),
    ] = None
    slides: Annotated[
        list[Any] | None,  # ``Input``
        typer.Option(
            metavar="INPUT",
            parser=named_input,
            help="Slides of the concepts, or their folder; default those of the study.",
        ),
    ] = None
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps; default auto.")] = None
    accept: Annotated[
        str | None, typer.Option(metavar="LABEL...|all", help="Take the best suggested name of these concepts.")
    ] = None

    def check(self, *, given: bool) -> None:
        """Raise OptionError where options make no sense together.

        Args:
            given: whether names, a table or another file are given.
        """
        if self.suggest is not None and (given or self.accept is not None):
            raise OptionError(
                "names are suggested, or given",
                expected="--suggest alone",
                got="--suggest with names, --table, --out or --accept",
                mend="suggest first, look, and then take some with --accept",
            )
        if self.suggest is None and (self.model or self.slides or self.device):
            raise OptionError("--with, --slides and --device are for --suggest", mend="name the prompts with --suggest")

    def labels(self, given: Sequence[str]) -> tuple[list[int] | None, list[str]]:
        """The labels whose suggestions are taken (None for all that have no name), and what else is given.

        Raises:
            OptionError: they cannot be read.
        """
        if self.accept is None:
            return [], list(given)
        more = [text for text in given if "=" not in text]
        texts = [text for text in given if "=" in text]
        if self.accept == _ALL and not more:
            return None, texts
        return numbers(",".join([self.accept, *more]), "--accept"), texts


suggest_options = taking(SuggestChoice, "by")


def suggest(target: Path, k: int | None, by: SuggestChoice) -> None:
    """Suggest names for the concepts of one level, and say which."""
    from histofactor.concepts.prompts import read_prompts
    from histofactor.encoders.pair_source import load_pair
    from histofactor.runs.suggest import suggest_names
    from histofactor.slides.inputs import find_inputs

    prompts = read_prompts(by.suggest or "")
    for sentence in prompts.notes:
        say(f"note: {sentence}", err=True)
    slides = find_inputs(by.slides) if by.slides else []
    found = suggest_names(target, k, load_pair(by.model or "keep", by.device or "auto"), prompts, slides=slides)
    for sentence in found.missing:
        say(f"no patches: {sentence}", err=True)
    _tell(target, k, found)


def take(path: Path, file: BankFile, k: int, labels: Sequence[int] | None, given: Mapping[int, str]) -> dict[int, str]:
    """The names that are taken of suggestions, but for labels that are given one; says which are not."""
    from histofactor.runs.suggest import accepted

    taken = accepted(path, file, k, labels)
    for sentence in taken.left:
        say(f"not taken: {sentence}", err=True)
    return {label: called for label, called in taken.names.items() if label not in given}


def _tell(target: Path, k: int | None, found: Found) -> None:
    """What was suggested, and how it is taken."""
    from histofactor.concepts.bank.suggested import suggested_path

    names = found.file.banks[found.k].names
    sure = [label for label, one in found.by_label.items() if not one.suggestion.unsure]
    one = next(iter(found.by_label.values()))
    say(
        f"wrote {suggested_path(found.bank)}: {counted(len(found.by_label), 'suggestion')} at K = {found.k}, "
        f"{len(sure)} of them sure, by {one.model} with the prompts {one.prompts}"
    )
    for label, called in enumerate(names, 1):
        if label not in found.by_label:
            say(f"  {label} {called}: no patches, so nothing is suggested")
            continue
        suggestion = found.by_label[label].suggestion
        others = ", ".join(f"{other.name} {other.share:.2f}" for other in suggestion.best)
        say(f"  {label} {called}: {suggestion}; {suggestion.votes} of {suggestion.patches} patches; {others}")
    if sure:
        level = "" if k is None else f" -k {k}"
        listed = " ".join(map(str, sure))
        say(f"look at them and take those that are right: histofactor concepts name {target}{level} --accept {listed}")
