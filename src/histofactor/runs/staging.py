"""Results of an input changed beside themselves: whoever is killed leaves the old ones or the new ones, whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from histofactor.base.fences import ask
from histofactor.base.files import check_folder, make_folder, output_error, remove
from histofactor.runs.place import ASIDE, STAGED, WORK, Place, claim


@contextmanager
def staged(place: Place) -> Iterator[Place]:
    """Yield a place with the same results, to be changed, that takes the place of the other once the block ends well.

    Files are linked, not copied, where the disk can; every writer of histofactor puts new files in their place. A block
    that fails leaves the results as they were.

    Args:
        place: of the results; whoever calls holds its lease.

    Raises:
        OutputError: the output folder cannot be written, or a link in it leads elsewhere.
    """
    beside, aside = Place(place.out / STAGED, place.name), place.out / ASIDE / place.name
    for folder in (beside.results, aside):
        check_folder(folder, inside=place.out)
        remove(folder, inside=place.out)
    try:
        try:
            _link(place.results, beside.results)
        except OSError as error:
            raise output_error(beside.results, error) from error
        yield beside
        try:
            ask(place.results)
            _move(place.results, aside)
            beside.results.rename(place.results)
        except OSError as error:
            _put_back(place)
            raise output_error(place.results, error) from error
    finally:
        for folder in (beside.results, beside.work, aside):
            remove(folder, inside=place.out)
        for folder in (beside.work.parent, beside.work.parent.parent, beside.out, aside.parent, place.out / WORK):
            with suppress(OSError):  # other inputs are under way, or it was never made
                folder.rmdir()


def _move(results: Path, aside: Path) -> None:
    """Move results into a folder that others, who are done, may be taking away."""
    while True:
        make_folder(aside.parent)
        try:
            results.rename(aside)
        except FileNotFoundError:
            if not results.exists():
                raise
        else:
            return


def as_placed(text: str, out: Path) -> str:
    """A message, with the folder of an input where it names that of its results to be."""
    return text.replace(str(out / STAGED), str(out))


def restore(out: Path) -> bool:
    """Put results back that a process was killed over while it put new ones in their place, and clear what it left.

    Returns:
        Whether there were any.

    Raises:
        OutputError: the output folder cannot be written, or a link in it leads elsewhere.
    """
    found, left = False, (out / ASIDE, out / STAGED)
    for folder in left:
        check_folder(folder, inside=out)
    for name in sorted({path.name for folder in left for path in folder.glob("[!.]*")}):
        with claim(Place(out, name)) as mine:
            if mine:
                found = _put_back(Place(out, name)) or found
                for folder in left:
                    remove(folder / name, inside=out)
    if not any((out / STAGED).glob("[!.]*")):
        remove(out / STAGED, inside=out)  # with unfinished work of what was staged
    for folder in (*left, out / WORK):
        with suppress(OSError):  # others are under way, or it was never made
            folder.rmdir()
    return found


def _put_back(place: Place) -> bool:
    aside = place.out / ASIDE / place.name
    if place.results.exists() or not aside.exists():
        return False
    try:
        aside.rename(place.results)
    except OSError as error:
        raise output_error(place.results, error) from error
    return True


def _link(source: Path, target: Path) -> None:
    """The files of a folder in another one, as links where the disk can."""

    def copy(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    make_folder(target)
    shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)
