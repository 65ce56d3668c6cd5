"""What is loaded once and used for every input: how tokens come about, and which concepts weigh them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.provenance import window_of
from histofactor.concepts.bank.record import check_features
from histofactor.encoders.build import load_encoder
from histofactor.encoders.encoder import Encoder, Inference
from histofactor.encoders.registry import get
from histofactor.errors import BankError, OptionError
from histofactor.masks.borders import BORDERS
from histofactor.records import ConceptBank
from histofactor.segmentation.given_bank import check_unlike, check_width, find_bank, find_limit, told_of_window
from histofactor.segmentation.method import Directions, Factorization, Method, method_of
from histofactor.slides.resolution import check_mpp

DEFAULT_TRANSFORM = "split-root"  # of features to learn from, the best of those tried: docs/benchmarks.md
_MASKED = "a tissue mask is given, and everything is to count as tissue"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """What is seldom changed.

    Attributes:
        weights: local weights file of the encoder.
        layer: where features are taken; default as for the concepts, else as in the registry.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        components: number of components of ``factorize``, and of ``single`` where K is not given.
        seed: of what is drawn at random: the sample that concepts are learned from, and the start of ``factorize`` and
            ``single``.
        tissue: find tissue first; else everything counts as tissue.
        tissue_mask: an image of the tissue (> 0), or a folder of such images with the stems of the inputs; it takes the
            place of finding tissue.
        transform: what makes features non-negative; default as for the concepts, else as in the registry.
        inference: number format and the like of the encoder.
        views: how often every window is encoded, turned and moved: 4, or 1 for a fast single pass.
        shift_px: move the window layout by this many working px; labels must not care.
        unlike: residual in (0, 1) above which tissue gets a label of its own, "unlike the bank", or ``auto`` for the
            bank's limit; None gives all tissue the label of a concept.
        min_area_um2: pieces of fewer µm² are merged into what surrounds them, see ``masks.small``; 0 and None keep
            all.
        borders: ``image`` averages the weights of tokens with those nearby of the same colour, see ``masks.borders``;
            ``exact`` keeps those of the projection.
    """

    weights: str | Path | None = None
    layer: str | None = None
    device: str = "auto"
    components: int = 20
    seed: int = 0
    tissue: bool = True
    tissue_mask: str | Path | None = None
    transform: str | None = None
    inference: Inference = field(default_factory=Inference)
    views: int = 4
    shift_px: int = 0
    unlike: str | float | None = None
    min_area_um2: float | None = None
    borders: str = "exact"


@dataclass(frozen=True, slots=True)
class TissueRule:
    """Where tissue is.

    Attributes:
        find: find it; else everything counts as tissue.
        mask: an image of it (> 0), or a folder of such images with the stems of the inputs, which takes the place of
            finding it; or None.
    """

    find: bool = True
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """How the tokens of an input come about: the same for every method and all concepts.

    Attributes:
        encoder: what makes them.
        mpp: µm/px to work at, or None for the encoder's own.
        tissue: where they are looked for.
        views: how often every window is encoded, turned and moved.
        shift_px: working px by which the window layout is moved.
        colours: whether the mean colour of the px of every token is kept beside it.
    """

    encoder: Encoder
    mpp: float | None = None
    tissue: TissueRule = field(default_factory=TissueRule)
    views: int = 4
    shift_px: int = 0
    colours: bool = False


@dataclass(frozen=True, slots=True)
class Segmenter:
    """Which concepts weigh the tokens, and how; loaded once and used for every input.

    Attributes:
        setup: how tokens come about.
        method: how they are weighed.
        bank: the concepts, or None for a method that finds its own.
        factorization: for methods that factorize the input.
        unlike: the residual above which tissue is unlike the bank; None where it is not asked for.
        min_area_um2: pieces of fewer µm² are merged into what surrounds them; None where it is not asked for.
    """

    setup: Setup
    method: Method
    bank: ConceptBank | None
    factorization: Factorization = field(default_factory=Factorization)
    unlike: float | None = None
    min_area_um2: float | None = None

    @property
    def borders(self) -> str:
        """What borders follow, see ``masks.borders``."""
        return "image" if self.setup.colours else "exact"

    @property
    def k(self) -> int:
        """Number of concepts."""
        return self.factorization.components if self.bank is None else len(self.bank.vectors)

    @property
    def directions(self) -> Directions | None:
        """What features are multiplied with before blending, (d, r); None keeps the features."""
        return None if self.bank is None else self.method.directions(self.bank)

    @property
    def owners(self) -> tuple[int, ...] | None:
        """The concept of every column of weights, where they are those of leaves of unions; else None."""
        return None if self.bank is None else self.method.owners(self.bank)


def prepare_setup(encoder: Encoder, mpp: float | None = None, options: SegmentOptions | None = None) -> Setup:
    """Check all that tokens depend on.

    Args:
        encoder: one that is loaded.
        mpp: µm/px to work at; default the encoder's own.
        options: tissue, views and the layout of windows are taken from them.

    Raises:
        OptionError, ResolutionError: something is out of range.
    """
    options = options or SegmentOptions()
    if options.views not in {1, 4}:
        raise OptionError("the number of views is out of range", expected="1 or 4", got=str(options.views))
    if options.tissue_mask is not None and not options.tissue:
        raise OptionError(_MASKED, mend="leave one of them out")
    if mpp is not None:
        check_mpp(mpp, "--mpp")
    mask = None if options.tissue_mask is None else Path(options.tissue_mask)
    rule = TissueRule(options.tissue, mask)
    return Setup(encoder, mpp, rule, options.views, options.shift_px, follows_image(options.borders))


def with_mask(setup: Setup, mask: str | Path | None) -> Setup:
    """A setup with the tissue mask that one input brings; as it is where that brings none.

    Raises:
        OptionError: everything is to count as tissue.
    """
    if mask and not setup.tissue.find:
        raise OptionError(_MASKED, mend="leave one of them out")
    return replace(setup, tissue=TissueRule(setup.tissue.find, Path(mask))) if mask else setup


def load_setup(
    encoder: str | Encoder = "embedded", mpp: float | None = None, options: SegmentOptions | None = None
) -> Setup:
    """Load an encoder, and check all that tokens depend on; arguments as for ``prepare``."""
    options = options or SegmentOptions()
    loaded = _load(encoder, None, options) if isinstance(encoder, str) else encoder
    return prepare_setup(loaded, mpp, options)


def check_options(k: int | None, method: Method, options: SegmentOptions) -> None:
    """Raise OptionError unless K, components, seed, the smallest area, and ``unlike`` for a method, can be had."""
    if k is not None and k < 1:
        raise OptionError("k is out of range", expected="k ≥ 1", got=str(k))
    if options.components < 1:
        raise OptionError("components is out of range", expected="at least 1", got=str(options.components))
    if options.seed < 0:
        raise OptionError("the seed is out of range", expected="0 or more", got=str(options.seed))
    area = options.min_area_um2
    if area is not None and not 0 <= area < math.inf:  # also refuses NaN
        raise OptionError("--min-area is out of range", expected="µm², or 0 to keep all pieces", got=f"{area!r}")
    if options.unlike is not None:
        check_unlike(options.unlike, method)


def follows_image(borders: str) -> bool:
    """Whether borders follow the image; raises OptionError where there is no such way."""
    if borders not in BORDERS:
        raise OptionError("there are no such borders", expected=f"one of {', '.join(BORDERS)}", got=borders)
    return borders == "image"


def learning_setup(
    encoder: str | Encoder = "embedded", mpp: float | None = None, options: SegmentOptions | None = None
) -> Setup:
    """As ``load_setup``, to learn concepts: features are ``split-root`` where nothing else is asked for.

    That holds for an encoder by its name alone: one that is loaded, and a joint one, have their transform.
    """
    options = options or SegmentOptions()
    if isinstance(encoder, str) and "," not in encoder and options.transform is None:
        options = replace(options, transform=DEFAULT_TRANSFORM)
    return load_setup(encoder, mpp, options)


def name_of(encoder: str | Encoder) -> str:
    """What an encoder is called in the registry; of a joint one its parts, with commas between.

    Raises:
        EncoderError: there is none of that name.
    """
    if isinstance(encoder, str):
        return ",".join(get(part.strip()).name for part in encoder.split(","))
    return encoder.spec.name


def prepare(
    *,
    encoder: str | Encoder = "embedded",
    concepts: str | Path | ConceptBank | None = None,
    k: int | None = None,
    mpp: float | None = None,
    method: str = "project",
    options: SegmentOptions | None = None,
) -> Segmenter:
    """Load and check everything that does not depend on the input; arguments as for ``segment``."""
    options, how = options or SegmentOptions(), method_of(method)
    check_options(k, how, options)
    if concepts is not None and not how.needs_bank:
        raise OptionError(
            f"method {method!r} takes no concepts", mend="leave --concepts out, or choose another --method"
        )
    name = name_of(encoder)
    try:
        bank = in_one_color(find_bank(name, concepts, k)) if how.needs_bank else None
    except (BankError, OptionError):
        if isinstance(encoder, str):
            _load(name, None, options)  # missing weights are told first
        raise
    limit = None if options.unlike is None or bank is None else find_limit(options.unlike, bank)
    loaded = _load(name, bank, options) if isinstance(encoder, str) else encoder
    setup = prepare_setup(loaded, mpp, options)
    if bank is not None:
        check_features(bank, loaded.spec.key)
        check_width(bank, loaded)
        setup = replace(setup, encoder=told_of_window(bank, loaded))
    components = k if not how.needs_bank and k is not None else options.components
    return Segmenter(setup, how, bank, Factorization(components, options.seed), limit, options.min_area_um2 or None)


def _load(name: str, bank: ConceptBank | None, options: SegmentOptions) -> Encoder:
    """The encoder, with the layer, transform and windows of its concepts unless others are asked for."""
    layer, transform, inference = options.layer, options.transform, options.inference
    if bank is not None and bank.encoder.name == name and "," not in name:
        layer, transform = layer or bank.encoder.layer, transform or bank.encoder.transform
        inference = replace(inference, window_px=inference.window_px or window_of(bank))
    return load_encoder(
        name,
        weights=options.weights,
        layer=layer,
        device=options.device,
        transform=transform,
        inference=inference,
    )
