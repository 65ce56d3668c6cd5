"""What is loaded once and used for every input: encoder, concepts, method."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from histofactor.concepts.bank.file import load_bank
from histofactor.concepts.bank.provenance import residual_limit_of
from histofactor.concepts.bank.record import check_features
from histofactor.encoders.build import Encoder, Inference, load_encoder
from histofactor.encoders.registry import get
from histofactor.encoders.weights import embedded_path
from histofactor.errors import BankMismatch, OptionError
from histofactor.records import ConceptBank
from histofactor.segmentation.method import METHODS, STREAMED, Factorization
from histofactor.slides.resolution import check_mpp

DEFAULT_BANK = "concepts.safetensors"


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """What is seldom changed.

    Attributes:
        weights: local weights file of the encoder.
        layer: where features are taken; default as for the concepts, else as in the registry.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        components: number of components of ``factorize``, and of ``single`` where K is not given.
        seed: seed of ``factorize`` and ``single``.
        tissue: find tissue first; else everything counts as tissue.
        tissue_mask: an image of the tissue (> 0), or a folder of such images with the stems of the inputs; it takes the
            place of finding tissue.
        transform: what makes features non-negative; default as for the concepts, else as in the registry.
        inference: number format and the like of the encoder.
        views: how often every window is encoded, turned and moved: 4, or 1 for a fast single pass.
        shift_px: move the window layout by this many working px; labels must not care.
        unlike: residual in (0, 1) above which tissue gets a label of its own, "unlike the bank", or ``auto`` for the
            bank's limit; None gives all tissue the label of a concept.
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


@dataclass(frozen=True, slots=True)
class Engine:
    """All that is loaded once and used for every input; see ``prepare``.

    ``unlike`` is the residual above which tissue is unlike the bank, None where it is not asked for.
    """

    encoder: Encoder
    bank: ConceptBank | None
    method: str
    mpp: float | None
    factorization: Factorization
    options: SegmentOptions
    unlike: float | None = None


def prepare(
    *,
    encoder: str | Encoder = "embedded",
    concepts: str | Path | ConceptBank | None = None,
    k: int | None = None,
    mpp: float | None = None,
    method: str = "project",
    options: SegmentOptions | None = None,
) -> Engine:
    """Load and check everything that does not depend on the input; arguments as for ``segment``."""
    options = options or SegmentOptions()
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}", expected=f"one of {', '.join(METHODS)}")
    if k is not None and k < 1:
        raise OptionError("k is out of range", expected="k ≥ 1", got=str(k))
    if options.components < 1:
        raise OptionError("components is out of range", expected="at least 1", got=str(options.components))
    if options.views not in {1, 4}:
        raise OptionError("the number of views is out of range", expected="1 or 4", got=str(options.views))
    if mpp is not None:
        check_mpp(mpp, "--mpp")
    name = (
        ",".join(get(part.strip()).name for part in encoder.split(","))
        if isinstance(encoder, str)
        else encoder.spec.name
    )
    bank = None if method == "single" else _find_bank(name, concepts, k)
    unlike = None if options.unlike is None else _find_limit(options.unlike, method, bank)
    if isinstance(encoder, str):
        encoder = _load(name, bank, options)
    if bank is not None:
        check_features(bank, encoder.spec.key)
        _check_width(bank, encoder)
    components = k if method == "single" and k is not None else options.components
    return Engine(encoder, bank, method, mpp, Factorization(components, options.seed), options, unlike)


def _load(name: str, bank: ConceptBank | None, options: SegmentOptions) -> Encoder:
    """The encoder, with the layer and the transform that its concepts were learned with unless others are asked for."""
    layer, transform = options.layer, options.transform
    if bank is not None and bank.encoder.name == name and "," not in name:
        layer, transform = layer or bank.encoder.layer, transform or bank.encoder.transform
    return load_encoder(
        name,
        weights=options.weights,
        layer=layer,
        device=options.device,
        transform=transform,
        inference=options.inference,
    )


def _find_bank(name: str, concepts: str | Path | ConceptBank | None, k: int | None) -> ConceptBank:
    """The bank asked for, or the one that ships with the embedded encoder."""
    if isinstance(concepts, ConceptBank):
        if k not in (None, len(concepts.vectors)):
            raise OptionError("k does not fit the bank", expected=str(len(concepts.vectors)), got=str(k))
        return concepts
    if concepts is not None:
        return load_bank(concepts, k)
    if name == "embedded":
        return load_bank(embedded_path(DEFAULT_BANK), k)
    raise OptionError(
        f"encoder {name!r} ships without concepts",
        expected="a concept bank learned on its features",
        mend="give one with --concepts FILE (`histofactor concepts import` reads the paper's), or use --method single",
    )


def _find_limit(wanted: str | float, method: str, bank: ConceptBank | None) -> float:
    """The residual above which tissue is unlike the bank: the number asked for, or the bank's own."""
    if method not in STREAMED or bank is None:
        raise OptionError(
            f"method {method!r} tells no tissue unlike the bank",
            expected=f"one of {', '.join(sorted(STREAMED))}, which weigh the bank's concepts themselves",
            mend="leave --unlike out, or choose another --method",
        )
    if wanted != "auto":
        try:
            limit = float(wanted)
        except ValueError:
            limit = 0.0
        if not 0 < limit < 1:
            expected = "auto, or a number above 0 and below 1"
            raise OptionError("--unlike is out of range", expected=expected, got=str(wanted))
        return limit
    number = "state a number, such as --unlike 0.7"
    if method == "cluster":  # its residual is the distance to one concept, which no mixture of others makes smaller
        raise OptionError("--unlike auto is for mixtures of concepts", expected="project or raw", mend=number)
    limits = residual_limit_of(bank)
    if limits is None:
        raise OptionError("the bank does not tell what is unlike it", mend=f"{number}, or train the bank anew")
    return limits


def _check_width(bank: ConceptBank, encoder: Encoder) -> None:
    """The vectors must be as wide as the features."""
    if bank.vectors.shape[1] != encoder.spec.dim:
        raise BankMismatch(
            "the concepts are not as wide as the features",
            expected=f"{encoder.spec.dim} channels of {encoder.spec.name}",
            got=f"{bank.vectors.shape[1]} channels",
            mend="give a bank that was learned on this encoder",
        )
