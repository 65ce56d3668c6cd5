"""The dense features of many inputs, a folder each."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import histofactor
from histofactor.base.clock import Watch
from histofactor.base.files import check_folder, sweep
from histofactor.encoders.encoder import Encoder
from histofactor.errors import OptionError
from histofactor.recipe import fingerprint, release
from histofactor.records.urls import Input, check_here
from histofactor.runs.outcome import Outcome, attempt
from histofactor.runs.place import LOCKS, locked, name_folders
from histofactor.runs.request import ManyOptions
from histofactor.runs.source import NOTHING, one_ahead, settled
from histofactor.segmentation.feature_file import recipe_in, told_of
from histofactor.segmentation.feature_writer import DTYPES, write_features
from histofactor.segmentation.plan import mask_of
from histofactor.segmentation.setup import Setup, learning_setup, with_mask
from histofactor.slides.slide_parts import FEATURES, is_features

_TOLD = 32  # letters of a folder's name that its temporary one ends with, see ``base.files``


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is written: float16 or float32, and whether over features that were made in another way."""

    dtype: str
    overwrite: bool


def write_many_features(
    inputs: Sequence[str | Input],
    out: Path,
    *,
    encoder: str | Encoder,
    options: ManyOptions,
    dtype: str = "float16",
    overwrite: bool = False,
) -> list[Outcome]:
    """Encode many inputs and write ``OUT/NAME.features.zarr`` of each; one that fails does not stop the others.

    Features that are there and were made in the same way are kept; others are not written over unless that is asked
    for, and the input counts as failed. What a process that was killed left behind is cleared. Where no transform is
    asked for they are ``split-root``, as concepts are learned from.

    Args:
        inputs: files.
        out: the folder to write into.
        encoder: name of an encoder, or one that is loaded.
        options: how inputs are opened and encoded, and who is told.
        dtype: ``float16`` or ``float32``.
        overwrite: write over features that were made in another way.

    Returns:
        Outcomes in the order of the inputs.

    Raises:
        OptionError: there are no inputs, or the type is unknown.
        OutputError: the folder cannot be written.
        HistofactorError: the encoder cannot be used.
    """
    if not inputs:
        raise OptionError("there is nothing to encode", expected="at least one input", got="none")
    if dtype not in DTYPES:
        raise OptionError(f"unknown type {dtype!r}", expected=f"one of {', '.join(DTYPES)}")
    check_here(out)
    paths = settled(inputs)
    setup, reporter, outcomes = learning_setup(encoder, options.mpp, options.segment), options.observer.reporter, []
    check_folder(out / LOCKS, inside=out)
    for index, (path, name) in enumerate(zip(one_ahead(paths, options.opening), name_folders(paths, {}), strict=True)):
        reporter.on_input(str(path), index, len(paths))
        folder = out / f"{name}{FEATURES}"
        outcome = attempt(str(path), partial(_write, path, folder, setup, options, _Wanted(dtype, overwrite)))
        options.opening.discard(path)
        reporter.on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


def _write(path: Input, folder: Path, setup: Setup, options: ManyOptions, wanted: _Wanted) -> Outcome:
    """The features of one input, by one process at a time, which clears what a killed one left of them."""
    end, locks = folder.name[-_TOLD:], folder.parent / LOCKS
    with locked(locks / f"{folder.name}.lock.json", guards=[folder]):
        if not any(other.name != f"{folder.name}.lock.json" for other in locks.glob(f"*{glob.escape(end)}.lock.json")):
            sweep(folder.parent, {end})
        return _written(path, folder, setup, options, wanted)


def _written(path: Input, folder: Path, setup: Setup, options: ManyOptions, wanted: _Wanted) -> Outcome:
    """What became of one input."""
    if is_features(path):
        raise OptionError(f"{path} holds features already", mend="name an image")
    known = options.known.get(path, NOTHING)
    setup, opening = with_mask(setup, known.mask), options.opening
    opening = replace(opening, source_mpp=known.mpp or opening.source_mpp)
    mask = None if setup.tissue.mask is None else fingerprint(mask_of(setup.tissue.mask, path))
    encoder = setup.encoder
    recipe = [
        release(histofactor.__version__), str(path.resolve()), opening.content(path), opening.source_mpp,
        opening.series, asdict(encoder.spec), encoder.precision, encoder.repaired, setup.mpp, setup.views,
        setup.shift_px, setup.tissue.find, mask, wanted.dtype,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    before = recipe_in(folder)
    if options.resume and before == digest:
        return Outcome(str(path), "kept", folder.name)
    if before not in {"", digest} and not wanted.overwrite:
        raise OptionError(
            f"{folder} holds features that were made in another way",
            expected=f"{wanted.dtype} of {encoder.spec.name}, made now with these options from this input",
            got=told_of(folder),
            mend="give --overwrite, or another output folder",
        )
    with opening.open(path) as slide:
        watch = Watch(options.observer.reporter.on_window, options.observer.clock)
        n = write_features(slide, setup, folder, recipe=digest, dtype=wanted.dtype, watch=watch)
        notes = (*slide.info.notes, *([] if n else ["no tissue"]))
    return Outcome(str(path), "done", folder.name, notes=notes)
