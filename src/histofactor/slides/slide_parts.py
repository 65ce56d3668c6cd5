"""Which files are one slide, for a scanner may write many, and what a slide is called.

- DICOM: the levels, the label and the overview of a slide lie in a folder and share a series.
- Hamamatsu VMS and VMU: an index names the JPEG files that hold the levels, the map and the macro image.
- MIRAX: ``NAME.mrxs`` is an index, and the folder ``NAME`` beside it holds the slide; none of its files is named like
  an image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from histofactor.records.urls import Input, Url
from histofactor.slides.dicom_header import DicomHeader, dicom_header
from histofactor.slides.slide_files import SLIDE_SUFFIXES

IMAGE_EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
    | {".btf", ".tf2", ".tf8"}  # large TIFF and OME-TIFF
    | SLIDE_SUFFIXES
    | {".dcm"}
)
PART_EXTENSIONS = frozenset({".dcm", ".jpeg", ".jpg"})  # of files that may be a part of a slide
INDEX_EXTENSIONS = frozenset({".vms", ".vmu"})
_INDEX_HEADS = ("[Virtual Microscope Specimen]", "[Uncompressed Virtual Microscope Specimen]")
_INDEX_BYTES = 2**20
Opened = Callable[[str], BinaryIO]  # opens a file of a folder by its name

FEATURES = ".features.zarr"  # folders of dense features of one input, see ``segmentation.feature_file``


def is_features(path: Input) -> bool:
    """Whether a path is a folder that is named like features."""
    return isinstance(path, Path) and path.name.endswith(FEATURES) and not path.name.startswith(".") and path.is_dir()


def is_image(path: Path) -> bool:
    """Whether a file, or a link to nowhere, is named like an image; hidden files are not."""
    named = path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")
    return named and (path.is_file() or (path.is_symlink() and not path.exists()))


def slides_of_parts(folder: Path) -> dict[str, str]:
    """Names of the files of a folder that are parts of slides, and of the file that stands for each of those slides.

    For a DICOM series that is its largest level, for a VMS or VMU slide its index. Parts of a DICOM slide that have a
    series of their own (its label, say) are found by its study.
    """
    return owners_of([path.name for path in _children(folder)], lambda name: (folder / name).open("rb"))


def owners_of(names: Iterable[str], opened: Opened) -> dict[str, str]:
    """As ``slides_of_parts``, wherever the folder lies.

    Args:
        names: of its files.
        opened: opens one of them to read.
    """
    headers = headers_of(sorted(names), opened)
    return _slides_of_series(headers) | _slides_of_indexes(sorted(names), opened)


def headers_of(names: Iterable[str], opened: Opened) -> dict[str, DicomHeader]:
    """The headers of those files that are DICOM slides or parts of such."""
    found = {}
    for name in names:
        if name.lower().endswith(".dcm"):
            try:
                with opened(name) as file:
                    header = dicom_header(file)
            except OSError:  # whoever opens it says why
                continue
            if header is not None:
                found[name] = header
    return found


def files_of(path: Path) -> list[Path]:
    """All files and folders that hold a slide, the file that stands for it first; of an image, that file alone."""
    folder, suffix = path.parent, path.suffix.lower()
    if is_features(path):
        return [path / "zarr.json"]  # tells what they were made of; each chunk has its own checksum
    if suffix == ".mrxs":
        return [path, *filter(Path.is_dir, [path.with_suffix("")])]
    if suffix not in {".dcm"} | INDEX_EXTENSIONS:
        return [path]
    try:
        owners = _known_slides(folder, folder.stat().st_mtime_ns)
    except OSError:  # whoever opens the slide says why
        return [path]
    return [path, *(folder / name for name, owner in sorted(owners.items()) if owner == path.name and name != owner)]


@lru_cache(maxsize=8)
def _known_slides(folder: Path, _: int) -> dict[str, str]:
    """As ``slides_of_parts``, read once for all slides of a folder as long as no file comes or goes."""
    return slides_of_parts(folder)


def slide_name(path: Input) -> str:
    """What the results of a slide are called; never empty, ``.`` or ``..``, but otherwise any text that names a file.

    That is the stem of its file, or, for a DICOM slide that has a folder of its own, the name of that folder.
    """
    if isinstance(path, Url):
        return path.called or (path.stem if path.stem.strip(".") else path.name)
    if path.name.endswith(FEATURES) and path.name != FEATURES:
        return path.name.removesuffix(FEATURES)
    if path.suffix.lower() == ".dcm" and _has_own_folder(path):
        return Path(os.path.abspath(path)).parent.name or path.stem  # noqa: PTH100 - links keep their names
    return path.stem if path.stem.strip(".") else path.name


def _slides_of_series(headers: Mapping[str, DicomHeader]) -> dict[str, str]:
    by_series: dict[str, str] = {}
    by_study: dict[str, str] = {}
    for name in sorted(headers, key=lambda name: -headers[name].size[0] * headers[name].size[1]):  # equal ones by name
        if headers[name].is_volume:
            by_series.setdefault(headers[name].series, name)
            by_study.setdefault(headers[name].study, name)
    owners = {}
    for name, header in headers.items():
        owner = by_series.get(header.series)
        if owner is None and not header.is_volume:
            owner = by_study.get(header.study)
        owners[name] = owner or name
    return owners


def _slides_of_indexes(names: list[str], opened: Opened) -> dict[str, str]:
    owners: dict[str, str] = {}
    for index in names:
        if Path(index).suffix.lower() in INDEX_EXTENSIONS:
            held = set(_named_in(index, opened)) & set(names) - {index}
            owners |= {name: index for name in held if name not in owners}
    return owners


def _named_in(index: str, opened: Opened) -> Iterator[str]:
    """Values of the keys of an index of Hamamatsu's."""
    try:
        with opened(index) as file:
            lines = file.read(_INDEX_BYTES).decode("utf-8", "surrogateescape").splitlines()
    except OSError:  # whoever opens the slide says why
        return
    if lines and lines[0].strip() in _INDEX_HEADS:
        for line in lines:
            yield line.partition("=")[2].strip()


def _has_own_folder(path: Path) -> bool:
    """Whether all images of the folder are files of this DICOM slide."""
    names = [other.name for other in _children(path.parent) if is_image(other)]
    return owns_folder(path.name, names, lambda name: (path.parent / name).open("rb"))


def owns_folder(name: str, names: Iterable[str], opened: Opened) -> bool:
    """Whether all images of a folder are files of one DICOM slide.

    Args:
        name: of the file that stands for the slide.
        names: of the images in its folder.
        opened: opens one of them to read.
    """
    own = headers_of([name], opened).get(name)
    if own is None:
        return False
    for other in names:
        if other == name:
            continue
        header = headers_of([other], opened).get(other)
        if header is None or (header.series != own.series and (header.is_volume or header.study != own.study)):
            return False
    return True


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a folder whose files may be read but not listed, or none
        return []
