"""µm/px as headers state it, and how far it is believed.

Image headers are full of resolutions that mean a screen or a printer (72, 96, 300 dpi). Only what a
microscope can have made, 0.05 to 20 µm/px, is believed; the rest counts as not stated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from histofactor.errors import ResolutionError
from histofactor.slides.ome import ome_images
from histofactor.slides.warnings import UNKNOWN_MPP

PLAUSIBLE_MPP = (0.05, 20.0)
UM_PER_INCH = 25_400.0
MAX_ANISOTROPY = 0.05
_UM_PER_UNIT = {
    "pm": 1e-6, "å": 1e-4, "nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometers": 1.0, "micrometre": 1.0, "micrometres": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "dm": 1e5,
    "m": 1e6, "km": 1e9, "thou": 25.4, "mil": 25.4, "inch": UM_PER_INCH, "in": UM_PER_INCH, '"': UM_PER_INCH,
    "ft": 12 * UM_PER_INCH, "yd": 36 * UM_PER_INCH, "pt": UM_PER_INCH / 72,
}  # fmt: skip
_NO_UNIT = {"", "pixel", "pixels", "px", "reference frame"}  # of nothing that could be measured
_UM_PER_TIFF_UNIT = {2: UM_PER_INCH, 3: 1e4}
_MAX_TEXT = 2**16  # characters of a description that is no OME-XML


@dataclass(frozen=True, slots=True)
class StatedMpp:
    """A µm/px that a header states.

    Attributes:
        x, y: µm per px along the two axes; NaN where the unit is not known.
        where: the field that states it, in words.
        unit: the unit that is not known, else "".
    """

    x: float
    y: float
    where: str
    unit: str = ""


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
    stated = next((found for image in ome_images(description) if (found := from_ome(image.pixels))), ())
    stated += _aperio(description[:_MAX_TEXT])
    if resolution is None:
        return stated
    if description.startswith("ImageJ="):
        word = re.search(r"^unit=([^\r\n]*+)", description[:_MAX_TEXT], re.MULTILINE)
        return stated + _in_unit(
            [1 / _positive(value) for value in resolution], [word[1] if word else ""] * 2, "ImageJ unit"
        )
    if unit not in _UM_PER_TIFF_UNIT:
        return stated
    x, y = (_inverse(value, _UM_PER_TIFF_UNIT[unit]) for value in resolution)
    return stated + _found(x, y, "TIFF resolution")


def from_ome(pixels: Mapping[str, str]) -> tuple[StatedMpp, ...]:
    """Read the physical size that the attributes of an OME Pixels element state; x stands for y where y lacks."""
    if "PhysicalSizeX" not in pixels:
        return ()
    sizes = [_number(pixels.get(f"PhysicalSize{axis}", pixels["PhysicalSizeX"])) for axis in "XY"]
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XY"]
    return _in_unit(sizes, units, "OME PhysicalSize")


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
    unknown = tuple(f"the header's {item.where}: unit {item.unit!r} not known" for item in stated if item.unit)
    if source_mpp is not None:
        check_mpp(source_mpp, "--source-mpp")
        if believed and not math.isclose(believed.x, source_mpp, rel_tol=1e-3):
            note = f"--source-mpp {source_mpp:g} µm/px replaces the header's {believed.x:.4g} ({believed.where})"
            return float(source_mpp), (note,)
        return float(source_mpp), ()
    if believed is None:
        ignored = unknown + tuple(
            f"the header's {item.where}, {item.x:.4g} µm/px, is none of a microscope and was not believed"
            for item in stated
            if not item.unit
        )
        if required:
            raise ResolutionError(
                f"the whole slide {name} states no µm/px",
                expected="µm/px in its header",
                got="; ".join(ignored) or "none",
                mend="state it with --source-mpp; 40x scans have about 0.25 µm/px, 20x about 0.5",
            )
        return None, (*ignored, UNKNOWN_MPP)
    if abs(believed.x - believed.y) > MAX_ANISOTROPY * min(believed.x, believed.y):
        raise ResolutionError(
            f"the pixels of {name} are not square",
            expected="the same µm/px along x and y",
            got=f"x {believed.x:.4g} and y {believed.y:.4g} µm/px ({believed.where})",
            mend="state the right one with --source-mpp",
        )
    return math.sqrt(believed.x * believed.y), unknown


def _plausible(mpp: float) -> bool:
    return PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


def _inverse(px_per_unit: float, um_per_unit: float) -> float:
    value = float(px_per_unit)
    return um_per_unit / value if math.isfinite(value) and value > 0 else math.nan


def _found(x: float, y: float, where: str) -> tuple[StatedMpp, ...]:
    """What is stated, be it impossible, which is told; nothing where there is no number."""
    return () if math.isnan(x) or math.isnan(y) else (StatedMpp(x, y, where),)


def _in_unit(sizes: list[float], units: list[str], where: str) -> tuple[StatedMpp, ...]:
    """Sizes of a px along x and y in units of their own; a unit that is not known is told, not passed over."""
    words = [_unit_word(unit) for unit in units]
    unknown = [word for word in words if word not in _UM_PER_UNIT and word not in _NO_UNIT]
    if unknown:
        return (StatedMpp(math.nan, math.nan, where, unknown[0][:40]),)
    x, y = (size * _UM_PER_UNIT.get(word, math.nan) for size, word in zip(sizes, words, strict=True))
    return _found(x, y, where)


def _unit_word(unit: str) -> str:
    """A unit as this module spells it, also where UTF-8 was taken for Latin-1 on its way."""
    word = unit.strip().replace("\\u00B5", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ").replace("Î¼", "µ")
    return word.replace("Âµ", "µ").replace("\N{ANGSTROM SIGN}", "Å").lower()


def _positive(value: float) -> float:
    return float(value) if value > 0 else math.nan


def _number(text: str) -> float:
    """A number, with a decimal point or a decimal comma."""
    try:
        return float(text.strip().replace(",", ".", 1))
    except ValueError:
        return math.nan


def _aperio(description: str) -> tuple[StatedMpp, ...]:
    number = re.search(r"\bMPP\s*+=\s*+([0-9.,eE+-]++)", description)
    mpp = _number(number[1]) if number else math.nan
    return _found(mpp, mpp, "Aperio MPP")
