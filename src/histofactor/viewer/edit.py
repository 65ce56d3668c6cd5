"""What the page asks to be changed of the concepts of a study, read with care and done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.record import MAX_NAME, is_a
from histofactor.errors import OptionError
from histofactor.runs.edit_study import Change, artefacts, edit, merged, named
from histofactor.runs.history import step
from histofactor.runs.study import digest_of
from histofactor.viewer.said import HERE, said
from histofactor.viewer.study import StudyView


class Outdated(OptionError):
    """The page showed other concepts than there are now."""


def change(view: StudyView, wanted: Mapping[str, Any]) -> list[str]:
    """Do what the page asks for: ``name``, ``merge``, ``exclude``, ``include``, ``undo`` or ``redo``.

    Args:
        view: the study.
        wanted: ``do``, ``version`` of the concepts that the page shows, and by what is done ``labels`` (or one
            ``label``), 1 … K, ``name``, ``color``.

    Returns:
        What is to be told: what was taken back, what was not done everywhere, one sentence each.

    Raises:
        OptionError: it is not understood, cannot be done, or (``Outdated``) the concepts were changed since.
        BankError, OutputError: as ``runs.edit_study.edit``.
    """
    bank = view.bank
    if bank is None:
        raise OptionError("the study has no concepts of its own")
    if wanted.get("version") != digest_of(bank):
        raise Outdated("the concepts were changed by something else since this page read them", mend="look again")
    do = str(wanted.get("do"))
    if do in {"undo", "redo"}:
        taken = step(bank, back=do == "undo")
        return [f"{'Undone' if do == 'undo' else 'Done again'}: {said(taken)}"]
    made = _changes(wanted).get(do)
    if made is None:
        raise OptionError("what is to be done is not known", got=f"{do:.40}")
    what, arguments = made()
    return list(edit(bank, None, what, arguments=(HERE, *arguments)).change.notes)


_Do = Callable[[Path, BankFile, int], Change]


def _changes(wanted: Mapping[str, Any]) -> dict[str, Callable[[], tuple[_Do, tuple[str, ...]]]]:
    """What can be done, each with what the journal says of it."""

    def name() -> tuple[_Do, tuple[str, ...]]:
        labels = _labels(wanted["labels"]) if "labels" in wanted else (_label(wanted.get("label")),)
        names = dict.fromkeys(labels, _name(wanted["name"])) if "name" in wanted else {}
        colors = dict.fromkeys(labels, _color(wanted["color"])) if "color" in wanted else {}
        if not names and not colors:
            raise OptionError("nothing to name")
        told = (
            *(f"{label}={one}" for label, one in names.items()),
            *(f"{label}=#{bytes(one).hex()}" for label, one in colors.items()),
        )
        return named(names, colors), told

    def merge() -> tuple[_Do, tuple[str, ...]]:
        labels, called = _labels(wanted.get("labels")), _name(wanted.get("name"))
        return merged([(labels, called)]), (f"{'+'.join(map(str, labels))}={called}",)

    def exclude(*, back: bool) -> tuple[_Do, tuple[str, ...]]:
        labels = _labels(wanted.get("labels"))
        return artefacts(labels, back=back), tuple(map(str, labels))

    return {
        "name": name,
        "merge": merge,
        "exclude": lambda: exclude(back=False),
        "include": lambda: exclude(back=True),
    }


def _label(value: Any) -> int:
    if not is_a(int, value) or not 1 <= value < 2**16:
        raise OptionError("a label is a number from 1 on", got=f"{value!r:.40}")
    return int(value)


def _labels(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) < 2**16:
        raise OptionError("labels are a list of numbers", got=f"{value!r:.40}")
    return tuple(sorted(_label(one) for one in value))


def _name(value: Any) -> str:
    """A name, which is text on one line; ``concepts.bank.record.check_name`` says what else it must be."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        expected = f"text of 1 to {MAX_NAME} characters"
        raise OptionError("this is no name", expected=expected, got=f"{value!r:.60}")
    return value.strip()


def _color(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3 or not all(is_a(int, one) and 0 <= one <= 255 for one in value):
        raise OptionError("a colour is three numbers from 0 to 255", got=f"{value!r:.40}")
    return value[0], value[1], value[2]
