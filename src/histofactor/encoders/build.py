"""From a row of the registry to a loaded encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from histofactor.encoders import registry
from histofactor.encoders.encoder import Encoder, Inference, check_inference, run_as, with_transform
from histofactor.encoders.hub import fetch_weights
from histofactor.encoders.joint import join
from histofactor.encoders.layers import compile_blocks, dense_at, prefix_of
from histofactor.encoders.misfit import explain
from histofactor.encoders.networks import adapt, build_network, build_remote
from histofactor.encoders.prefix import fit_names
from histofactor.encoders.transforms import TRANSFORMS
from histofactor.encoders.weights import as_float, embedded_path, load_state, misfit
from histofactor.encoders.weights_file import file_revision, read_weights
from histofactor.encoders.weights_place import commit_at, find_file
from histofactor.encoders.window import at_window
from histofactor.errors import EncoderError, OptionError
from histofactor.records import EncoderSpec


@dataclass(frozen=True, slots=True)
class Weighted:
    """A network with its weights.

    Attributes:
        spec: its row, with the revision in use.
        network: with its weights.
        notes: what was assumed of them, one sentence each.
        path: the file that they are of, or None.
        tensors: how many the file has; 0 where there is none.
    """

    spec: EncoderSpec
    network: torch.nn.Module
    notes: tuple[str, ...] = ()
    path: Path | None = None
    tensors: int = 0


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
        weights: a local file of weights, or a folder that holds it, as a snapshot of the hub does; else the package's
            own or the hub's at the pinned revision.
        layer: where to take features, for example ``blocks[-2]``, ``blocks[-1]+norm``, ``blocks[9].keys`` or
            ``layer2`` (see ``encoders.layers``); default as in the registry.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        transform: what makes features non-negative, see ``encoders.transforms``; default as in the registry.
        inference: number format, size of the windows, and the like.

    Raises:
        EncoderError: the encoder is unknown or its weights cannot be had.
        OptionError: the layer, the device, the transform or the precision does not exist, or the network takes no such
            windows.
    """
    inference = inference or Inference()
    check_inference(inference)
    if transform not in {None, *TRANSFORMS}:
        raise OptionError(f"unknown transform {transform!r}", expected=f"one of {', '.join(TRANSFORMS)}")
    if "," in name:
        if weights is not None or layer is not None or transform not in {None, "relu"}:
            raise _not_for_joint(name)
        return _load_joint(name, device, inference)
    target = choose_device(device)
    found = with_weights(name, weights, inference)
    if inference.compiled:
        compile_blocks(found.network)
    encoder = assemble(found.spec, found.network, layer=layer, device=target)
    encoder = encoder if transform is None else with_transform(encoder, transform)
    return replace(run_as(encoder, inference), notes=found.notes)


def _load_joint(name: str, device: str, inference: Inference) -> Encoder:
    """Several encoders as one; code of a repository is allowed to those alone that are such code."""
    names = [part.strip() for part in name.split(",")]
    remote = [registry.get(part).source.remote_code for part in names]
    if inference.remote_code is not None and not any(remote):
        raise _no_remote_code(name)
    own_code = replace(inference, remote_code=None)
    return join(
        [
            load_encoder(part, device=device, inference=inference if is_code else own_code)
            for part, is_code in zip(names, remote, strict=True)
        ]
    )


def with_weights(name: str, weights: str | Path | None = None, inference: Inference | None = None) -> Weighted:
    """The network of an encoder with its weights; arguments and errors as for ``load_encoder``."""
    inference, path = inference or Inference(), None if weights is None else Path(weights)
    spec = row_of(name, inference.window_px)
    if inference.remote_code is not None and not spec.source.remote_code:
        raise _no_remote_code(name)
    if spec.source.remote_code:
        if path is not None:
            raise OptionError(
                f"encoder {spec.name!r} takes no file of weights: its repository brings code and weights together",
                mend="leave out --weights",
            )
        spec = replace(spec, source=replace(spec.source, revision=inference.remote_code))
        return Weighted(spec, build_remote(spec))
    if spec.source.library == "plugin":
        spec = spec if path is None else _of_file(spec, path)
        return Weighted(spec, registry.plugins()[spec.name].build(path), path=path)
    is_given = path is not None
    if path is None:
        path, spec = _find_weights(spec)
    else:
        path = find_file(path, spec)
    network, tensors = build_network(spec), read_weights(path)
    state, notes = fit_names(network, tensors, spec)
    state = adapt(network, as_float(state, network), spec)
    if differ := misfit(network, state):
        raise explain(spec, network, tensors, differ)
    load_state(network, state, spec.name)
    spec = _of_file(spec, path) if is_given else spec  # last: what does not fit is told before all of it is read
    return Weighted(spec, network, notes, path, len(tensors))


def _of_file(spec: EncoderSpec, path: Path) -> EncoderSpec:
    """The row with what tells a local file of weights from any other."""
    return replace(spec, source=replace(spec.source, revision=commit_at(path) or file_revision(path)))


def row_of(name: str, window_px: int | None = None) -> EncoderSpec:
    """The row of an encoder, with windows of the size that is asked for; errors as for ``load_encoder``."""
    spec = registry.get(name)
    return spec if window_px is None else at_window(spec, window_px)


def _find_weights(spec: EncoderSpec) -> tuple[Path, EncoderSpec]:
    """Where the weights of a row are, and the row with the commit that they are of."""
    if spec.source.library == "embedded":
        return embedded_path(spec.source.filename), spec
    path = fetch_weights(spec)
    revision = spec.source.revision or commit_at(path) or file_revision(path)
    return path, replace(spec, source=replace(spec.source, revision=revision))


def _not_for_joint(name: str) -> OptionError:
    return OptionError(
        f"weights, layer and transform cannot be given for the joint encoder {name!r}",
        mend="load each encoder on its own and join them with histofactor.encoders.joint.join",
    )


def _no_remote_code(name: str) -> OptionError:
    return OptionError(
        f"encoder {name!r} is no code of a repository, so there is none to allow",
        got="a commit for --remote-code",
        mend="leave out --remote-code",
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
