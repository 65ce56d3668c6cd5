"""Labelled data sets: a folder of images and of label images with the same stems.

    FOLDER/images/STEM.*       any image that histofactor reads
    FOLDER/labels/STEM.png     one integer per pixel of the image
    FOLDER/dataset.json        name, mpp (µm/px or null), classes {"0": "stroma", …}, ignore (integer or null)
    FOLDER/images.csv          optional: name (stem), patient, … ; without it every image is a patient of its own;
                               fields as ``base.text.csv_safe`` writes them

Labels and rows without an image are left alone, so a subset needs no editing.
"""

from __future__ import annotations

import csv
import json
import re
import reprlib
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.base.text import csv_plain
from histofactor.errors import ImageError, OptionError
from histofactor.records.shown import Shown
from histofactor.slides.files import DAMAGED
from histofactor.slides.inputs import find_inputs
from histofactor.slides.pillow import FORMATS

IGNORED = -1
MAX_LABEL_PX = 2**27  # of a label image: reading one holds some 8 bytes a px, and a bomb may be a few kB
MAX_TEXT_BYTES = 2**24  # of dataset.json, of images.csv and of lists of names
NO_PATIENTS = (
    "no patients are given (a column patient of images.csv tells them), so every image counts as a patient of its own: "
    "if several are of one patient, scores are too good and intervals too narrow"
)
_UNKNOWN = -2
_MAX_CLASSES = 1000
_NO_FACTS = frozenset({"", "name", "patient", "split"})  # columns of images.csv; "" holds what has no column


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a data set.

    Attributes:
        stem: its name without extension.
        image: the image file.
        labels: the label file.
        patient: who it is from; what cross-validation keeps together.
        facts: what else ``images.csv`` tells, by column, without ``split``; "" where it is not told.
    """

    stem: str
    image: Path
    labels: Path
    patient: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class Dataset(Shown):
    """A labelled data set.

    Attributes:
        name: its name.
        mpp: µm/px of all images, or None where their headers state it.
        classes: names by code, codes ascending, the ignored code left out.
        ignore: code of pixels that are not counted, or None.
        items: the images, in natural order of their names.
        patients_given: whether ``images.csv`` names their patients; else every image is a patient of its own.
    """

    name: str
    mpp: float | None
    classes: Mapping[int, str]
    ignore: int | None
    items: tuple[Item, ...]
    patients_given: bool = True


def load_dataset(folder: str | Path) -> Dataset:
    """List a data set; label files are opened by ``read_truth`` only.

    Args:
        folder: laid out as the module says.

    Returns:
        The data set.

    Raises:
        OptionError: the folder, ``dataset.json`` or ``images.csv`` are not as stated.
        ImageError: there are no images, two of one stem, or one without labels.
    """
    folder = Path(folder)
    facts = _read_facts(folder / "dataset.json")
    name, mpp, ignore = facts.get("name"), facts.get("mpp"), facts.get("ignore")
    if not isinstance(name, str) or not name:
        raise _wrong(folder / "dataset.json", "name as text", reprlib.repr(name))
    if mpp is not None and not (_is_number(mpp) and 0 < mpp <= sys.float_info.max):
        raise _wrong(folder / "dataset.json", "mpp in µm/px > 0, or null", reprlib.repr(mpp))
    if ignore is not None and not (type(ignore) is int and abs(ignore) < 2**31):
        raise _wrong(folder / "dataset.json", "ignore as an integer of up to 31 bits, or null", reprlib.repr(ignore))
    classes = _parse_classes(folder / "dataset.json", facts.get("classes"), ignore)
    images: dict[str, Path] = {}
    for path in cast("list[Path]", find_inputs([folder / "images"], deep=False)):  # no URL is named
        if path.stem in images:
            raise ImageError(f"two images are named {path.stem}", got=f"{images[path.stem]} and {path}")
        images[path.stem] = path
    rows, patients_given = _read_table(folder / "images.csv", images)
    items = [Item(stem, image, _labels_of(folder, image), *rows[stem]) for stem, image in images.items()]
    return Dataset(name, mpp, classes, ignore, tuple(items), patients_given)


def read_truth(dataset: Dataset, item: Item) -> NDArray[np.int16]:
    """Read the label image of an item.

    Args:
        dataset: the data set.
        item: one of its items.

    Returns:
        (height, width) index of each pixel's class in ``dataset.classes``; -1 where it is ignored.

    Raises:
        ImageError: the file cannot be read, holds colours, or a code that ``dataset.json`` does not list.
    """
    values = read_codes(item.labels)
    indices = _indices(dataset, values)
    wrong = indices == _UNKNOWN
    if wrong.any():
        unknown = np.unique(values[wrong])
        raise ImageError(
            f"{item.labels} holds codes that dataset.json does not list",
            expected=f"{', '.join(map(str, dataset.classes))}, ignore {dataset.ignore}",
            got=f"{', '.join(map(str, unknown[:10]))}",
            mend="list every code under classes, or as ignore",
        )
    return indices


def _indices(dataset: Dataset, values: NDArray[np.integer[Any]]) -> NDArray[np.int16]:
    """Index of every code, -1 where it is ignored and -2 where it is not listed."""
    codes = list(dataset.classes)
    places = range(len(codes))
    if values.dtype.itemsize <= 2:  # by a table: little memory for many px
        table = np.full(2 ** (8 * values.dtype.itemsize), _UNKNOWN, np.int16)
        for code, index in (*zip(codes, places, strict=True), (dataset.ignore, IGNORED)):
            if code is not None and 0 <= code < len(table):
                table[code] = index
        indices: NDArray[np.int16] = table[values]
        return indices
    indices = np.searchsorted(np.array(codes), values).clip(max=len(codes) - 1).astype(np.int16)
    indices[np.array(codes)[indices] != values] = _UNKNOWN
    if dataset.ignore is not None:
        indices[values == dataset.ignore] = IGNORED
    return indices


def read_codes(path: Path) -> NDArray[np.integer[Any]]:
    """Read an image of codes: grey, palette or two levels, of up to 32 bits.

    Args:
        path: the file; of a format that Pillow decodes itself, whatever its suffix says.

    Returns:
        (height, width) integers, those that the file stores.

    Raises:
        ImageError: the file cannot be read, is too large or holds colours.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(path, formats=FORMATS) as image,
        ):
            check_px(path, image.size)
            mode, values = image.mode, np.asarray(image)
    except (*DAMAGED, MemoryError, Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read the labels {path}", got=f"{type(error).__name__}: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ImageError(f"{path} holds no labels", expected="one integer per pixel", got=f"mode {mode}")
    return values.astype(np.uint8) if values.dtype == bool else values


def check_px(path: Path, size: tuple[int, int]) -> None:
    """Refuse labels that are too large to hold: a file of a few kB may claim any size.

    Args:
        path: the file.
        size: (width, height) in px.

    Raises:
        ImageError: the labels are too large.
    """
    if size[0] * size[1] > MAX_LABEL_PX:
        raise ImageError(
            f"the labels {path} are too large",
            expected=f"at most {MAX_LABEL_PX:,} px",
            got=f"{size[0]} × {size[1]} px",
            mend="cut the image and its labels into parts, or bring both to a coarser µm/px",
        )


def _read_facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        got = "no such file" if path.parent.is_dir() else f"no such folder as {path.parent}"
        raise _wrong(path, "a JSON file with name, mpp, classes and ignore", got)
    try:
        check_bytes(path)
        facts = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, "JSON", f"{error}") from error
    if not isinstance(facts, dict) or not {"name", "mpp", "classes", "ignore"} <= facts.keys():
        raise _wrong(path, "an object with name, mpp, classes and ignore", reprlib.repr(facts))
    return facts


def _parse_classes(path: Path, classes: Any, ignore: int | None) -> dict[int, str]:
    """Names by code, ascending, without the ignored code."""
    error = _wrong(
        path,
        f'classes as {{"0": "stroma", "1": "gland"}}: codes ≥ 0, each with its own name, {_MAX_CLASSES:,} at most',
        reprlib.repr(classes),
    )
    if not isinstance(classes, dict) or not all(re.fullmatch("0|[1-9][0-9]{0,8}", code) for code in classes):
        raise error
    counted = {int(code): name for code, name in classes.items() if int(code) != ignore}
    names = list(counted.values())
    named = all(isinstance(name, str) and name for name in names) and len({*names}) == len(names)
    if not named or not 1 <= len(names) <= _MAX_CLASSES:
        raise error
    return dict(sorted(counted.items()))


def _read_table(path: Path, images: Mapping[str, Path]) -> tuple[dict[str, tuple[str, dict[str, str]]], bool]:
    """Patient and facts of every image, its own stem where there is no file or no such column; and whether there is."""
    if not path.is_file():
        return {stem: (stem, {}) for stem in images}, False
    try:
        check_bytes(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restkey=""))
    except (OSError, ValueError, csv.Error) as error:
        raise _wrong(path, "a CSV file with the columns name and patient", f"{error}") from error
    by_stem: dict[str, tuple[str, dict[str, str]]] = {}
    for row in rows:
        texts = {column: csv_plain(field or "") for column, field in row.items() if column}
        stem = texts.get("name", "")
        if not stem or stem in by_stem:
            raise _wrong(path, "a column name with every stem once", f"{stem!r:.100}")
        facts = {column: text for column, text in texts.items() if column not in _NO_FACTS}
        by_stem[stem] = texts.get("patient", stem), facts
    for stem in images:
        if stem not in by_stem or not by_stem[stem][0]:
            raise _wrong(path, f"a row with a patient for {stem}", "none")
    return by_stem, all("patient" in row for row in rows)


def check_bytes(path: Path) -> None:
    """Refuse a table or description that is larger than any that a data set needs.

    Raises:
        ValueError: it is.
        OSError: it is not there.
    """
    if (held := path.stat().st_size) > MAX_TEXT_BYTES:
        raise ValueError(f"{held:,} bytes, where {MAX_TEXT_BYTES:,} are the most that is read")


def _labels_of(folder: Path, image: Path) -> Path:
    path = folder / "labels" / f"{image.stem}.png"
    if not path.is_file():
        raise ImageError(f"{image} has no labels", expected=f"{path}", got="no such file")
    return path


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(path: Path, expected: str, got: str) -> OptionError:
    mend = "a data set is a folder with images/, labels/, dataset.json and optionally images.csv"
    return OptionError(f"{path} is not as a data set needs it", expected=expected, got=got, mend=mend)
