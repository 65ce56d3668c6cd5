"""What ``histofactor encoders check`` writes, and how it tells what is wrong."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from histofactor.base.files import atomic
from histofactor.errors import EncoderError, OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histofactor.encoders.encoder import Encoder

_ENDINGS = (".png", ".html")
_MOST_PX = 2048  # of the picture's side
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:14px system-ui;margin:2em}}img{{width:48%;image-rendering:pixelated}}</style>
<h1>{title}</h1><p>{told}</p><img alt="picture" src="{picture}"> <img alt="tokens as colours" src="{seen}"></html>
"""


def check_ending(path: Path) -> None:
    """Raise OptionError unless a map can be written to a file of that name."""
    if path.suffix.lower() not in _ENDINGS:
        raise OptionError(
            f"cannot write a map to {path}", expected="FILE.png or FILE.html", got=path.suffix or "no ending"
        )


def what_to_do_first(error: EncoderError) -> EncoderError:
    """The same error, whose first words are what to do."""
    if not error.mend:
        return error
    return EncoderError(f"{error.mend}: {error.what}", expected=error.expected, got=error.got)


def write_map(encoder: Encoder, picture: Path | None, path: Path) -> str:
    """Draw what an encoder sees in a picture, and say where that is.

    Args:
        encoder: with its weights.
        picture: an image or a slide, whose middle is drawn at the encoder's µm/px; None for procedural tissue.
        path: a PNG, whose px lie on those of the picture, or a page with both.

    Raises:
        ImageError, OutputError: the picture cannot be read, or the file cannot be written.
    """
    from histofactor.encoders.pca import pca_map

    pixels, patch = _pixels(encoder, picture), encoder.spec.patch_px
    colors = pca_map(encoder, pixels)
    seen = colors.repeat(patch, 0).repeat(patch, 1)[: pixels.shape[0], : pixels.shape[1]]
    source = "procedural tissue" if picture is None else picture.name
    told = (
        f"{source}, {pixels.shape[1]} × {pixels.shape[0]} px at {encoder.spec.mpp:g} µm/px: the first three principal "
    )
    told += f"components of {colors.shape[1]} × {colors.shape[0]} tokens as red, green and blue"
    content = _png(seen)
    if path.suffix.lower() == ".html":
        page = _PAGE.format(
            title=html.escape(encoder.spec.name), told=html.escape(told), picture=_uri(_png(pixels)), seen=_uri(content)
        )
        content = page.encode()
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return f"{path}, of {told}"


def _pixels(encoder: Encoder, picture: Path | None) -> NDArray[np.uint8]:
    """The middle of a picture at the encoder's µm/px, (height, width, 3)."""
    from histofactor.records import Region
    from histofactor.slides.geometry.frame import make_frame
    from histofactor.slides.phantom import phantom
    from histofactor.slides.reader import open_slide

    mpp = encoder.spec.mpp
    if picture is None:
        return phantom((_MOST_PX // 2, _MOST_PX // 2), seed=0, mpp=mpp).image
    with open_slide(picture) as slide:
        frame = make_frame(slide.info, mpp, encoder.spec.patch_px)
        width, height = (min(side, _MOST_PX) for side in frame.t_size)
        scale_x, scale_y = frame.l0_per_px
        x, y = ((frame.t_size[0] - width) // 2 * scale_x, (frame.t_size[1] - height) // 2 * scale_y)
        return slide.read(Region(x, y, width * scale_x, height * scale_y, (width, height), frame.t_mpp))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
