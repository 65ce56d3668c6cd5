"""Public data sets, as their publishers distribute them, laid out as ``datasets`` reads them.

Images are linked, not copied, where the file system allows it; masks are rewritten as one integer per px.

    bcss       breast, TCGA (Amgad et al., Bioinformatics 2019; github.com/PathologyDataScience/BCSS)
    glas       colon glands (Sirinukunwattana et al., Medical Image Analysis 2017; Warwick-QU)
    crag       colon glands (Graham et al., Medical Image Analysis 2019)
    camelyon   lymph nodes, whole slides (Litjens et al., GigaScience 2018); see ``camelyon``
    wsss4luad  lung (Han et al., arXiv 2204.06455), the folders with masks
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from histofactor.errors import OptionError
from histofactor.evaluation.data.camelyon import find_camelyon, read_camelyon
from histofactor.evaluation.data.layout import IGNORE, Adapter, lay_out
from histofactor.evaluation.data.originals import Original, mask_of, paired

_BCSS_TEST = frozenset({"OL", "LL", "E2", "EW", "GM", "S3"})  # institutes held out by the publishers


def adapt(name: str, source: str | Path, out: str | Path, *, mpp: float | None = None) -> Path:
    """Lay a public data set out as ``load_dataset`` reads it.

    ``dataset.json`` is written last: where it lies, the work is done, and nothing is done again. Where the publisher
    tells which images to train on, ``train.txt`` and ``test.txt`` name the two parts of that split.

    Args:
        name: one of ``ADAPTERS``.
        source: the data set's folder, or one that holds it alone.
        out: the folder to write; made if missing.
        mpp: µm/px to bring whole slides to; 8 if None. Other images stay as they are.

    Returns:
        ``out``.

    Raises:
        OptionError: the name is unknown, the folder holds no such data set, ``out`` holds another one, or ``mpp``
            cannot be chosen or is finer than a slide.
        ImageError: an image or a mask is missing, cannot be read, does not lie on the other, or a mask holds a code
            that the data set does not have.
        ResolutionError: the µm/px of a slide cannot be told.
        OutputError: a file cannot be written.
    """
    if name not in ADAPTERS:
        raise OptionError(f"unknown data set {name!r}", expected=f"one of {', '.join(ADAPTERS)}")
    return lay_out(name, ADAPTERS[name], Path(source), Path(out), mpp)


def _find_bcss(folder: Path) -> list[Original]:
    images = next(
        (folder / name for name in ("rgbs_colorNormalized", "images", "rgbs") if (folder / name).is_dir()), None
    )
    found = [] if images is None else paired(images, folder / "masks", lambda stem: stem[:12])
    return [
        Original(
            original.image,
            original.mask,
            original.patient,
            "test" if institute in _BCSS_TEST else "train",
            {"institute": institute},
        )
        for original in found
        for institute in [original.patient[5:7]]
    ]


def _stated_bcss(found: Sequence[Original]) -> float | None:
    """µm/px that the names end in: the publishers' script writes them at any."""
    stated = {match[1] for original in found if (match := re.search(r"_MPP-(\d+(?:\.\d+)?)", original.image.stem))}
    if len(stated) > 1:
        raise OptionError("the images are not of one resolution", expected="one MPP-…", got=", ".join(sorted(stated)))
    return float(stated.pop()) if stated else None


def _find_glas(folder: Path) -> list[Original]:
    images = [path for path in sorted(folder.glob("*.bmp")) if not path.stem.endswith("_anno")]
    grades = _read_grades(folder / "Grade.csv") if images else {}
    found = []
    for path in images:
        mask = mask_of(path, folder, f"{path.stem}_anno")
        row = grades.get(path.stem, {})
        if mask is None or not row.get("patient id"):
            raise OptionError(f"{folder / 'Grade.csv'} does not tell whose {path.name} is", expected="a patient ID")
        facts = {"grade": row.get("grade (glas)", "")}
        found.append(Original(path, mask, row["patient id"], path.stem.split("_")[0], facts))
    return found


def _read_grades(path: Path) -> dict[str, dict[str, str]]:
    """Rows of Grade.csv by name, without the blanks around its values and names of columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [
                {str(key).strip().lower(): str(value).strip() for key, value in row.items()}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error) as error:
        raise OptionError(f"cannot read {path}", expected="the table that tells patients", got=f"{error}") from error
    return {row.get("name", ""): row for row in rows}


def _find_crag(folder: Path) -> list[Original]:
    return [
        original
        for split in ("train", "valid")
        for original in paired(folder / split / "Images", folder / split / "Annotation", split=split)
    ]


def _find_wsss4luad(folder: Path) -> list[Original]:
    folders = [("validation", folder / "2.validation"), ("test", folder / "3.testing"), ("", folder)]
    return [
        original
        for split, part in folders
        for original in paired(part / "img", part / "mask", split=split, withheld=True)
    ]  # masks of some test images were never published


_GLANDS = {0: "stroma and other", 1: "gland"}
_BCSS_CODES = {
    **dict.fromkeys((0, 7), IGNORE),  # outside the region of interest, excluded
    **dict.fromkeys((1, 19, 20), 0),  # tumour, angioinvasion, in situ
    2: 1,
    **dict.fromkeys((3, 10, 11), 2),  # lymphocytes, plasma cells, other immune cells
    4: 3,
    **dict.fromkeys((5, 6, 8, 9, 12, 13, 14, 15, 16, 17, 18, 21), 4),
}
ADAPTERS: dict[str, Adapter] = {
    "bcss": Adapter(
        "rgbs_colorNormalized/TCGA-….png and masks/ of the same names",
        _find_bcss,
        _BCSS_CODES,
        {0: "tumour", 1: "stroma", 2: "inflammatory", 3: "necrosis", 4: "other"},
        0.25,
        stated_mpp=_stated_bcss,
    ),
    "glas": Adapter(
        "train_1.bmp, train_1_anno.bmp, …, testA_…, testB_… and Grade.csv", _find_glas, None, _GLANDS, 0.62
    ),
    "crag": Adapter(  # published at 20x
        "train/Images, train/Annotation, valid/Images, valid/Annotation", _find_crag, None, _GLANDS, 0.5
    ),
    "camelyon": Adapter(
        "slides STEM.tif and masks STEM_mask.tif, in any folders",
        find_camelyon,
        {0: IGNORE, 1: 0, 2: 1},
        {0: "normal", 1: "tumour"},
        8.0,
        read_camelyon,
    ),
    "wsss4luad": Adapter(  # published at 10x; background is not scored, as in the challenge
        "2.validation/img, 2.validation/mask, 3.testing/img, 3.testing/mask",
        _find_wsss4luad,
        {0: 0, 1: 1, 2: 2, 3: IGNORE},
        {0: "tumour", 1: "stroma", 2: "normal"},
        1.0,
    ),
}
