"""The inputs of a run: what they are called, what is known of them, and how to get at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histofactor.errors import HistofactorError, ImageError
from histofactor.recipe import fingerprint
from histofactor.slides.budget import MAX_IMAGE_GB
from histofactor.slides.reader import Slide, open_slide
from histofactor.slides.slide_parts import files_of, is_features
from histofactor.tcga.fetch import FetchOptions, fetched
from histofactor.tcga.gdc import GdcFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How inputs are opened; as for ``open_slide``.

    Attributes:
        source_mpp: µm/px where their header lacks it.
        series: name or number of the image to read of files that hold several, or None for the largest.
        max_image_gb: 10⁹ bytes that a plain image may take in memory.
    """

    source_mpp: float | None = None
    series: str | int | None = None
    max_image_gb: float = MAX_IMAGE_GB

    def open(self, path: Path, source_mpp: float | None = None) -> Slide:
        """Open an input; raises what ``open_slide`` does.

        Args:
            path: the file.
            source_mpp: µm/px that is known of this one.
        """
        mpp = source_mpp or self.source_mpp
        if is_features(path):
            from histofactor.segmentation.feature_file import FeatureSlide  # loads PyTorch, which pixels do not need

            return FeatureSlide(path, lambda image: self.open(image, mpp), mpp)
        return open_slide(path, source_mpp=mpp, series=self.series, max_image_gb=self.max_image_gb)


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user says of one input.

    Attributes:
        mpp: its µm/px where its header lacks it or is wrong, or None.
        group: hospital, project, …; tokens are balanced over groups where concepts are learned.
        mask: image of its tissue (> 0), or None.
    """

    mpp: float | None = None
    group: str | None = None
    mask: Path | None = None


NOTHING = Stated()


@dataclass(frozen=True, slots=True)
class Source:
    """One input.

    Attributes:
        name: what tells it from all others, wherever it lies.
        group: hospital, project, …; tokens are balanced over groups, and over the slides of each.
        mpp: µm/px where its header lacks it, or None for that of the run.
        content: ``fingerprint`` of its files; "" where they are fetched, or cannot be read.
        mask: path of an image of its tissue, or "" for that of the run.
    """

    name: str
    group: str | None = None
    mpp: float | None = None
    content: str = ""
    mask: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Inputs, and how to get at them.

    Attributes:
        all: every one of them.
        find: yields, for those that are still to be done, where each lies or why it cannot be had; asked for the next
            one, it may take the one before away.
        together: whether it never does, so that several can be worked on at a time.
    """

    all: Sequence[Source]
    find: Callable[[Sequence[Source]], Iterable[Path | HistofactorError]]
    together: bool = False


def file_sources(paths: Sequence[str | Path], stated: Mapping[Path, Stated] | None = None) -> Sources:
    """Files on disk.

    Args:
        paths: where they lie.
        stated: what is said of some of them, see ``runs.table``.
    """
    stated, found = stated or {}, []
    for source, path in zip(name_sources(paths), map(Path, paths), strict=True):
        one = stated.get(path, NOTHING)
        mask = "" if one.mask is None else str(one.mask)
        found.append(replace(source, group=one.group, mpp=one.mpp, content=content_of(path), mask=mask))
    by_name = {source.name: Path(path) for source, path in zip(found, paths, strict=True)}
    return Sources(found, lambda todo: (by_name[source.name] for source in todo), together=True)


def manifest_sources(files: Sequence[GdcFile], folder: Path, options: FetchOptions | None = None) -> Sources:
    """Files that are fetched, worked on and deleted one after another, balanced over their projects.

    Args:
        files: from ``read_manifest``.
        folder: where a few of them lie at a time.
        options: how they are fetched.
    """
    by_name = {file.name: file for file in files}
    sources = [Source(file.name, file.project or None) for file in files]
    return Sources(sources, lambda todo: fetched([by_name[source.name] for source in todo], folder, options))


def content_of(path: Path) -> str:
    """``fingerprint`` of the files of an input, "" where they cannot be read: whoever opens it says why."""
    try:
        return fingerprint(*files_of(path))
    except ImageError:
        return ""


def shown_names(inputs: Iterable[str | Path]) -> dict[str, str]:
    """What inputs are called where they are listed: their file names, with as many folders above as tell them apart.

    Args:
        inputs: paths as they were given.

    Returns:
        By path.
    """
    alike: dict[str, list[str]] = {}
    for path in dict.fromkeys(map(str, inputs)):
        alike.setdefault(Path(path).name, []).append(path)
    return {path: source.name for same in alike.values() for path, source in zip(same, name_sources(same), strict=True)}


def name_sources(paths: Sequence[str | Path]) -> list[Source]:
    """Sources by the shortest ends of their paths that tell them apart."""
    whole = [Path(path).resolve().parts for path in paths]
    depth = 1
    while len({parts[-depth:] for parts in whole}) < len(set(whole)):
        depth += 1
    return [Source("/".join(parts[-depth:])) for parts in whole]
