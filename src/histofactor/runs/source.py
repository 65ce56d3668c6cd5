"""The inputs of a run: what they are called, what is known of them, and how to get at them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from histofactor.base.digests import path_digest
from histofactor.errors import HistofactorError, ImageError, OptionError
from histofactor.recipe import fingerprint
from histofactor.records.urls import Input, Url, as_input
from histofactor.slides.budget import MAX_IMAGE_GB
from histofactor.slides.decoded import IMAGES
from histofactor.slides.reader import Slide, open_slide
from histofactor.slides.remote.cache import CACHE_GB, cache_of
from histofactor.slides.remote.parts import located, located_all
from histofactor.slides.remote.slide import FetchedSlide, open_held, told_as
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
        cache: folder that inputs of stores are fetched to, or None for one of the system's for temporary files.
        cache_gb: 10⁹ bytes that they take there at most, for each process.
    """

    source_mpp: float | None = None
    series: str | int | None = None
    max_image_gb: float = MAX_IMAGE_GB
    cache: str | None = None
    cache_gb: float = CACHE_GB

    def open(self, path: Input, source_mpp: float | None = None) -> Slide:
        """Open an input; raises what ``open_slide`` does.

        Args:
            path: the file, or a URL, which is fetched as far as it is read.
            source_mpp: µm/px that is known of this one.
        """
        mpp = source_mpp or self.source_mpp
        if isinstance(path, Url):
            with ExitStack() as stack:
                held = stack.enter_context(cache_of(self.cache, self.cache_gb).held(path))
                stack.enter_context(told_as(held.path, path))
                slide = stack.enter_context(open_held(held, mpp, self.series, self.max_image_gb))
                return FetchedSlide(slide, path, held, stack.pop_all())
        if is_features(path):
            from histofactor.segmentation.feature_file import FeatureSlide  # loads PyTorch, which pixels do not need

            return FeatureSlide(path, lambda image: self.open(image, mpp), mpp)
        return open_slide(path, source_mpp=mpp, series=self.series, max_image_gb=self.max_image_gb)

    @contextmanager
    def local(self, path: Input) -> Iterator[Path]:
        """Yield the file of an input on this machine; that of a URL is fetched, and stays while the block lasts.

        Raises:
            ImageError: it cannot be had.
            OutputError: the cache cannot be written.
        """
        if not isinstance(path, Url):
            yield path
            return
        with cache_of(self.cache, self.cache_gb).file(path) as file, told_as(file, path):
            yield file

    def content(self, path: Input) -> str:
        """What changes with the content of an input: ``fingerprint`` of its files, or what a store tells of them.

        An input of which a store tells no version is fetched for it.

        Raises:
            ImageError: it cannot be read, or had.
        """
        if not isinstance(path, Url):
            return fingerprint(*files_of(path))
        path = located(path)
        known = "\n".join(f"{file.name}\n{file.size}\n{file.version}" for file in path.files)
        if not all(file.version for file in path.files):
            with self.local(path) as first:
                known = "\n".join(path_digest(first.parent / file.name) for file in path.files)
        return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()

    def ahead(self, paths: Iterable[Input]) -> None:
        """Begin to fetch URLs that are wanted soon, and to decode images that are held."""
        paths = list(paths)
        if urls := [path for path in paths if isinstance(path, Url)]:
            cache_of(self.cache, self.cache_gb).ahead(urls)
        for path in paths:
            if isinstance(path, Path):
                IMAGES.ahead(path, lambda image: self.open(image).close())

    def hold(self, path: Input) -> None:
        """Keep what a plain image is decoded to until it is discarded: it is opened again, see ``DecodedImages``."""
        if isinstance(path, Path) and not is_features(path):
            IMAGES.hold(path)

    def discard(self, path: Input) -> None:
        """Delete what was fetched of a URL that is done, and let px go that are held."""
        if isinstance(path, Url):
            cache_of(self.cache, self.cache_gb).discard(path)
        else:
            IMAGES.let_go(path)


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
    find: Callable[[Sequence[Source]], Iterable[Input | HistofactorError]]
    together: bool = False


def file_sources(
    paths: Sequence[str | Input], stated: Mapping[Input, Stated] | None = None, opening: Opening | None = None
) -> Sources:
    """Files on disk, and on stores.

    Args:
        paths: where they lie.
        stated: what is said of some of them, see ``runs.table``.
        opening: how those on stores are fetched.
    """
    stated, opening, found = stated or {}, opening or Opening(), []
    inputs = settled(paths)
    for source, path in zip(name_sources(inputs), inputs, strict=True):
        one = stated.get(path, NOTHING)
        mask = "" if one.mask is None else str(one.mask)
        found.append(replace(source, group=one.group, mpp=one.mpp, content=content_of(path, opening), mask=mask))
    by_name = {source.name: path for source, path in zip(found, inputs, strict=True)}
    return Sources(found, lambda todo: (by_name[source.name] for source in todo), together=True)


def settled(paths: Sequence[str | Input]) -> list[Input]:
    """Inputs as they are named; stores are asked for the files of those that lie there, side by side.

    Raises:
        OptionError: nothing reads such stores, or what does is not installed.
    """
    inputs = [as_input(path) for path in paths]
    there = iter(located_all([one for one in inputs if isinstance(one, Url)]))
    return [next(there) if isinstance(one, Url) else one for one in inputs]


def digest_of(slide: Slide, path: Input) -> str:
    """SHA-256 of the file that stands for an input that is open; "" where not all of it is on this machine."""
    if isinstance(slide, FetchedSlide):
        return path_digest(slide.path) if slide.is_whole else ""
    return path_digest(files_of(Path(str(path)))[0])


def one_ahead(paths: Sequence[Input], opening: Opening) -> Iterator[Input]:
    """Inputs one after another; those of stores are fetched while the one before is worked on."""
    for index, path in enumerate(paths, 1):
        opening.ahead(paths[index : index + 1])
        yield path


def check_balance(balance: str | None, sources: Sequence[Source]) -> None:
    """Raise OptionError unless tokens can be balanced so: over every ``slide``, or every ``group`` that there is."""
    if balance not in {None, "slide", "group"}:
        raise OptionError(f"nothing is balanced over {balance!r}", expected="slide or group")
    if balance == "group" and all(source.group is None for source in sources):
        raise OptionError(
            "there are no groups to balance over",
            expected="a table with the group (hospital, …) of the inputs",
            got="none",
            mend="give one with --table, or leave --balance out",
        )


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


def content_of(path: Input, opening: Opening | None = None) -> str:
    """As ``Opening.content``, "" where it cannot be told: whoever opens the input says why."""
    try:
        return (opening or Opening()).content(path)
    except ImageError:
        return ""


def shown_names(inputs: Iterable[str | Input]) -> dict[str, str]:
    """What inputs are called where they are listed: their file names, with as many folders above as tell them apart.

    Args:
        inputs: paths as they were given.

    Returns:
        By path.
    """
    alike: dict[str, list[str]] = {}
    for path in dict.fromkeys(map(str, inputs)):
        alike.setdefault(as_input(path).name, []).append(path)
    return {path: source.name for same in alike.values() for path, source in zip(same, name_sources(same), strict=True)}


def is_there(path: Input) -> bool:
    """Whether an input may be opened again; of a URL, whether its address is known."""
    return path.is_whole if isinstance(path, Url) else path.exists()


def name_sources(paths: Sequence[str | Input]) -> list[Source]:
    """Sources by the shortest ends of their paths that tell them apart."""
    whole = [as_input(path).resolve().parts for path in paths]
    depth = 1
    while len({parts[-depth:] for parts in whole}) < len(set(whole)):
        depth += 1
    return [Source("/".join(parts[-depth:])) for parts in whole]
