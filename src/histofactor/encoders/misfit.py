"""Why weights do not fit a network, and what to do: told by what the tensors of both say of themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from histofactor.encoders import registry
from histofactor.encoders.networks import build_network
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

_PATCH = re.compile(r"(?:^|\.)(?:patch|vision_embed)\w*\.(?:.*\.)?weight$")
_BLOCK = re.compile(r"(?:^|\.)(?:blocks|layers?)\.(?:\d+\.)?(\d{1,6})\.")
_REGISTERS = re.compile(r"(?:^|\.)(?:reg_token|register_tokens|storage_tokens)$")
_UPDATE = re.compile(r"(?:^|[._])lora_", re.IGNORECASE)
_SHOWN = 3  # names in a message


@dataclass(frozen=True, slots=True)
class _Build:
    """What tensors say of the transformer that they are of.

    Attributes:
        dim, patch_px: of its patch projection.
        blocks: how many it has.
        registers: how many it has.
    """

    dim: int
    patch_px: int
    blocks: int
    registers: int


def explain(
    spec: EncoderSpec, network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], differ: str
) -> EncoderError:
    """The error for tensors that do not fit a network.

    Args:
        spec: the row of the network.
        network: what they were to become.
        tensors: by the names of the file.
        differ: which tensors differ, as ``encoders.weights.misfit`` tells it.
    """
    ours, theirs = _build_of(network.state_dict()), _build_of(tensors)
    got, mend = _reason(spec, ours, theirs)
    if 2 * sum(bool(_UPDATE.search(name)) for name in tensors) >= len(tensors):
        got = "an adapter (LoRA), which only changes the weights of another file"
        mend = f"merge it into the weights that it is for, and save these, or give {_theirs(spec)}"
    return EncoderError(
        f"the weights do not fit {spec.name}",
        expected=f"{len(network.state_dict())} tensors such as {next(iter(network.state_dict()))}",
        got=f"{got}; {differ}" if got else differ,
        mend=mend,
    )


def _reason(spec: EncoderSpec, ours: _Build | None, theirs: _Build | None) -> tuple[str, str]:
    """What is wrong as a whole, "" where only some tensors are; and what to do."""
    if ours is None or theirs is None:
        if ours == theirs:
            return "", f"check that they are of {spec.name}: {_theirs(spec)}"
        kind = "a transformer, where it is none" if ours is None else "no vision transformer, or one under other names"
        return f"weights of {kind}", f"give {_theirs(spec)}: these are of another kind of network"
    if differ := _other_build(ours, theirs):
        return differ, f"name the encoder that they are of{_alike(spec, theirs)}, or give {_theirs(spec)}"
    if not theirs.blocks:
        return "no blocks, or some under other names", f"get {_theirs(spec)} as it was published: its names are others"
    if theirs.blocks < ours.blocks:
        return f"{theirs.blocks} of {ours.blocks} blocks", f"get the whole file, {_theirs(spec)}: blocks are missing"
    return "", f"get {_theirs(spec)} as it was published: this file is of that size, and its tensors differ"


def _other_build(ours: _Build, theirs: _Build) -> str:
    """Why tensors are of another transformer, or ""."""
    if theirs.dim != ours.dim:
        return f"tokens of {theirs.dim} channels, where it has {ours.dim}"
    if theirs.patch_px != ours.patch_px:
        return f"patches of {theirs.patch_px} px, where it has {ours.patch_px} px"
    if theirs.blocks > ours.blocks:
        return f"{theirs.blocks} blocks, where it has {ours.blocks}"
    return f"{theirs.registers} registers, where it has {ours.registers}" if theirs.registers != ours.registers else ""


def _theirs(spec: EncoderSpec) -> str:
    """The published file, as a message tells it."""
    source = spec.source
    return f"{source.filename} of {source.repository}" if source.repository else f"the file of {spec.name}"


def _alike(spec: EncoderSpec, build: _Build) -> str:
    """Encoders of the table that are built so."""
    libraries = {"timm", "own", *({"transformers"} if find_spec("transformers") else ())}
    found = []
    for other in registry.list_encoders():
        known = other.source.library in libraries and not other.source.remote_code
        near = other.patch_px == build.patch_px and other.dim % build.dim == 0 and other.name != spec.name
        if known and near:
            with torch.device("meta"):
                network = build_network(other)
            if _build_of(network.state_dict()) == build:
                found.append(other.name)
    return f", which may be {', '.join(found[:_SHOWN])}{' …' * (len(found) > _SHOWN)}" if found else ""


def _build_of(tensors: Mapping[str, torch.Tensor]) -> _Build | None:
    """What tensors are of; None where they have no patch projection."""
    patch = next((one.shape for name, one in tensors.items() if one.ndim == 4 and _PATCH.search(name)), None)
    if patch is None or not all(patch):
        return None
    blocks = {int(found[1]) for name in tensors if (found := _BLOCK.search(name))}
    registers = next((one.shape[1] for name, one in tensors.items() if _REGISTERS.search(name) and one.ndim == 3), 0)
    return _Build(patch[0], patch[2], len(blocks), registers)
