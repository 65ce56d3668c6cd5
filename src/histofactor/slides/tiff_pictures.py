"""Which images a TIFF holds, and which of them is meant: a page is a level of another only where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from histofactor.errors import ImageError, OptionError
from histofactor.slides.ome import OmeImage, ome_images
from histofactor.slides.resolution import StatedMpp, from_ome, from_tiff
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_levels import fits, shows_the_same

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_LISTED = 8  # images that a message names
_MAX_SUBIFDS = 64
_PRIMARIES = "; if they are the red, green and blue of one image, save it as RGB"
_SAME_SIZE = 0.02  # physical sizes that differ by less are the same


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a TIFF.

    Attributes:
        name: its name in OME-XML, or ``page N``.
        index: number of its first page.
        levels: pages of every level, largest level first: one page each, or one a channel.
        channels: names of the channels, where each is a page.
        ome: what OME-XML says of it, or None.
        is_mask: whether it says which px of another image are to be shown.
    """

    name: str
    index: int
    levels: tuple[tuple[Any, ...], ...]
    channels: tuple[str, ...] = ()
    ome: OmeImage | None = None
    is_mask: bool = False

    @property
    def base(self) -> Any:
        """First page of level 0."""
        return self.levels[0][0]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of level 0 in px."""
        return int(self.base.imagewidth), int(self.base.imagelength)

    @property
    def stated(self) -> tuple[StatedMpp, ...]:
        """µm/px that its OME-XML, description and resolution tags state, most trusted first."""
        page = self.base
        ratios = [page.tags.valueof(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
        resolution = None if None in ratios else tuple(top / (bottom or np.nan) for top, bottom in ratios)
        own = () if self.ome is None else from_ome(self.ome.pixels)
        description = str(page.description) if self.ome is None else ""
        return own + from_tiff(description, resolution, int(page.tags.valueof(_UNIT, default=2)))

    def __str__(self) -> str:
        return f"{self.name!r} ({self.size[0]} × {self.size[1]} px)"


def find_pictures(file: OpenTiff) -> list[Picture]:
    """List the images of a TIFF with their levels, in the order of their first pages."""
    chain = file.pages()
    pictures = _in_ome(chain)
    taken = {id(page) for picture in pictures for page in picture.levels[0]}
    for index, page in enumerate(chain):
        if id(page) not in taken:
            is_mask = bool(int(page.subfiletype) & _MASK)
            pictures.append(Picture(f"page {index}", index, ((page,),), is_mask=is_mask))
    pictures = [_with_subifds(picture) for picture in sorted(pictures, key=lambda picture: picture.index)]
    return _gathered(file, _with_channels(pictures, chain))


def choose_picture(
    pictures: Sequence[Picture], series: str | int | None, path: Path
) -> tuple[Picture, tuple[str, ...]]:
    """Choose an image: the one that is named, else the largest.

    Args:
        pictures: all images of the file.
        series: name or number of one, or None.
        path: the file, for messages.

    Returns:
        The image, and a note that names those that are not read, with their sizes.

    Raises:
        OptionError: no image is called that.
        ImageError: several are the largest.
    """
    if series is None:
        shown = [picture for picture in pictures if not picture.is_mask] or list(pictures)
        area = max(picture.size[0] * picture.size[1] for picture in shown)
        largest = [picture for picture in shown if picture.size[0] * picture.size[1] == area]
        if len(largest) > 1:
            raise ImageError(
                f"{path} holds several images of full size",
                expected="one",
                got=f"{len(largest)}: {_listing(pictures)}",
                mend="choose one with --series, by its number or name" + (_PRIMARIES if _may_be_rgb(largest) else ""),
            )
        chosen = largest[0]
    else:
        chosen = _named(pictures, series, path)
    others = [picture for picture in pictures if picture is not chosen]
    if not others:
        return chosen, ()
    which = f"the largest, {chosen}," if series is None else str(chosen)
    left = ", ".join(map(str, others[:_LISTED])) + (f" and {len(others) - _LISTED} more" if others[_LISTED:] else "")
    return chosen, (f"the file holds {len(pictures)} images: {which} is read, not {left}",)


def _may_be_rgb(pictures: Sequence[Picture]) -> bool:
    """Whether images may be the channels of one: three of a single sample a px."""
    return len(pictures) == 3 and all(picture.base.samplesperpixel == 1 for picture in pictures)


def _named(pictures: Sequence[Picture], series: str | int, path: Path) -> Picture:
    named = [picture for picture in pictures if picture.name == series]
    number = str(series)
    if not named and number.isascii() and number.isdigit() and int(number[:9]) < len(pictures):
        named = [pictures[int(number[:9])]]
    if len(named) != 1:
        raise OptionError(
            f"{path} has no image of that name" if not named else f"{path} has several images of that name",
            expected=f"one of {_listing(pictures)}",
            got=repr(series),
        )
    return named[0]


def _listing(pictures: Sequence[Picture]) -> str:
    listed = ", ".join(f"{number}: {picture}" for number, picture in enumerate(pictures[: 4 * _LISTED]))
    return listed + (" …" if pictures[4 * _LISTED :] else "")


def _in_ome(chain: Sequence[Any]) -> list[Picture]:
    """Images that OME-XML describes, each page in one of them at most."""
    pictures: list[Picture] = []
    taken: set[int] = set()
    for number, image in enumerate(ome_images(str(chain[0].description))):
        name = image.name or f"image {number}"
        wanted = dict.fromkeys(_planes(image, len(chain)))
        pages = [index for index in wanted if index not in taken]
        taken.update(pages)
        stacked = image.count("SizeZ") * image.count("SizeT") == 1 and len({_shape(chain[i]) for i in pages}) == 1
        if stacked and len(pages) > 1:
            levels = (tuple(chain[index] for index in pages),)
            pictures.append(Picture(name, min(pages), levels, image.channels, image))
        else:
            for plane, index in enumerate(pages):
                own = name if len(pages) == 1 else f"{name}, plane {plane}"
                pictures.append(Picture(own, index, ((chain[index],),), image.channels, image))
    return pictures


def _planes(image: OmeImage, pages: int) -> list[int]:
    """Pages of an image, in the order of its channels."""
    found: list[tuple[int, int]] = []
    for channel, first, count in image.planes:
        samples = max(1, image.count("SizeC") // max(1, len(image.channels)))
        every = image.count("SizeZ") * image.count("SizeT") * max(1, image.count("SizeC") // samples)
        last = min(first + (every if count is None else count), pages)
        found += [(channel, index) for index in range(first, last)]
        if len(found) > 4 * pages:
            break
    return [index for _, index in sorted(found)]


def _with_channels(pictures: list[Picture], chain: Sequence[Any]) -> list[Picture]:
    """Pages that ImageJ calls the channels of one image, as that image."""
    lines = set(str(chain[0].description)[:4096].splitlines()) if pictures else set()
    is_one = len(pictures) > 1 and f"channels={len(pictures)}" in lines and f"images={len(pictures)}" in lines
    if not is_one or len({_shape(page) for page in chain}) > 1:
        return pictures
    return [Picture(pictures[0].name, 0, (tuple(chain),))]


def _shape(page: Any) -> tuple[Any, ...]:
    return page.imagewidth, page.imagelength, page.samplesperpixel, page.dtype, page.photometric, page.is_tiled


def _with_subifds(picture: Picture) -> Picture:
    """Add the levels that lie beneath the pages of an image."""
    below = [[page.aspage() for page in (base.pages or ())[:_MAX_SUBIFDS]] for base in picture.levels[0]]
    levels = [
        pages
        for pages in zip(*below, strict=False)
        if all(fits(page, base) for page, base in zip(pages, picture.levels[0], strict=True))
    ]
    return replace(picture, levels=(picture.levels[0], *sorted(levels, key=_area, reverse=True)))


def _gathered(file: OpenTiff, pictures: list[Picture]) -> list[Picture]:
    """Make the pages that are an image in small its levels; largest first, each against the level above it."""
    owners = {picture.index: _owner(picture, pictures) for picture in pictures if _is_reduced(picture)}
    gathered: list[Picture] = []
    for picture in sorted(pictures, key=lambda picture: _area(picture.levels[0]), reverse=True):
        for place, larger in enumerate(gathered):
            if _is_level(file, picture, larger, owners.get(picture.index)):
                levels = sorted((*larger.levels, picture.levels[0]), key=_area, reverse=True)
                gathered[place] = replace(larger, levels=tuple(levels))
                break
        else:
            gathered.append(picture)
    return sorted(gathered, key=lambda picture: picture.index)


def _is_reduced(picture: Picture) -> bool:
    return bool(int(picture.base.subfiletype) & _REDUCED)


def _owner(picture: Picture, pictures: Sequence[Picture]) -> int | None:
    """Number of the full image before a page that calls itself a reduced one: the last of its shape."""
    before = [
        other.index
        for other in pictures
        if other.index < picture.index and not _is_reduced(other) and fits(picture.base, other.base)
    ]
    return before[-1] if before else None


def _is_level(file: OpenTiff, picture: Picture, larger: Picture, owner: int | None) -> bool:
    """Whether an image is a larger one in small.

    It says so itself, or covers the same ground as far as that is stated and shows the same. Images of OME-XML that
    cover different ground are two.
    """
    page = picture.base
    alike = len(picture.levels) == 1 and len(picture.levels[0]) == len(larger.levels[0]) and fits(page, larger.base)
    if not alike or picture.is_mask or larger.is_mask:
        return False
    if picture.ome is not None and not _covers_as_much(picture, larger):
        return False
    if _is_reduced(picture):
        return owner == larger.index
    above = next(level[0] for level in reversed(larger.levels) if fits(page, level[0]))
    return bool(page.is_tiled) and shows_the_same(file, page, above)


def _covers_as_much(picture: Picture, larger: Picture) -> bool:
    """Whether two images of OME-XML are of the same size in µm; where one states none, they may be."""
    sizes = [(item.size[0], from_ome(item.ome.pixels)) for item in (picture, larger) if item.ome is not None]
    widths = [width * stated[0].x for width, stated in sizes if stated]
    return len(widths) < 2 or abs(widths[0] - widths[1]) <= _SAME_SIZE * widths[1]


def _area(pages: Sequence[Any]) -> int:
    return int(pages[0].imagewidth * pages[0].imagelength)
