"""What classes of tissue are called in sentences: prompts of a CSV file, or of one of the sets that ship with us.

A row tells a ``class``, which becomes the name of a concept, and either a ``synonym``, which is put into every
template, or a ``prompt``, which is a whole sentence; a class that has neither is its own synonym. Cells of a column
``template`` are sentences with ``{}`` in them, in place of ``TEMPLATES``.

``OTHERS`` are words for what is on no slide, or on few. In the same templates they tell how near to a concept a text
comes that has nothing to do with it. Those that share a word with a class are left out, and a column ``other`` has
others in their place.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from histofactor.base.text import counted, csv_plain
from histofactor.concepts.bank.csv_rows import Row, read_rows
from histofactor.concepts.bank.record import check_name
from histofactor.errors import OptionError

SETS = ("general", "colon", "oral", "breast", "skin", "lung", "kidney")  # of ours, each in prompt_sets/NAME.csv
TEMPLATES = (
    "an H&E image of {}.",
    "a histology section that shows {}.",
    "{}, stained with hematoxylin and eosin.",
    "a microscope field of {}.",
)
OTHERS = (
    *("a leaf", "a plant root", "pollen grains", "green algae", "diatoms", "a mushroom", "yeast colonies", "bacteria"),
    *("an insect wing", "fish scales", "a feather", "human hair", "a tooth", "the retina", "the cerebellum", "an egg"),
    *("salt crystals", "a mineral", "cotton fabric", "wood grain", "rusty metal", "cracked paint", "a raindrop"),
    *("a bicycle", "a city street", "a page of text", "a human face", "a cloudy sky", "a dog", "a cup of coffee"),
    *("a wooden chair", "a map"),
)
_COLUMNS = ("class", "synonym", "prompt", "template", "other")
_FEWEST, _SENTENCES = 8, 4  # words of others, and templates that each is put into
_TELLING = 4  # letters of a word that may say what a class is; "a", "the" and "of" do not
_HOLE = "{}"
_LONGEST = 1000  # characters of a cell
_MOST = 10_000  # prompts of all classes together


@dataclass(frozen=True, slots=True)
class Prompts:
    """Classes and what is asked of a model for each.

    Attributes:
        name: of the set or the file.
        classes: names, at least two.
        texts: all prompts, those of one class together.
        owners: the class of each, 0-based.
        notes: what will tell classes apart badly, a sentence each.
        others: sentences of words that name none of the classes, those of each word together.
    """

    name: str
    classes: tuple[str, ...]
    texts: tuple[str, ...]
    owners: tuple[int, ...]
    notes: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()

    @property
    def sha256(self) -> str:
        """What tells these prompts from any others."""
        content = json.dumps([self.classes, self.texts, self.owners, self.others])
        return hashlib.sha256(content.encode()).hexdigest()


def read_prompts(source: str) -> Prompts:
    """Read the prompts of a set or a file.

    Args:
        source: one of ``SETS``, or the path of a CSV file in UTF-8, separated by commas or semicolons.

    Raises:
        OptionError: there is no such set or file, it cannot be read, names fewer than two classes or no name of a
            concept, has a template without a place for the word, two classes with the same prompts, or too few others.
    """
    if source in SETS:
        shipped = resources.files("histofactor.concepts").joinpath("prompt_sets", f"{source}.csv")
        with resources.as_file(shipped) as path:
            return _read(source, path)
    path = Path(source)
    if not path.is_file():
        expected = f"a CSV file, or one of {', '.join(SETS)}"
        raise OptionError(f"there are no prompts {source}", expected=expected, got="neither")
    return _read(path.name, path)


def _read(name: str, path: Path) -> Prompts:
    told = "class, and if you like synonym, prompt, template and other"
    rows = [
        (line, {column: csv_plain(cell.strip()) for column, cell in row.items()})
        for line, row in read_rows(path, ("class",), told)
    ]
    for line, row in rows:
        _check(row, f"{path}, line {line}")
    templates = [row["template"] for _, row in rows if row.get("template")] or TEMPLATES
    found: dict[str, dict[str, int]] = {}  # by class its prompts, each once, and the line it comes from first
    classes = [(line, row) for line, row in rows if row["class"]]
    if (most := sum(bool(row.get("prompt")) + _has_word(row) * len(templates) for _, row in classes)) > _MOST:
        expected = f"{_MOST:,} at most: a synonym makes one for each template"
        raise OptionError(f"{path} has too many prompts", expected=expected, got=f"{most:,}")
    for line, row in classes:
        prompts = found.setdefault(row["class"], {})
        if row.get("prompt"):
            prompts.setdefault(row["prompt"], line)
        if _has_word(row):
            word = row.get("synonym") or row["class"]
            for template in templates:
                prompts.setdefault(template.replace(_HOLE, word), line)
    if len(found) < 2:
        got = ", ".join(found) or "none"
        raise OptionError(f"{path} leaves nothing to choose from", expected="at least two classes", got=got)
    notes = (*_told_of_unread(path, rows[0][1]), *_told_of_shared(path, found))
    texts = tuple(text for prompts in found.values() for text in prompts)
    owners = tuple(place for place, prompts in enumerate(found.values()) for _ in prompts)
    others = _others(path, [row["other"] for _, row in rows if row.get("other")], [*found, *texts])
    sentences = tuple(tuple(one.replace(_HOLE, word) for one in templates[:_SENTENCES]) for word in others)
    return Prompts(name, tuple(found), texts, owners, notes, sentences)


def _others(path: Path, given: Sequence[str], told: Sequence[str]) -> list[str]:
    """The words that name none of the classes: those that are given, or ours that share no word with what is told."""
    if 0 < len({*given}) < _FEWEST:
        expected = f"{_FEWEST} of them at least, or none, which takes {len(OTHERS)} of ours"
        raise OptionError(f"{path} has too few words in the column other", expected=expected, got=f"{len({*given})}")
    taken = {word for text in told for word in re.findall(r"\w+", text.casefold()) if len(word) >= _TELLING}
    return [*dict.fromkeys(given)] or [one for one in OTHERS if not taken & {*one.split()}]


def _has_word(row: Row) -> bool:
    """Whether a row has a word for the templates: a class that has nothing else is its own."""
    return bool(row.get("synonym")) or not row.get("prompt")


def _told_of_unread(path: Path, row: Row) -> tuple[str, ...]:
    """What is to be told of columns that mean nothing here, which may be misspelt."""
    unread = ", ".join(column for column in row if column and column not in _COLUMNS)
    return (f"columns of {path.name} that are not read: {unread}",) if unread else ()


def _told_of_shared(path: Path, found: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """What is to be told of prompts that several classes have; raises OptionError where two have no others.

    Spaces and capitals tell no prompts apart: tokenizers of such models drop them.
    """
    alike = {called: {" ".join(text.casefold().split()): text for text in texts} for called, texts in found.items()}
    first_with: dict[frozenset[str], str] = {}
    owners: dict[str, list[str]] = {}
    for called, texts in alike.items():
        if (other := first_with.setdefault(frozenset(texts), called)) != called:
            raise OptionError(
                f"{path}: two classes have the same prompts, so that no patch could ever tell them apart",
                expected="for every class at least one prompt that no other has",
                got=_both(found, alike, other, called, next(iter(texts))),
                mend="give one of them other words, or make them one class",
            )
        for plain in texts:
            owners.setdefault(plain, []).append(called)
    shared = {plain: classes for plain, classes in owners.items() if len(classes) > 1}
    if not shared:
        return ()
    plain, (one, other, *_) = next(iter(shared.items()))
    are, such = ("is", "") if len(shared) == 1 else ("are", "such as ")
    what = f"{counted(len(shared), 'prompt')} of {path.name} {are} of several classes, which it tells less well apart"
    return (f"{what}: {such}{_both(found, alike, one, other, plain)}",)


def _both(
    found: Mapping[str, Mapping[str, int]], alike: Mapping[str, Mapping[str, str]], one: str, other: str, plain: str
) -> str:
    """Two classes that have a prompt, with the line that each has it from, and the prompt."""
    places = (f"{called!r} (line {found[called][alike[called][plain]]})" for called in (one, other))
    return f"{' and '.join(places)} with {alike[one][plain]!r:.200}"


def _check(row: Row, where: str) -> None:
    """Raise OptionError where a row makes no sense."""
    if row["class"]:
        try:
            check_name(row["class"])
        except OptionError as error:
            raise OptionError(
                f"{where}: {error.what}", expected=error.expected, got=error.got, mend=error.mend
            ) from error
    elif row.get("synonym") or row.get("prompt"):
        raise OptionError(f"{where}: the class is empty", expected="the class of the synonym or the prompt")
    if row.get("template") and row["template"].count(_HOLE) != 1:
        expected, got = "a sentence with {} once, where the word stands", row["template"][:80]
        raise OptionError(f"{where}: the template has no place for the word", expected=expected, got=got)
    if (longest := max(map(len, row.values()))) > _LONGEST:
        expected = f"{_LONGEST:,} characters at most"
        raise OptionError(f"{where}: a cell is too long", expected=expected, got=f"{longest:,}")
