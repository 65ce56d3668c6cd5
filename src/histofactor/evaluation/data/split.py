"""A fixed split: labels become classes on some images and are scored on others, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histofactor.base.text import counted
from histofactor.errors import OptionError
from histofactor.evaluation.data.datasets import Dataset, check_bytes


@dataclass(frozen=True, slots=True)
class Split:
    """Names of images (stems) or of patients, who stand for all their images.

    Attributes:
        train: what the map from labels to classes is fitted on.
        test: what is scored.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]


def read_split(train: str | Path, test: str | Path) -> Split:
    """Read a split from two text files in UTF-8, one name a line; empty lines and lines that start with # do not count.

    Raises:
        OptionError: a file cannot be read, or names nothing.
    """
    return Split(_read_names(Path(train)), _read_names(Path(test)))


def divide(dataset: Dataset, split: Split) -> tuple[Dataset, NDArray[np.bool_]]:
    """Leave out the images that are in neither part, and tell which of the others are scored.

    Args:
        dataset: all images.
        split: two parts, each of one image at least.

    Returns:
        The data set without the images that are left out, and for each that stays (images,) whether it is scored
        (True) or fitted on (False).

    Raises:
        OptionError: a name is unknown or means two things, a part is empty, or an image is in both.
    """
    train, test = (_stems(dataset, names, part) for names, part in ((split.train, "train"), (split.test, "test")))
    if both := train & test:
        raise OptionError(
            "images are in both parts of the split", expected="every image in one part at most", got=_some(both)
        )
    items = tuple(item for item in dataset.items if item.stem in train | test)
    return replace(dataset, items=items), np.array([item.stem in test for item in items])


def describe(dataset: Dataset, scored: NDArray[np.bool_]) -> str:
    """The protocol in words, for the report; patients in both parts, if any, are counted."""
    train, test = ({item.patient for item, is_scored in zip(dataset.items, scored, strict=True) if is_scored == part}
                   for part in (False, True))  # fmt: skip
    fitted = int((~scored).sum())
    text = (
        f"every label takes the class that most of its px have in {counted(fitted, 'image')} of "
        f"{counted(len(train), 'patient')}; "
        f"scored is the result on {counted(int(scored.sum()), 'other image')} of {counted(len(test), 'patient')}"
    )
    return text + (f"; in both parts: {counted(len(train & test), 'patient')}" if train & test else "")


def _stems(dataset: Dataset, names: Sequence[str], part: str) -> set[str]:
    """Stems of the images that one part names."""
    known = {item.stem: {item.stem} for item in dataset.items}
    patients: dict[str, set[str]] = {}
    for item in dataset.items:
        patients.setdefault(item.patient, set()).add(item.stem)
    if unknown := [name for name in names if name not in known and name not in patients]:
        raise OptionError(
            f"the {part} split names what the data set does not have",
            expected=f"stems of images or patients, such as {_some([*known, *patients], 4)}",
            got=_some(unknown),
        )
    if double := [name for name in names if known.get(name, patients.get(name)) != patients.get(name, known.get(name))]:
        raise OptionError(
            f"the {part} split holds names of an image that are names of a patient with other images too",
            expected="names that mean one thing",
            got=_some(double),
            mend="name the images of these patients one by one, or rename the patients in images.csv",
        )
    if not names:
        raise OptionError(f"the {part} split names nothing", expected="at least one image or patient")
    return set().union(*(patients.get(name) or known[name] for name in names))


def _read_names(path: Path) -> tuple[str, ...]:
    expected = "a text file with the stem of an image or a patient on every line"
    try:
        check_bytes(path)
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot read the split {path}", expected=expected, got=f"{error}") from error
    names = tuple(line for line in lines if line and not line.startswith("#"))
    if not names:
        raise OptionError(f"the split {path} names nothing", expected=expected, got="no names")
    return names


def _some(names: Iterable[str], limit: int = 10) -> str:
    names = sorted({*names})
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
