"""Where features are taken: a layer by its name, as a function from pixels to a feature map.

``blocks[-1]`` are the tokens after the last block of a transformer, ``blocks[-1]+norm`` those after its final norm,
``blocks[9].keys``, ``.queries`` and ``.values`` what the attention of a block projects its tokens on. Blocks count from
0, or from the end. Convolutional networks name their stages: ``layer3``, ``layers[3]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from histofactor.errors import EncoderError, OptionError
from histofactor.records import EncoderSpec

Dense = Callable[[torch.Tensor], torch.Tensor]
PARTS = ("queries", "keys", "values")
_BLOCKS = "blocks"


@dataclass(frozen=True, slots=True)
class _Layer:
    """Index of a block or stage, the part of its attention or "", and whether the final norm follows."""

    index: int
    part: str = ""
    norm: bool = False


class _FoundError(Exception):
    """Ends a forward pass at the layer that was wanted."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output


def dense_at(spec: EncoderSpec, network: Any, layer: str) -> tuple[Dense, EncoderSpec]:
    """A function from normalised RGB (n, 3, height, width) to features (n, d, h, w) at a layer, and the row for it.

    Args:
        spec: the row of the network.
        network: of timm, transformers or ``encoders.own_networks``.
        layer: its name.

    Raises:
        OptionError: the network has no such layer.
    """
    blocks = blocks_of(network)
    if blocks is None:
        return _stage(spec, network, layer)
    found = _find(spec, layer, len(blocks))
    name = f"blocks[{-1 if found.index == len(blocks) - 1 else found.index}]"
    spec = replace(spec, layer=name + ("+norm" if found.norm else "") + (f".{found.part}" if found.part else ""))

    def dense(pixels: torch.Tensor) -> torch.Tensor:
        tokens = _tokens(network, blocks, found, pixels)
        height, width = (side // spec.patch_px for side in pixels.shape[2:])
        if tokens.shape[1] != spec.prefix_tokens + height * width:
            raise EncoderError(
                f"encoder {spec.name!r} returns another number of tokens than its row promises",
                expected=f"{spec.prefix_tokens} + {height} × {width}",
                got=str(tokens.shape[1]),
            )
        grid = tokens[:, spec.prefix_tokens :].transpose(1, 2)
        return grid.reshape(*grid.shape[:2], height, width)

    return dense, spec


def compile_blocks(network: torch.nn.Module, **options: Any) -> None:
    """Let ``torch.compile`` work on the blocks of a transformer, which are alike, or on another network as a whole."""
    for block in blocks_of(network) or [network]:
        block.compile(**options)


def prefix_of(network: Any) -> int:
    """Class and register tokens before the grid, as the built network says."""
    if (stated := getattr(network, "num_prefix_tokens", None)) is not None:
        return int(stated)
    config = getattr(network, "config", None)
    return 1 + int(getattr(config, "num_register_tokens", 0) or 0) if config is not None else 0


def blocks_of(network: Any) -> Any:
    """The blocks of a transformer that keeps one grid of tokens, or None."""
    if (encoder := getattr(network, "encoder", None)) is not None:
        return getattr(encoder, "layer", None) or getattr(encoder, "layers", None)
    if getattr(network, "config", None) is not None:
        listed = getattr(network, "layers", None) or getattr(network, "layer", None)
        return listed or getattr(_holder(network), _BLOCKS, None)
    return getattr(network, "blocks", None) if hasattr(network, "num_prefix_tokens") else None


def _find(spec: EncoderSpec, layer: str, count: int) -> _Layer:
    matched = re.fullmatch(r"blocks\[(-?\d+)\](\+norm|\.(?:queries|keys|values))?", layer)
    position = int(matched[1]) if matched else count
    if matched is None or not -count <= position < count:
        expected = f"blocks[0…{count - 1}], perhaps with .{', .'.join(PARTS)}, or blocks[-1]+norm"
        raise OptionError(f"encoder {spec.name!r} has no layer {layer!r}", expected=expected)
    after = matched[2] or ""
    index = position % count
    if after == "+norm" and index != count - 1:
        raise OptionError(
            f"layer {layer!r} has no final norm", expected="+norm only on the last block of a transformer"
        )
    return _Layer(index, after.removeprefix(".") if after.startswith(".") else "", after == "+norm")


def _tokens(network: Any, blocks: Any, layer: _Layer, pixels: torch.Tensor) -> torch.Tensor:
    """Tokens (n, prefix + h w, d) at a layer; what comes after it is not computed."""
    if layer.part:
        module, cut = _projection(blocks[layer.index], layer.part)
    elif layer.norm:
        module, cut = _final_norm(network), slice(None)
    else:
        module, cut = blocks[layer.index], slice(None)
    options = {"interpolate_pos_encoding": True} if _interpolates(network) else {}
    forward = getattr(network, "forward_features", network)
    with _stop_after(module):
        try:
            forward(pixels, **options)
        except _FoundError as found:
            side_by_side = getattr(network, "side_by_side", None)  # tokens of several passes
            tokens = found.output[..., cut]
            return tokens if side_by_side is None else side_by_side(tokens)
    raise EncoderError("the network does not pass through the layer that was asked for")


@contextmanager
def _stop_after(module: torch.nn.Module) -> Iterator[None]:
    def stop(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        raise _FoundError(output[0] if isinstance(output, tuple) else output)

    handle = module.register_forward_hook(stop)
    try:
        yield
    finally:
        handle.remove()


def _projection(block: Any, part: str) -> tuple[torch.nn.Module, slice]:
    """The module of a block that makes queries, keys and values, and the channels of one of them."""
    attention = getattr(block, "attn", None) or getattr(block, "attention", None) or block.self_attn
    if (joint := getattr(attention, "qkv", None)) is not None:
        width, place = joint.out_features // 3, PARTS.index(part)
        return joint, slice(place * width, (place + 1) * width)
    return getattr(attention, f"{part[0]}_proj"), slice(None)


def _final_norm(network: Any) -> torch.nn.Module:
    holder = network if hasattr(network, "layernorm") or hasattr(network, "norm") else _holder(network)
    norm: torch.nn.Module = getattr(holder, "layernorm", None) or holder.norm
    return norm


def _holder(network: torch.nn.Module) -> Any:
    """The part of a network with a repository's own code that has the blocks, or None."""
    lists = (torch.nn.ModuleList, torch.nn.Sequential)
    return next((part for part in network.modules() if isinstance(getattr(part, _BLOCKS, None), lists)), None)


def _interpolates(network: Any) -> bool:
    """Whether the positions of a network of transformers are fitted to the input only if asked to."""
    return type(network).__name__ == "ViTModel"


def _stage(spec: EncoderSpec, network: Any, layer: str) -> tuple[Dense, EncoderSpec]:
    """A stage of a convolutional or hierarchical network of timm."""
    modules = [str(info["module"]) for info in network.feature_info]
    shown = [re.sub(r"\.(\d+)$", r"[\1]", module) for module in modules]
    if layer not in shown:
        raise OptionError(f"encoder {spec.name!r} has no layer {layer!r}", expected=f"one of {', '.join(shown)}")
    index = shown.index(layer)
    info = network.feature_info[index]
    spec = replace(spec, layer=layer, dim=int(info["num_chs"]), patch_px=int(info["reduction"]))

    def dense(pixels: torch.Tensor) -> torch.Tensor:
        (features,) = network.forward_intermediates(
            pixels, indices=[index], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return features  # type: ignore[no-any-return]

    return dense, spec
