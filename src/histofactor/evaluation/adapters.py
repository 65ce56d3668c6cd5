"""Public data sets, as their publishers distribute them, laid out as ``datasets`` reads them.

Images are linked, not copied, where the file system allows it; masks are rewritten as one integer per px.

    bcss       breast, TCGA (Amgad et al., Bioinformatics 2019; github.com/PathologyDataScience/BCSS)
    glas       colon glands (Sirinukunwattana et al., Medical Image Analysis 2017; Warwick-QU)
    crag       colon glands (Graham et al., Medical Image Analysis 2019)
    wsss4luad  lung (Han et al., arXiv 2204.06455), the folders with masks
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.export.files import atomic

_IGNORE = 255
_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
_BCSS_TEST = frozenset({"OL", "LL", "E2", "EW", "GM", "S3"})  # institutes held out by the publishers


@dataclass(frozen=True, slots=True)
class Original:
    """One image of an original data set.

    Attributes:
        image, mask: the files.
        patient: who it is from, or "" where that is not told: every image then counts as a patient.
        split: the publisher's, or "".
    """

    image: Path
    mask: Path
    patient: str
    split: str = ""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a data set is read.

    Attributes:
        find: from its folder to its images.
        codes: from codes of its masks to codes of ``classes`` or 255, ignored; None where every code > 0 is 1.
        classes: names by code.
        mpp: µm/px of its images.
    """

    find: Callable[[Path], list[Original]]
    codes: Mapping[int, int] | None
    classes: Mapping[int, str]
    mpp: float


def adapt(name: str, source: str | Path, out: str | Path) -> Path:
    """Lay a public data set out as ``load_dataset`` reads it.

    ``dataset.json`` is written last: where it lies, the work is done, and nothing is done again.

    Args:
        name: one of ``ADAPTERS``.
        source: the data set's folder.
        out: the folder to write; made if missing.

    Returns:
        ``out``.

    Raises:
        OptionError: the name is unknown, or the folder holds no such data set.
        ImageError: a mask is missing, cannot be read, or holds a code that the data set does not have.
        OutputError: a file cannot be written.
    """
    if name not in ADAPTERS:
        raise OptionError(f"unknown data set {name!r}", expected=f"one of {', '.join(ADAPTERS)}")
    source, out, adapter = Path(source), Path(out), ADAPTERS[name]
    if (out / "dataset.json").is_file():
        return out
    found = adapter.find(source) if source.is_dir() else []
    if not found:
        got = "no images of it" if source.is_dir() else "no such folder"
        raise OptionError(f"{source} is not {name} as it is published", expected=_LAYOUTS[name], got=got)
    twice = len({one.image.stem for one in found}) < len(found)  # the same name in two splits
    rows = [("name", "patient", "split")]
    for one in found:
        stem = f"{one.split}_{one.image.stem}" if twice else one.image.stem
        labels = _recoded(one.mask, adapter.codes)
        with atomic(out / f"labels/{stem}.png") as temporary:
            Image.fromarray(labels).save(temporary, format="PNG")
        with atomic(out / f"images/{stem}{one.image.suffix}") as temporary:
            _link(one.image.resolve(), temporary)
        rows.append((stem, one.patient or stem, one.split))
    with (
        atomic(out / "images.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows(rows)
    classes = {str(code): label for code, label in adapter.classes.items()}
    facts = {"name": name, "mpp": adapter.mpp, "classes": classes, "ignore": _IGNORE}
    with atomic(out / "dataset.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return out


def _link(image: Path, target: Path) -> None:
    """A symbolic link; a copy where there can be none."""
    try:
        target.unlink(missing_ok=True)
        target.symlink_to(image)
    except OSError:
        shutil.copyfile(image, target)


def _recoded(path: Path, codes: Mapping[int, int] | None) -> NDArray[np.uint8]:
    """Labels of a mask."""
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read the mask {path}", got=f"{error}") from error
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ImageError(f"{path} holds no labels", expected="one integer per pixel", got=f"shape {values.shape}")
    if codes is None:
        return np.asarray(values > 0, np.uint8)
    table: NDArray[Any] = np.full(int(max(values.max(), *codes)) + 1, -1)
    for code, to in codes.items():
        table[code] = to
    labels = table[values]
    if unknown := np.unique(values[labels < 0]).tolist():
        raise ImageError(f"{path} holds unknown codes", expected=f"{sorted(codes)}", got=f"{unknown[:10]}")
    return np.asarray(labels, np.uint8)


def _paired(images: Path, masks: Path, patient: Callable[[str], str], split: str = "") -> list[Original]:
    """Images of a folder and the masks of the same stems in another."""
    found = []
    for image in sorted(images.glob("*")) if images.is_dir() else []:
        if image.suffix.lower() in _SUFFIXES:
            found.append(Original(image, _mask_of(image, masks, image.stem), patient(image.stem), split))
    return found


def _mask_of(image: Path, folder: Path, stem: str) -> Path:
    """The mask of an image."""
    masks = [path for suffix in _SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if not masks:
        raise ImageError(f"{image} has no mask", expected=f"{folder / stem}.png", got="no such file")
    return masks[0]


def _unknown(stem: str) -> str:
    """The patient of an image where nothing tells."""
    return ""


def _find_bcss(folder: Path) -> list[Original]:
    images = next((folder / one for one in ("rgbs_colorNormalized", "images", "rgbs") if (folder / one).is_dir()), None)
    found = [] if images is None else _paired(images, folder / "masks", lambda stem: stem[:12])
    return [
        Original(one.image, one.mask, one.patient, "test" if one.patient[5:7] in _BCSS_TEST else "train")
        for one in found
    ]


def _find_glas(folder: Path) -> list[Original]:
    patients: dict[str, str] = {}
    if (table := folder / "Grade.csv").is_file():
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                values = {str(key).strip().lower(): str(value).strip() for key, value in row.items()}
                patients[values.get("name", "")] = values.get("patient id", "")
    images = [path for path in sorted(folder.glob("*.bmp")) if not path.stem.endswith("_anno")]
    return [
        Original(
            *(path, _mask_of(path, folder, f"{path.stem}_anno")),
            *(patients.get(path.stem, ""), path.stem.split("_")[0]),
        )
        for path in images
    ]


def _find_crag(folder: Path) -> list[Original]:
    return [
        one
        for split in ("train", "valid")
        for one in _paired(folder / split / "Images", folder / split / "Annotation", _unknown, split)
    ]


def _find_wsss4luad(folder: Path) -> list[Original]:
    folders = [("validation", folder / "2.validation"), ("test", folder / "3.testing"), ("", folder)]
    return [one for split, part in folders for one in _paired(part / "img", part / "mask", _unknown, split)]


_GLANDS = {0: "stroma and other", 1: "gland"}
_BCSS_CODES = {
    **dict.fromkeys((0, 7), _IGNORE),  # outside the region of interest, excluded
    **dict.fromkeys((1, 19, 20), 0),  # tumour, angioinvasion, in situ
    2: 1,
    **dict.fromkeys((3, 10, 11), 2),  # lymphocytes, plasma cells, other immune cells
    4: 3,
    **dict.fromkeys((5, 6, 8, 9, 12, 13, 14, 15, 16, 17, 18, 21), 4),
}
_LAYOUTS = {
    "bcss": "rgbs_colorNormalized/TCGA-….png and masks/ of the same names",
    "glas": "train_1.bmp, train_1_anno.bmp, …, testA_…, testB_… and Grade.csv",
    "crag": "train/Images, train/Annotation, valid/Images, valid/Annotation",
    "wsss4luad": "2.validation/img, 2.validation/mask, 3.testing/img, 3.testing/mask",
}
ADAPTERS: dict[str, Adapter] = {
    "bcss": Adapter(
        _find_bcss, _BCSS_CODES, {0: "tumour", 1: "stroma", 2: "inflammatory", 3: "necrosis", 4: "other"}, 0.25
    ),
    "glas": Adapter(_find_glas, None, _GLANDS, 0.62),
    "crag": Adapter(_find_crag, None, _GLANDS, 0.5),  # published at 20x
    "wsss4luad": Adapter(  # published at 10x; background is not scored, as in the challenge
        _find_wsss4luad, {0: 0, 1: 1, 2: 2, 3: _IGNORE}, {0: "tumour", 1: "stroma", 2: "normal"}, 1.0
    ),
}
