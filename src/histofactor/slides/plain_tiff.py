"""TIFF files that are plain images, decoded at once: by Pillow where it is known to be right, else by tifffile."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL import __version__ as pillow_version

from histofactor.errors import ImageError
from histofactor.slides.budget import check_budget
from histofactor.slides.pillow import quiet_pillow, suffix_note
from histofactor.slides.pixels import ORIENTATION_TAG, Decoded, check_size, unusable, upright_rgb
from histofactor.slides.pyramid import DamagedPixels
from histofactor.slides.samples import Samples, read_samples
from histofactor.slides.tiff import whole_picture
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_pictures import Picture, choose_picture, find_pictures
from histofactor.slides.tiff_tiles import grid_of, is_cut

_RGB = 2


def decode_tiff(path: Path, series: str | int | None, max_image_gb: float) -> Decoded:
    """Decode an image of a TIFF.

    Args:
        path: the file.
        series: name or number of one of several images in it; the largest if None.
        max_image_gb: 10⁹ bytes that all copies of the px may take.

    Raises:
        ImageError: no image of usable size and of px whose meaning is known, or several of full size.
        OptionError: no image is called ``series``.
        OSError, ValueError and others of ``DAMAGED``: the file is damaged.
    """
    file = OpenTiff(path)
    try:
        picture, left_out = choose_picture(find_pictures(file), series, path)
        check_size(picture.size, str(path))
        samples = read_samples(picture.levels[0], picture.channels, path)
        orientation = int(picture.base.tags.valueof(ORIENTATION_TAG, default=1))
        needed = 8 + (0 if samples.bits == 8 and samples.kind == "rgb" else 4 * samples.channels)
        check_budget(picture.size, needed, max_image_gb, str(path))
        image, reader, notes = _decode(file, picture, samples, max_image_gb)
    except DamagedPixels as error:
        raise OSError(str(error)) from error
    finally:
        file.close()
    rgb, conversions = upright_rgb(image, orientation, path)
    named = suffix_note(path, "TIFF")
    return Decoded(rgb, picture.stated, reader, (*named, *left_out, *notes, *conversions))


def _decode(
    file: OpenTiff, picture: Picture, samples: Samples, max_image_gb: float
) -> tuple[Image.Image, str, tuple[str, ...]]:
    """The px as stored, turned to no side: image, reader, notes."""
    import tifffile

    if any(is_cut(grid_of(page), file.size) for page in picture.levels[0]):
        raise OSError("its pixel data ends early")
    if _is_plain(picture, samples):
        try:
            image, said = _by_pillow(file.path, picture)
        except UnidentifiedImageError:
            pass  # a packing that Pillow lacks
        else:
            return image, f"Pillow {pillow_version}", tuple(f"Pillow warns: {message}" for message in said)
    image, notes = whole_picture(file, picture, max_image_gb)
    image.getexif()[ORIENTATION_TAG] = int(picture.base.tags.valueof(ORIENTATION_TAG, default=1))
    return image, f"tifffile {tifffile.__version__}", notes


def _is_plain(picture: Picture, samples: Samples) -> bool:
    """Whether Pillow decodes what the samples mean; packed px it hands to libtiff, which prints what it finds wrong."""
    page = picture.base
    known = samples.channels == samples.colors or bool(samples.alpha)
    odd = samples.kind == "ycbcr" or (samples.kind == "rgb" and page.photometric != _RGB)
    return page.compression == 1 and samples.bits <= 8 and known and not odd and len(picture.levels[0]) == 1


def _by_pillow(path: Path, picture: Picture) -> tuple[Image.Image, list[str]]:
    with path.open("rb") as file, quiet_pillow() as said:
        image = Image.open(file, formats=("TIFF",))
        image.seek(picture.index)
        if sorted(image.size) != sorted(picture.size):  # Pillow tells the size once turned
            got = f"{image.size[0]} × {image.size[1]} px beside {picture.size[0]} × {picture.size[1]}"
            raise ImageError(f"{path} is damaged", expected="one size of an image", got=got, mend="export it again")
        image.load()
    if image.mode in ("I", "F"):
        raise unusable(path, f"{image.mode} pixels")
    return image, said
