"""From a row of the registry to a loaded encoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from histofactor.encoders import registry
from histofactor.encoders.transforms import TRANSFORMS
from histofactor.encoders.weights import (
    as_float,
    embedded_path,
    fetch_weights,
    file_revision,
    load_state,
    read_weights,
)
from histofactor.errors import EncoderError, OptionError
from histofactor.records import EncoderSpec

Dense = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded encoder, ready to turn pixels into features (see ``encoders.encode``).

    Attributes:
        spec: its row, with the layer, width and revision actually in use.
        dense: normalised RGB (n, 3, height, width) to a feature map (n, d, h, w) before the transform.
        device: where it runs.
    """

    spec: EncoderSpec
    dense: Dense
    device: torch.device


def load_encoder(
    name: str,
    *,
    weights: str | Path | None = None,
    layer: str | None = None,
    device: str = "auto",
    transform: str | None = None,
) -> Encoder:
    """Load an encoder by name.

    Args:
        name: a name of the registry, or several with commas between, joined into one (see ``encoders.joint``).
        weights: a local file of weights; else the package's own or the hub's at the pinned revision.
        layer: where to take features, for example ``blocks[-2]``, ``blocks[-1]+norm`` or ``layer2``; default as in
            the registry.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        transform: what makes features non-negative, ``relu`` or ``split``; default as in the registry.

    Raises:
        EncoderError: the encoder is unknown or its weights cannot be had.
        OptionError: the layer, the device or the transform does not exist.
    """
    if transform not in {None, *TRANSFORMS}:
        raise OptionError(f"unknown transform {transform!r}", expected=f"one of {', '.join(TRANSFORMS)}")
    if "," in name:
        return _load_joint(name, weights=weights, layer=layer, device=device, transform=transform)
    spec = registry.get(name)
    target = choose_device(device)
    path = None if weights is None else Path(weights)
    if path is not None:
        spec = replace(spec, source=replace(spec.source, revision=file_revision(path)))
    network = build_network(spec)
    if path is None:
        path = embedded_path(spec.source.filename) if spec.source.library == "embedded" else fetch_weights(spec)
    load_state(network, as_float(read_weights(path)), spec.name)
    encoder = assemble(spec, network, layer=layer, device=target)
    return encoder if transform is None else with_transform(encoder, transform)


def with_transform(encoder: Encoder, transform: str) -> Encoder:
    """The same encoder with another way to make its features non-negative; ``split`` has twice the channels."""
    spec = encoder.spec
    dim = spec.dim // 2 if spec.transform == "split" else spec.dim
    return replace(encoder, spec=replace(spec, transform=transform, dim=2 * dim if transform == "split" else dim))


def _load_joint(
    name: str, *, weights: str | Path | None, layer: str | None, device: str, transform: str | None
) -> Encoder:
    """Several encoders as one, each with its registry's weights and layer."""
    from histofactor.encoders.joint import join

    if weights is not None or layer is not None or transform not in {None, "relu"}:
        raise OptionError(
            f"weights, layer and transform cannot be given for the joint encoder {name!r}",
            mend="load each encoder on its own and join them with histofactor.encoders.joint.join",
        )
    return join([load_encoder(part.strip(), device=device) for part in name.split(",")])


def build_network(spec: EncoderSpec) -> torch.nn.Module:
    """The network of a row, with random weights."""
    if spec.source.library == "embedded":
        from histofactor.encoders.embedded.network import EmbeddedNetwork

        return EmbeddedNetwork()
    import timm

    network: torch.nn.Module = timm.create_model(
        spec.source.architecture, pretrained=False, num_classes=0, **spec.source.arguments
    )
    return network


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
    if spec.source.library == "embedded":
        if layer not in (None, spec.layer):
            raise OptionError(f"encoder {spec.name!r} has no layer {layer!r}", expected=spec.layer)
        return Encoder(spec, network, device)
    prefix = getattr(network, "num_prefix_tokens", 0)
    if prefix != spec.prefix_tokens:
        raise EncoderError(
            f"encoder {spec.name!r} contradicts its registry row",
            expected=f"{spec.prefix_tokens} prefix tokens",
            got=str(prefix),
        )
    index, norm, spec = _resolve_layer(spec, network, layer or spec.layer)

    def dense(pixels: torch.Tensor) -> torch.Tensor:
        (features,) = network.forward_intermediates(  # type: ignore[operator]
            pixels, indices=[index], norm=norm, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return features  # type: ignore[no-any-return]

    return Encoder(spec, dense, device)


def _resolve_layer(spec: EncoderSpec, network: Any, layer: str) -> tuple[int, bool, EncoderSpec]:
    """Index of a layer, whether the final norm follows, and the row with the layer's own width and stride."""
    modules = [str(info["module"]) for info in network.feature_info]
    matched = re.fullmatch(r"(\w+?)(?:\[(-?\d+)\])?(\+norm)?", layer)
    names = [module for module in modules if matched and module.split(".")[0] == matched[1]]
    position = int(matched[2]) if matched and matched[2] else 0
    indexed = bool(matched and matched[2])
    if not names or not -len(names) <= position < len(names) or indexed != ("." in names[0]):
        shown = f"{modules[0].split('.')[0]}[0…{len(modules) - 1}]" if "." in modules[0] else ", ".join(modules)
        raise OptionError(f"encoder {spec.name!r} has no layer {layer!r}", expected=shown)
    index = modules.index(names[position])
    last = index == len(modules) - 1
    norm = bool(matched and matched[3])
    if norm and not (last and indexed):
        raise OptionError(
            f"layer {layer!r} has no final norm", expected="+norm only on the last block of a transformer"
        )
    info = network.feature_info[index]
    name = f"{names[0].split('.')[0]}[{-1 if last else index}]" if indexed else layer
    return (
        index,
        norm,
        replace(spec, layer=name + "+norm" * norm, dim=int(info["num_chs"]), patch_px=int(info["reduction"])),
    )


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
