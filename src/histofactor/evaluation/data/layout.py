"""Lay an original data set out as ``datasets`` reads it, whatever it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.base.files import atomic
from histofactor.base.text import csv_safe, csv_text, utf8
from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.originals import Original, Read, read_files

IGNORE = 255


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a data set is read.

    Attributes:
        layout: the files that are looked for, in words.
        find: from its folder to its images.
        codes: from codes of its masks to codes of ``classes`` or 255, ignored; None where every code > 0 is 1.
        classes: names by code.
        mpp: µm/px of its images.
        read: reads an image and its mask.
        stated_mpp: from its images to the µm/px that their names state, or None.
    """

    layout: str
    find: Callable[[Path], list[Original]]
    codes: Mapping[int, int] | None
    classes: Mapping[int, str]
    mpp: float
    read: Read = read_files
    stated_mpp: Callable[[Sequence[Original]], float | None] = lambda found: None


def lay_out(name: str, adapter: Adapter, source: Path, out: Path, mpp: float | None) -> Path:
    """Write a data set's folder; arguments, result and errors as for ``adapters.adapt``."""
    if mpp is not None and (adapter.read is read_files or not mpp > 0):
        raise OptionError(
            f"µm/px cannot be chosen so for {name}",
            expected="a number > 0, and a data set of whole slides",
            got=f"{mpp}",
        )
    if (out / "dataset.json").is_file():
        _check_same(out / "dataset.json", name, mpp)
        return out
    found = _find(adapter, source)
    if not found:
        got = "no images of it" if source.is_dir() else "no such folder"
        raise OptionError(f"{source} is not {name} as it is published", expected=adapter.layout, got=got)
    mpp = mpp or adapter.stated_mpp(found) or adapter.mpp
    stems = [original.image.stem for original in found]
    if len({*stems}) < len(stems):  # the same names in two splits
        stems = [f"{original.split}_{stem}" for original, stem in zip(found, stems, strict=True)]
    for stem, original in zip(stems, found, strict=True):
        rgb, codes = adapter.read(original, mpp)
        labels = _recoded(original.mask, codes, adapter.codes)
        with atomic(out / f"labels/{stem}.png") as temporary:
            Image.fromarray(labels).save(temporary, format="PNG")
        _put_image(original.image, rgb, out / "images" / stem)
    _write_table(stems, found, out)
    classes = {str(code): label for code, label in adapter.classes.items()}
    facts = {"name": name, "mpp": mpp, "classes": classes, "ignore": IGNORE}
    with atomic(out / "dataset.json") as temporary:
        temporary.write_bytes(utf8(json.dumps(facts, indent=1) + "\n"))
    return out


def _check_same(path: Path, name: str, mpp: float | None) -> None:
    """Refuse to take one data set for another."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        held = facts["name"], facts["mpp"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise OptionError(f"cannot read {path}", got=f"{error}", mend="delete its folder") from error
    if held[0] != name or mpp not in {None, held[1]}:
        raise OptionError(
            f"{path.parent} holds another data set",
            expected=name if mpp is None else f"{name} at {mpp:g} µm/px",
            got=f"{held[0]} at {held[1]} µm/px",
            mend="choose another output folder",
        )


def _find(adapter: Adapter, source: Path) -> list[Original]:
    """Images of a folder, or of the only one of its folders that has any: archives unpack to either."""
    if not source.is_dir():
        return []
    if found := adapter.find(source):
        return found
    inside = [found for folder in sorted(source.iterdir()) if folder.is_dir() and (found := adapter.find(folder))]
    return inside[0] if len(inside) == 1 else []


def _put_image(image: Path, rgb: NDArray[np.uint8] | None, target: Path) -> None:
    """Write px as PNG, or link to the file; a copy where there can be no link."""
    suffix = image.suffix if rgb is None else ".png"
    with atomic(target.with_name(target.name + suffix)) as temporary:
        if rgb is not None:
            Image.fromarray(rgb).save(temporary, format="PNG")
            return
        for link in (os.symlink, os.link):
            with suppress(OSError):  # not every file system has them
                link(image.resolve(), temporary)
                return
        shutil.copyfile(image, temporary)


def _write_table(stems: Sequence[str], found: Sequence[Original], out: Path) -> None:
    """Write ``images.csv``, and the published split as two lists of stems."""
    columns = list(dict.fromkeys(column for original in found for column in original.facts))
    rows: list[tuple[str, ...]] = [("name", "patient", "split", *columns)]
    for stem, original in zip(stems, found, strict=True):
        rows.append(
            (stem, original.patient or stem, original.split, *(original.facts.get(column, "") for column in columns))
        )
    with atomic(out / "images.csv") as temporary:
        temporary.write_bytes(utf8(csv_text([map(csv_safe, row) for row in rows])))
    train = [stem for stem, original in zip(stems, found, strict=True) if original.split == "train"]
    if train and len(train) < len(stems):
        _write_lines(out / "train.txt", train)
        _write_lines(out / "test.txt", (stem for stem in stems if stem not in {*train}))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(utf8("".join(f"{line}\n" for line in lines)))


def _recoded(path: Path, values: NDArray[np.integer[Any]], codes: Mapping[int, int] | None) -> NDArray[np.uint8]:
    """Labels of a mask's codes."""
    if codes is None:
        return np.asarray(values > 0, np.uint8)
    held, places = np.unique(values, return_inverse=True)
    if unknown := [code for code in held.tolist() if code not in codes]:
        raise ImageError(f"{path} holds unknown codes", expected=f"{sorted(codes)}", got=f"{unknown[:10]}")
    return np.array([codes[code] for code in held.tolist()], np.uint8)[places].reshape(values.shape)
