"""Weights in a form of their own, made those of the network: low-rank updates, and a scale by another name."""

from __future__ import annotations

import re

from histofactor.encoders.weights_file import State
from histofactor.records import WeightsSource

_SCALE = re.compile(r"(?<=\.ls[12]\.)weight$")  # KEEP's name of what timm calls gamma
_BASE = ".base_layer."


def as_plain(state: State, source: WeightsSource) -> State:
    """Tensors of a file, its low-rank updates added and its layer scales named as timm does.

    With updates of rank r a weight is W + alpha / r B·A (LoRA: Hu et al., ICLR 2022), where the library peft keeps W as
    ``base_layer``, A as ``lora_A.default`` and B as ``lora_B.default``.

    Args:
        state: tensors by the names of the file, without its prefix.
        source: says which alpha, and that there are such updates.
    """
    plain = {_SCALE.sub("gamma", name): tensor for name, tensor in state.items()}
    return _with_updates(plain, source.lora_alpha) if source.lora_alpha else plain


def _with_updates(state: State, alpha: float) -> State:
    found: State = {}
    for name, tensor in state.items():
        module, _, parameter = name.partition(_BASE)
        if ".lora_" in name:
            continue
        down, up = (state.get(f"{module}.lora_{part}.default.weight") for part in "AB")
        if parameter == "weight" and down is not None and up is not None and down.shape[:1] == up.shape[1:]:
            found[f"{module}.weight"] = tensor + alpha / len(down) * (up @ down)
        else:
            found[f"{module}.{parameter}" if parameter else name] = tensor
    return found
