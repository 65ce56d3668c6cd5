"""What a worker keeps from one job to the next, so that an encoder is loaded, and a small input encoded, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histofactor.encoders.encoder import Encoder, Inference
from histofactor.records import ConceptBank
from histofactor.segmentation.setup import SegmentOptions
from histofactor.segmentation.window_memory import FeatureMemory

_ENCODER, _MEMORY = "encoder", "memory"


@dataclass(frozen=True, slots=True)
class _Held:
    """An encoder that was loaded, and what by."""

    name: str
    weights: str | Path | None
    device: str
    inference: Inference
    encoder: Encoder


def keep_encoder(shared: dict[str, Any], name: str, options: SegmentOptions, encoder: Encoder) -> None:
    """Keep an encoder that was loaded by its name and by these options."""
    shared[_ENCODER] = _Held(name, options.weights, options.device, options.inference, encoder)


def kept_encoder(shared: dict[str, Any], name: str, options: SegmentOptions, bank: ConceptBank) -> Encoder | None:
    """The encoder that is kept, if it is the one that these concepts are for and is run in the same way; else None."""
    held = shared.get(_ENCODER)
    if not isinstance(held, _Held) or held.encoder.spec.key != bank.encoder:
        return None
    asked = _Held(name, options.weights, options.device, options.inference, held.encoder)
    return held.encoder if asked == held else None


def memory_of(shared: dict[str, Any]) -> FeatureMemory:
    """Inputs that this worker encoded and is yet to segment."""
    memory: FeatureMemory = shared.setdefault(_MEMORY, FeatureMemory())
    return memory
