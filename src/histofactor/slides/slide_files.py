"""Files whose names say that they are whole slides: what such a file is where OpenSlide does not know it."""

from __future__ import annotations

from pathlib import Path

from histofactor.errors import ImageError

SLIDE_SUFFIXES = frozenset({".bif", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu"})
"""Suffixes that only formats of scanners have: a picture under such a name is a preview, or something else."""
_MAGICS = {
    b"\xff\xd8\xff": "a JPEG image", b"\x89PNG": "a PNG image", b"II*\0": "a TIFF of no known scanner",
    b"MM\0*": "a TIFF of no known scanner", b"II+\0": "a TIFF of no known scanner",
    b"MM\0+": "a TIFF of no known scanner", b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"%PDF": "a PDF", b"PK\3\4": "a ZIP archive",
}  # fmt: skip


def check_slide_file(path: Path) -> None:
    """Refuse a file that is named as a whole slide but is none that OpenSlide knows, and say what is missing.

    Raises:
        ImageError: always, unless the file cannot be read at all, which its decoder tells.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return
    suffix, folder = path.suffix.lower(), path.with_suffix("")
    expected = "a slide that OpenSlide knows"
    mend = "copy or export it again; name plain images by their own suffix"
    if suffix == ".mrxs":
        expected = f"the folder {folder.name} with its data beside {path.name}"
        mend = "copy that folder too" if not folder.is_dir() else "copy that folder again, with all its files"
    elif suffix in (".vms", ".vmu"):
        expected = f"the files that {path.name} lists beside it"
        mend = "copy them too"
    raise ImageError(
        f"{path} is not an image that can be read as the whole slide it is named as",
        expected=expected,
        got=_kind(head),
        mend=mend,
    )


def _kind(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page"
    known = next((words for magic, words in _MAGICS.items() if head.startswith(magic)), None)
    return known or f"a file that starts with {head[:4]!r}"
