"""Labelled data sets: a folder of images and of label images with the same stems.

    FOLDER/images/STEM.*       any image that histofactor reads
    FOLDER/labels/STEM.png     one integer per pixel of the image
    FOLDER/dataset.json        name, mpp (µm/px or null), classes {"0": "stroma", …}, ignore (integer or null)
    FOLDER/images.csv          optional: name (stem), patient, … ; without it every image is a patient of its own

Labels and rows without an image are left alone, so a subset needs no editing.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.slides.inputs import find_inputs

IGNORED = -1
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


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled data set.

    Attributes:
        name: its name.
        mpp: µm/px of all images, or None where their headers state it.
        classes: names by code, codes ascending, the ignored code left out.
        ignore: code of pixels that are not counted, or None.
        items: the images, in natural order of their names.
    """

    name: str
    mpp: float | None
    classes: Mapping[int, str]
    ignore: int | None
    items: tuple[Item, ...]


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
        raise _wrong(folder / "dataset.json", "name as text", f"{name!r}")
    if mpp is not None and not (_is_number(mpp) and 0 < mpp < math.inf):
        raise _wrong(folder / "dataset.json", "mpp in µm/px > 0, or null", f"{mpp!r}")
    if ignore is not None and type(ignore) is not int:
        raise _wrong(folder / "dataset.json", "ignore as an integer, or null", f"{ignore!r}")
    classes = _parse_classes(folder / "dataset.json", facts.get("classes"), ignore)
    images: dict[str, Path] = {}
    for path in find_inputs([folder / "images"]):
        if path.stem in images:
            raise ImageError(f"two images are named {path.stem}", got=f"{images[path.stem]} and {path}")
        images[path.stem] = path
    told = _read_table(folder / "images.csv", images)
    items = [Item(stem, image, _labels_of(folder, image), *told[stem]) for stem, image in images.items()]
    return Dataset(name, mpp, classes, ignore, tuple(items))


def read_truth(dataset: Dataset, item: Item) -> NDArray[np.int64]:
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
    codes = np.array(list(dataset.classes))
    indices = np.searchsorted(codes, values).clip(max=len(codes) - 1)
    indices[values == dataset.ignore] = IGNORED
    unknown = np.unique(values[(codes[indices] != values) & (indices != IGNORED)])
    if unknown.size:
        raise ImageError(
            f"{item.labels} holds codes that dataset.json does not list",
            expected=f"{', '.join(map(str, codes))}, ignore {dataset.ignore}",
            got=f"{', '.join(map(str, unknown[:10]))}",
            mend="list every code under classes, or as ignore",
        )
    return indices.astype(np.int64)


def read_codes(path: Path) -> NDArray[np.integer[Any]]:
    """Read an image of codes: grey, palette or two levels, of up to 32 bits.

    Args:
        path: the file.

    Returns:
        (height, width) integers, those that the file stores.

    Raises:
        ImageError: the file cannot be read or holds colours.
    """
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read the labels {path}", got=f"{error}") from error
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ImageError(f"{path} holds no labels", expected="one integer per pixel", got=f"mode {mode}")
    return values.astype(np.uint8) if values.dtype == bool else values


def _read_facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        got = "no such file" if path.parent.is_dir() else f"no such folder as {path.parent}"
        raise _wrong(path, "a JSON file with name, mpp, classes and ignore", got)
    try:
        facts = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, "JSON", f"{error}") from error
    if not isinstance(facts, dict) or not {"name", "mpp", "classes", "ignore"} <= facts.keys():
        raise _wrong(path, "an object with name, mpp, classes and ignore", f"{facts!r:.200}")
    return facts


def _parse_classes(path: Path, classes: Any, ignore: int | None) -> dict[int, str]:
    """Names by code, ascending, without the ignored code."""
    error = _wrong(
        path, 'classes as {"0": "stroma", "1": "gland"}: codes ≥ 0, each with its own name', f"{classes!r:.200}"
    )
    if not isinstance(classes, dict) or not all(re.fullmatch("0|[1-9][0-9]{0,8}", code) for code in classes):
        raise error
    counted = {int(code): name for code, name in classes.items() if int(code) != ignore}
    names = list(counted.values())
    if not names or not all(isinstance(name, str) and name for name in names) or len({*names}) < len(names):
        raise error
    return dict(sorted(counted.items()))


def _read_table(path: Path, images: Mapping[str, Path]) -> dict[str, tuple[str, dict[str, str]]]:
    """Patient and facts of every image; its own stem where there is no file or no such column."""
    if not path.is_file():
        return {stem: (stem, {}) for stem in images}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restkey=""))
    except (OSError, ValueError, csv.Error) as error:
        raise _wrong(path, "a CSV file with the columns name and patient", f"{error}") from error
    told: dict[str, tuple[str, dict[str, str]]] = {}
    for row in rows:
        name = row.get("name")
        if not name or name in told:
            raise _wrong(path, "a column name with every stem once", f"{name!r}")
        facts = {column: value or "" for column, value in row.items() if column not in _NO_FACTS}
        told[name] = row.get("patient", name) or "", facts
    for stem in images:
        if stem not in told or not told[stem][0]:
            raise _wrong(path, f"a row with a patient for {stem}", "none")
    return told


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
