"""The scripts for QuPath that ship: regions into its images, and histofactor run from it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from histofactor.base.files import atomic
from histofactor.errors import OptionError

SCRIPTS = ("import_regions.groovy", "run_histofactor.groovy")
_COMMON = "regions.groovy"  # functions that both end with, for scripts of QuPath cannot share any


def script(name: str) -> str:
    """The text of one of ``SCRIPTS``."""
    room = resources.files("histofactor.export").joinpath("qupath")
    return "".join(room.joinpath(part).read_text(encoding="utf-8") for part in (name, _COMMON))


def write_scripts(folder: Path) -> list[Path]:
    """Write the scripts into a folder; those that are there and were changed stay.

    Args:
        folder: made if missing.

    Returns:
        Their paths.

    Raises:
        OptionError: a script of that name is there and is another one.
        OutputError: the folder cannot be written.
    """
    paths = {folder / name: script(name).encode() for name in SCRIPTS}
    for path, content in paths.items():
        if path.exists() and (not path.is_file() or path.read_bytes() != content):
            raise OptionError(
                f"{path} is there, and is not as it ships",
                expected="no such file, or the same",
                got="one that was changed, or is of another version",
                mend="choose another folder with -o, or move it away",
            )
    for path, content in paths.items():
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return [*paths]
