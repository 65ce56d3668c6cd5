"""The dense features of one input on disk, and an input that is opened from them.

A Zarr 3 group with ``tokens`` (h, w, d) float16 or float32, the blended features ≥ 0 of every token, zeros where there
is no tissue; ``sq_norms`` (h, w) float32, their mean squared norms; ``tissue`` and ``unreadable`` (h, w) uint8; and
``thumbnail``, the tissue that was found, (height, width) uint8. The attribute ``histofactor`` tells where the grid lies
and which encoder made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from histofactor.base.arrays import open_array
from histofactor.base.text import counted
from histofactor.encoders.encoder import Encoder
from histofactor.errors import BankMismatch, HistofactorError, ImageError, OptionError
from histofactor.records import EncoderSpec, Region, SlideInfo, WeightsSource, WindowRule
from histofactor.records.urls import Input
from histofactor.segmentation.encoding import Blended, bands_of
from histofactor.segmentation.feature_cache import FeatureCache
from histofactor.segmentation.plan import Plan, lay_windows
from histofactor.segmentation.setup import Setup, TissueRule
from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.geometry.views import cell_px
from histofactor.slides.reader import Slide, open_slide
from histofactor.slides.slide_parts import is_features

FORMAT = 1
MAPS = {"sq_norms": np.float32, "tissue": np.uint8, "unreadable": np.uint8}


def recipe_in(path: Path) -> str:
    """The hash that features were written with, "" where there are none that can be read."""
    try:
        return str(_read_header(path)["recipe"])
    except ImageError:
        return ""


def told_of(path: Path) -> str:
    """What features are, in a few words: their type, encoder, version and µm/px.

    Raises:
        ImageError: they cannot be read.
    """
    header = _read_header(path)
    try:
        tokens: Any = zarr.open_group(path, mode="r", zarr_format=3)["tokens"]
        key, mpp = header["key"], header["grid"]["mpp"]
        at = "" if mpp is None else f" at {mpp:g} µm/px"
        return f"{tokens.dtype} of {key['name']}, {key['layer']}, {key['transform']}{at}, by {header['version']}"
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _read_header(path: Path) -> Mapping[str, Any]:
    try:
        header: Any = dict(zarr.open_group(path, mode="r", zarr_format=3).attrs)["histofactor"]
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    return dict(header)


def _damaged(path: Path, error: Exception) -> ImageError:
    what = f"the features in {path} cannot be read"
    expected = "what `histofactor features` of this version wrote"
    return ImageError(what, expected=expected, got=str(error) or type(error).__name__, mend="write them again")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Bands of features, read from disk as they are asked for."""

    path: Path
    plan: Plan
    dim: int

    def __iter__(self) -> Iterator[Blended]:
        width, height = self.plan.frame.g_size
        try:
            group = zarr.open_group(self.path, mode="r", zarr_format=3)
            tokens: Any = group["tokens"]
            dtype = np.float16 if tokens.dtype == np.float16 else np.float32
            tokens = open_array(group, "tokens", (height, width, self.dim), dtype)
            maps = {name: open_array(group, name, (height, width), kind) for name, kind in MAPS.items()}
            for row in self.plan.rows:
                for start, stop in bands_of(row):
                    sq_norms, tissue, unreadable = (maps[name][start:stop] for name in MAPS)
                    values = tokens[start:stop].astype(np.float32), sq_norms
                    masks = tissue.astype(bool), unreadable.astype(bool)
                    yield Blended((start, stop), stop == row.g_rows[1], *values, *masks)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(self.path, error) from error


class FeatureSlide:
    """An input that is known by its features; see ``slides.reader.Slide``.

    Its px are those of the image where that still lies where it was, else white, which its notes say.

    Args:
        path: folder that ``write_features`` wrote.
        opened: opens the image.
        source_mpp: µm/px that is stated of the image; the features were made at those that they tell.

    Raises:
        ImageError: the folder cannot be read.
        OptionError: other µm/px are stated.
    """

    def __init__(self, path: Path, opened: Callable[[Path], Slide], source_mpp: float | None = None) -> None:
        self.path, self._header = path, _read_header(path)
        self._image: Slide | None = None
        try:
            known, given = self._header["slide"], self._header["input"]
            size, notes = (int(known["size"][0]), int(known["size"][1])), tuple(map(str, known["notes"]))
            self.encoder = _encoder(self._header)
            image = None if given is None else Path(given["path"])
            self.info = SlideInfo(path, size, known["mpp"], (1.0,), str(known["reader"]), notes)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error
        if source_mpp is not None and source_mpp != self.info.mpp:
            ours = "an image without µm/px" if self.info.mpp is None else f"an image of {self.info.mpp:g} µm/px"
            raise OptionError(
                f"{path} holds features of {ours}",
                got=f"--source-mpp {source_mpp:g}",
                mend="leave it out, or give it to `histofactor features` with the image",
            )
        self._open_image(image, opened)

    def _open_image(self, image: Path | None, opened: Callable[[Path], Slide]) -> None:
        why = "an array in memory" if image is None else f"{image} is gone"
        if image is not None and image.exists():
            try:
                self._image = opened(image)
                if self._image.info.size == self.info.size:
                    return
                why = f"{image} has another size now"
                self._image.close()
            except HistofactorError as error:
                why = str(error)
            self._image = None
        note = f"segmented from features, and pictures of the tissue are left white: {why}"
        self.info = replace(self.info, notes=(*self.info.notes, note))

    def cache(self, theirs: Setup) -> FeatureCache:
        """The features, to be worked in a setup.

        Raises:
            BankMismatch: the setup is of another encoder.
            OptionError: it asks for other µm/px.
            ImageError: the folder is damaged.
        """
        ours, asked = self.encoder.spec, theirs.encoder.spec
        if ours.key != asked.key:
            raise BankMismatch(
                f"{self.path} holds features of another encoder",
                expected=f"{asked.key}",
                got=f"{ours.key}",
                mend="give that encoder, and concepts that were learned on its features",
            )
        known = self._header["setup"]
        if theirs.mpp is not None and theirs.mpp != (known["mpp"] or ours.mpp):
            worked = f"{known['mpp'] or ours.mpp:g} µm/px"
            raise OptionError(
                f"{self.path} holds features at {worked}", got=f"--mpp {theirs.mpp:g}", mend="leave it out"
            )
        if theirs.tissue.mask is not None:
            raise OptionError(
                f"{self.path} holds features of the tissue that was found, or given, when they were written",
                got=f"a tissue mask, {theirs.tissue.mask}",
                mend="leave the mask out, or give it to `histofactor features`",
            )
        if theirs.colours:
            note = "its features tell no colours, so its borders do not follow the image"
            self.info = replace(self.info, notes=(*self.info.notes, note))
        if theirs.views != known["views"]:
            note = f"its features are of {counted(known['views'], 'view')} of each place, and so it is worked"
            self.info = replace(self.info, notes=(*self.info.notes, note))
        setup = replace(
            theirs, mpp=known["mpp"], views=known["views"], shift_px=known["shift_px"],
            tissue=TissueRule(known["tissue"]), colours=False,
        )  # fmt: skip
        frame = make_frame(self.info, setup.mpp or ours.mpp, cell_px(ours.patch_px, setup.views))
        try:
            group = zarr.open_group(self.path, mode="r", zarr_format=3)
            small: Any = group["thumbnail"]
            thumbnail = open_array(group, "thumbnail", small.shape, np.uint8)[:].astype(bool)
            plan = lay_windows(frame, setup, thumbnail)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(self.path, error) from error
        return FeatureCache(setup, plan, _Parts(self.path, plan, ours.dim))

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Read a region of the image; white where that is gone."""
        if self._image is not None:
            return self._image.read(region)
        return np.full((region.out_size[1], region.out_size[0], 3), 255, np.uint8)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an image that goes with the slide."""
        if self._image is None:
            raise ImageError(f"{self.path} has no image {name!r}")
        return self._image.read_associated(name)

    def close(self) -> None:
        """Free the image."""
        if self._image is not None:
            self._image.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_input(source: str | Path | NDArray[Any], source_mpp: float | None = None) -> Slide:
    """Open an image, a whole slide or features; arguments and errors as for ``open_slide``."""
    if isinstance(source, str | Path) and is_features(Path(source)):
        return FeatureSlide(Path(source), lambda image: open_slide(image, source_mpp=source_mpp), source_mpp)
    return open_slide(source, source_mpp=source_mpp)


def encoder_of(path: Path) -> Encoder:
    """What features were made by, without its network; raises ImageError where the folder cannot be read."""
    header = _read_header(path)
    try:
        return _encoder(header)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def encoder_for(paths: Sequence[Input], asked: str | Encoder) -> str | Encoder:
    """The encoder to work inputs with: that of the first where all of them are features, else the one asked for.

    Raises:
        BankMismatch: the features are of another encoder than the one asked for.
        ImageError: the first cannot be read.
    """
    first = next(iter(paths), None)
    if isinstance(asked, Encoder) or not isinstance(first, Path) or not all(map(is_features, paths)):
        return asked
    found = encoder_of(first)
    if asked not in {"embedded", found.spec.name}:
        raise BankMismatch(
            f"{first} holds features of another encoder", expected=asked, got=found.spec.name,
            mend=f"leave --encoder out, or give --encoder {found.spec.name}",
        )  # fmt: skip
    return found


def _encoder(header: Mapping[str, Any]) -> Encoder:
    stated, run = dict(header["encoder"]), header["inference"]
    stated |= {"source": WeightsSource(**stated["source"]), "window": WindowRule(**stated["window"])}
    stated |= {name: tuple(stated[name]) for name in ("mean", "std")}
    notes = tuple(map(str, run["notes"]))
    return Encoder(EncoderSpec(**stated), _no_network, torch.device("cpu"), run["precision"], run["repaired"], notes)


def _no_network(pixels: torch.Tensor) -> torch.Tensor:
    raise OptionError("this encoder is known by its features alone", mend="name it with --encoder to encode images")
