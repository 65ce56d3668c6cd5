"""What OME-XML in a TIFF's first description says of its images (OME 2016-06 schema)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MAX_DESCRIPTION = 2**22  # characters that are looked at
_MAX_PARTS = 4096  # channels or planes of one image
_ELEMENT = re.compile(r"<(?:[\w.-]++:)?+(OME|Image|Pixels|Channel|TiffData|UUID)\b([^<>]*+)>([^<]*+)")
_ATTRIBUTE = re.compile(r"(?<![\w:])([\w:]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')")
_COLORS = {"-16776961": "Red", "16711935": "Green", "65535": "Blue"}  # RGBA as a signed 32-bit number


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One image of OME-XML.

    Attributes:
        name: its name, or "".
        pixels: attributes of its Pixels element.
        channels: names of its channels, or their colours where they have no name.
        planes: (channel, first page, number of pages or None for all) of every TiffData in this file.
    """

    name: str
    pixels: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    planes: tuple[tuple[int, int, int | None], ...] = ()

    def count(self, key: str) -> int:
        """A number of the Pixels element, such as ``SizeZ``; 1 where it states none."""
        text = self.pixels.get(key, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def ome_images(description: str) -> list[OmeImage]:
    """List the images that OME-XML describes, in its order; none where the text is no OME-XML.

    Planes that lie in another file (a TiffData whose UUID is not the document's) are left out.
    """
    images: list[OmeImage] = []
    own = ""
    for match in _ELEMENT.finditer(description[:MAX_DESCRIPTION]):
        element, attributes = match[1], attributes_of(match[2])
        if element == "OME":
            own = attributes.get("UUID", "")
        elif element == "Image":
            images.append(OmeImage(attributes.get("Name", "")))
        elif not images:
            continue
        elif element == "UUID":
            if own and match[3].strip() not in ("", own):
                images[-1] = replace(images[-1], planes=images[-1].planes[:-1])
        else:
            images[-1] = _grown(images[-1], element, attributes)
    return images


def attributes_of(text: str) -> dict[str, str]:
    """Attributes of an XML start tag."""
    return {match[1]: html.unescape(match[2] or match[3] or "") for match in _ATTRIBUTE.finditer(text)}


def _grown(image: OmeImage, element: str, attributes: dict[str, str]) -> OmeImage:
    if max(len(image.channels), len(image.planes)) >= _MAX_PARTS:
        return image
    if element == "Pixels":
        return replace(image, pixels=attributes)
    if element == "Channel":
        name = attributes.get("Name") or _COLORS.get(attributes.get("Color", ""), "")
        return replace(image, channels=(*image.channels, name))
    if element == "TiffData":
        first, count = (_number(attributes.get(key)) for key in ("IFD", "PlaneCount"))
        count = 1 if count is None and first is not None else count
        return replace(image, planes=(*image.planes, (_number(attributes.get("FirstC")) or 0, first or 0, count)))
    return image


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
