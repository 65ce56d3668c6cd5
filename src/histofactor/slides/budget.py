"""How much memory one plain image may take: told from its header, before anything is decoded."""

from __future__ import annotations

from histofactor.errors import ImageError, OptionError

MAX_IMAGE_GB = 2.0
"""Default budget in 10⁹ bytes: all copies of the px that decoding holds at a time."""


def check_limit(max_image_gb: float) -> None:
    """Check the budget that the user states.

    Raises:
        OptionError: it is no positive number.
    """
    if not 0 < max_image_gb < float("inf"):  # refuses NaN too
        raise OptionError("max_image_gb is no size", expected="a number of GB above 0", got=f"{max_image_gb!r}")


def check_budget(size: tuple[int, int], bytes_per_px: float, max_image_gb: float, name: str) -> None:
    """Refuse an image whose px will not fit the budget once decoded.

    Args:
        size: (width, height) in px that the header claims.
        bytes_per_px: of all copies that are held at a time.
        max_image_gb: the budget in 10⁹ bytes.
        name: the input, for the message.

    Raises:
        ImageError: it takes more than the budget.
    """
    needed_gb = size[0] * size[1] * bytes_per_px / 1e9
    if needed_gb > max_image_gb:
        raise ImageError(
            f"{name} is too large for a plain image",
            expected=f"at most {max_image_gb:g} GB once decoded (--max-image-gb)",
            got=f"{size[0]} × {size[1]} px, {needed_gb:.3g} GB",
            mend="export it as a tiled, pyramidal TIFF, shrink it, or raise the limit",
        )
