"""From a row of the registry to a loaded encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from histofactor.encoders import registry
from histofactor.encoders.layers import Dense, compile_blocks, dense_at, prefix_of
from histofactor.encoders.networks import adapt, build_network, build_remote
from histofactor.encoders.transforms import TRANSFORMS, channels
from histofactor.encoders.weights import (
    as_float,
    commit_of,
    embedded_path,
    fetch_weights,
    file_revision,
    load_state,
    read_weights,
)
from histofactor.errors import EncoderError, OptionError
from histofactor.records import EncoderSpec

_FORMATS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded encoder, ready to turn pixels into features (see ``encoders.encode``).

    Attributes:
        spec: its row, with the layer, width and revision actually in use.
        dense: normalised RGB (n, 3, height, width) to a feature map (n, d, h, w) before the transform.
        device: where it runs.
        autocast: shorter number format that the network runs in, or None for float32.
        mended: whether tokens that stand out are replaced, see ``encoders.artefacts``.
    """

    spec: EncoderSpec
    dense: Dense
    device: torch.device
    autocast: torch.dtype | None = None
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Inference:
    """How an encoder is run.

    Attributes:
        precision: ``float32``, ``bfloat16`` or ``float16``; default as in the registry on an accelerator, else float32.
        compiled: let ``torch.compile`` work on the blocks of the network; the first windows then take long.
        mended: replace tokens whose norm stands out, see ``encoders.artefacts``.
        remote_code: the commit of an encoder's repository whose code may run here, for those that are such code.
    """

    precision: str | None = None
    compiled: bool = False
    mended: bool = False
    remote_code: str | None = None


def load_encoder(
    name: str,
    *,
    weights: str | Path | None = None,
    layer: str | None = None,
    device: str = "auto",
    transform: str | None = None,
    inference: Inference | None = None,
) -> Encoder:
    """Load an encoder by name.

    Args:
        name: a name of the registry, ``timm:NAME``, ``transformers:ID``, or several with commas between, joined into
            one (see ``encoders.joint``).
        weights: a local file of weights; else the package's own or the hub's at the pinned revision.
        layer: where to take features, for example ``blocks[-2]``, ``blocks[-1]+norm``, ``blocks[9].keys`` or
            ``layer2`` (see ``encoders.layers``); default as in the registry.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        transform: what makes features non-negative, see ``encoders.transforms``; default as in the registry.
        inference: number format and the like.

    Raises:
        EncoderError: the encoder is unknown or its weights cannot be had.
        OptionError: the layer, the device, the transform or the precision does not exist.
    """
    inference = inference or Inference()
    if inference.precision not in {None, *_FORMATS}:
        raise OptionError(f"unknown precision {inference.precision!r}", expected=f"one of {', '.join(_FORMATS)}")
    if transform not in {None, *TRANSFORMS}:
        raise OptionError(f"unknown transform {transform!r}", expected=f"one of {', '.join(TRANSFORMS)}")
    if "," in name:
        if weights is not None or layer is not None or transform not in {None, "relu"}:
            raise _not_for_joint(name)
        from histofactor.encoders.joint import join

        return join([load_encoder(part.strip(), device=device, inference=inference) for part in name.split(",")])
    spec, target = registry.get(name), choose_device(device)
    path = None if weights is None else Path(weights)
    if path is not None:
        spec = replace(spec, source=replace(spec.source, revision=file_revision(path)))
    if spec.source.library == "plugin":
        encoder = assemble(spec, registry.plugins()[name].build(path), layer=layer, device=target)
    elif spec.source.remote_code:
        spec = replace(spec, source=replace(spec.source, revision=inference.remote_code))
        encoder = assemble(spec, build_remote(spec), layer=layer, device=target)
    else:
        if path is None:
            path, spec = _find_weights(spec)
        network = build_network(spec)
        load_state(network, adapt(network, as_float(read_weights(path)), spec), spec.name)
        if inference.compiled:
            compile_blocks(network)
        encoder = assemble(spec, network, layer=layer, device=target)
    encoder = encoder if transform is None else with_transform(encoder, transform)
    return _run_as(encoder, inference)


def _run_as(encoder: Encoder, inference: Inference) -> Encoder:
    """The encoder as it is to be run: shorter numbers only where there is an accelerator, or where asked for."""
    on_cpu = encoder.device.type == "cpu"
    precision = inference.precision or ("float32" if on_cpu else encoder.spec.precision)
    return replace(encoder, autocast=_FORMATS[precision], mended=inference.mended)


def _find_weights(spec: EncoderSpec) -> tuple[Path, EncoderSpec]:
    """Where the weights of a row are, and the row with the commit that they are of."""
    if spec.source.library == "embedded":
        return embedded_path(spec.source.filename), spec
    path = fetch_weights(spec)
    revision = spec.source.revision or commit_of(path) or file_revision(path)
    return path, replace(spec, source=replace(spec.source, revision=revision))


def with_transform(encoder: Encoder, transform: str) -> Encoder:
    """The same encoder with another way to make its features non-negative; splitting doubles the channels."""
    spec = encoder.spec
    dim = channels(spec.dim, spec.transform, transform)
    return replace(encoder, spec=replace(spec, transform=transform, dim=dim))


def _not_for_joint(name: str) -> OptionError:
    return OptionError(
        f"weights, layer and transform cannot be given for the joint encoder {name!r}",
        mend="load each encoder on its own and join them with histofactor.encoders.joint.join",
    )


def assemble(
    spec: EncoderSpec, network: torch.nn.Module, *, layer: str | None = None, device: torch.device | None = None
) -> Encoder:
    """Join a row and its network: resolve the layer and check the facts of the row against the network.

    Raises:
        EncoderError: the network contradicts the row.
        OptionError: the network has no such layer.
    """
    device = device or torch.device("cpu")
    network = network.eval().requires_grad_(False).to(device)
    if device.type == "cpu":
        network = network.to(memory_format=torch.channels_last)
    if spec.source.library in {"embedded", "plugin"}:
        if layer not in (None, spec.layer):
            raise OptionError(f"encoder {spec.name!r} has no layer {layer!r}", expected=spec.layer)
        return Encoder(spec, network, device)
    if (prefix := prefix_of(network)) != spec.prefix_tokens:
        raise _contradiction(spec, f"{spec.prefix_tokens} prefix tokens", str(prefix))
    dense, spec = dense_at(spec, network, layer or spec.layer)
    return Encoder(spec, dense, device)


def _contradiction(spec: EncoderSpec, expected: str, got: str) -> EncoderError:
    return EncoderError(f"encoder {spec.name!r} contradicts its registry row", expected=expected, got=got)


def choose_device(name: str) -> torch.device:
    """The device of that name, or the best there is for ``auto``.

    Raises:
        OptionError: the device does not exist here.
    """
    if name == "auto":
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(best)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name.split(":", maxsplit=1)[0], False):
        raise OptionError(
            f"no device {name!r} here",
            expected=", ".join(["auto", *(kind for kind, usable in there.items() if usable)]),
        )
    return torch.device(name)
