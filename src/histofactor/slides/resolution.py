"""µm/px as headers state it, and how far it is believed.

Image headers are full of resolutions that mean a screen or a printer (72, 96, 300 dpi). Only what a
microscope can have made, 0.05 to 20 µm/px, is believed; the rest counts as not stated.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass

from histofactor.errors import ResolutionError

PLAUSIBLE_MPP = (0.05, 20.0)
UM_PER_INCH = 25_400.0
MAX_ANISOTROPY = 0.05
NOT_STATED = "no µm/px in the header: taken at its own pixel size, areas in µm² stay empty"
_UM_PER_UNIT = {
    "nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": UM_PER_INCH, "in": UM_PER_INCH,
}  # fmt: skip
_UM_PER_TIFF_UNIT = {2: UM_PER_INCH, 3: 1e4}


@dataclass(frozen=True, slots=True)
class StatedMpp:
    """A µm/px that a header states.

    Attributes:
        x, y: µm per px along the two axes.
        where: the field that states it, in words.
    """

    x: float
    y: float
    where: str


def from_dpi(dpi: tuple[float, float], where: str) -> tuple[StatedMpp, ...]:
    """Read a density in px per inch (PNG pHYs, JPEG JFIF); nothing where it is not positive."""
    x, y = (_inverse(value, UM_PER_INCH) for value in dpi)
    return _found(x, y, where)


def from_tiff(description: str, resolution: tuple[float, float] | None, unit: int) -> tuple[StatedMpp, ...]:
    """Read what a TIFF page states, the explicit before the generic.

    Args:
        description: ImageDescription: OME-XML, Aperio's ``|MPP = 0.5|`` and ImageJ's ``unit=`` are understood.
        resolution: (XResolution, YResolution) in px per unit, or None.
        unit: ResolutionUnit: 2 inch, 3 cm, else none.

    Returns:
        Everything stated, in the order in which it is to be believed.
    """
    stated = _ome(description) + _aperio(description)
    if resolution is None:
        return stated
    if description.startswith("ImageJ="):
        word = re.search(r"^unit=(.+?)\s*$", description, re.MULTILINE)
        um_per_unit = _um_per(word[1].replace("\\u00B5", "µ")) if word else None
        where = "ImageJ unit"
    else:
        um_per_unit = _UM_PER_TIFF_UNIT.get(unit)
        where = "TIFF resolution"
    if um_per_unit is None:
        return stated
    x, y = (_inverse(value, um_per_unit) for value in resolution)
    return stated + _found(x, y, where)


def from_text(x: str | None, y: str | None, where: str) -> tuple[StatedMpp, ...]:
    """Read µm/px along x and y that a reader gives as text; one axis stands for both, nothing where both lack."""
    x_mpp, y_mpp = (_number(text or other or "") for text, other in ((x, y), (y, x)))
    return _found(x_mpp, y_mpp, where)


def check_mpp(mpp: float, option: str) -> None:
    """Check a µm/px that the user states with the command line's ``option``.

    Raises:
        ResolutionError: it is no plausible µm/px of a microscope.
    """
    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:  # also refuses NaN
        raise ResolutionError(
            f"{option} is not plausible",
            expected=f"a µm/px from {low:g} to {high:g}",
            got=f"{mpp!r}",
            mend="40x scans have about 0.25 µm/px, 20x about 0.5, 10x about 1",
        )


def settle_mpp(
    stated: tuple[StatedMpp, ...], source_mpp: float | None, name: str, *, required: bool = False
) -> tuple[float | None, tuple[str, ...]]:
    """Decide on the µm/px of an input: the user's word, else a plausible header, else None.

    Args:
        stated: what the header states, most trusted first.
        source_mpp: what the user states, or None.
        name: the input, for messages.
        required: whether an input without µm/px is an error, as for a whole slide.

    Returns:
        µm/px or None, and notes, one sentence each.

    Raises:
        ResolutionError: ``source_mpp`` is no plausible µm/px, or the header's x and y differ by more than 5 %,
            or there is none and it is required.
    """
    believed = next((item for item in stated if _plausible(item.x) or _plausible(item.y)), None)
    if source_mpp is not None:
        check_mpp(source_mpp, "--source-mpp")
        if believed and not math.isclose(believed.x, source_mpp, rel_tol=1e-3):
            note = f"--source-mpp {source_mpp:g} µm/px replaces the header's {believed.x:.4g} ({believed.where})"
            return float(source_mpp), (note,)
        return float(source_mpp), ()
    if believed is None:
        ignored = tuple(
            f"the header's {item.where}, {item.x:.4g} µm/px, is none of a microscope and was not believed"
            for item in stated
        )
        if required:
            raise ResolutionError(
                f"the whole slide {name} states no µm/px",
                expected="µm/px in its header",
                got="; ".join(ignored) or "none",
                mend="state it with --source-mpp; 40x scans have about 0.25 µm/px, 20x about 0.5",
            )
        return None, (*ignored, NOT_STATED)
    if abs(believed.x - believed.y) > MAX_ANISOTROPY * min(believed.x, believed.y):
        raise ResolutionError(
            f"the pixels of {name} are not square",
            expected="the same µm/px along x and y",
            got=f"x {believed.x:.4g} and y {believed.y:.4g} µm/px ({believed.where})",
            mend="state the right one with --source-mpp",
        )
    return math.sqrt(believed.x * believed.y), ()


def _plausible(mpp: float) -> bool:
    return PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


def _inverse(px_per_unit: float, um_per_unit: float) -> float:
    value = float(px_per_unit)
    return um_per_unit / value if math.isfinite(value) and value > 0 else math.nan


def _found(x: float, y: float, where: str) -> tuple[StatedMpp, ...]:
    return (StatedMpp(x, y, where),) if x > 0 and y > 0 else ()  # NaN is not > 0


def _um_per(unit: str) -> float | None:
    return _UM_PER_UNIT.get(html.unescape(unit).strip().replace("\N{GREEK SMALL LETTER MU}", "µ").lower())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _ome(description: str) -> tuple[StatedMpp, ...]:
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", description)
    if pixels is None:
        return ()
    attributes: dict[str, str] = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', pixels[0]))
    if "PhysicalSizeX" not in attributes:
        return ()
    sizes = []
    for axis in "XY":
        size = attributes.get(f"PhysicalSize{axis}", attributes["PhysicalSizeX"])
        um = _um_per(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
        sizes.append(_number(size) * (math.nan if um is None else um))
    return _found(sizes[0], sizes[1], "OME PhysicalSize")


def _aperio(description: str) -> tuple[StatedMpp, ...]:
    numbers = re.findall(r"\bMPP\s*=\s*([0-9.eE+-]+)", description)
    mpp = _number(numbers[0]) if numbers else math.nan
    return _found(mpp, mpp, "Aperio MPP")
