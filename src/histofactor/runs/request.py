"""What a run was asked for, written down with it, so that its inputs can be segmented again in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from histofactor.encoders.encoder import Encoder, Inference
from histofactor.records import ConceptBank
from histofactor.runs.results import Outputs
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions

_PATHS = ("weights", "tissue_mask")  # of the options, where they are files


class Asked(Protocol):
    """How inputs are segmented, see ``segment_many.ManyOptions``."""

    @property
    def mpp(self) -> float | None:
        """µm/px to work at."""

    @property
    def opening(self) -> Opening:
        """How inputs are opened."""

    @property
    def method(self) -> str:
        """As for ``segment``."""

    @property
    def segment(self) -> SegmentOptions:
        """What is seldom changed."""

    @property
    def outputs(self) -> Outputs:
        """What is written of each input."""


def stated(encoder: str | Encoder, concepts: str | Path | ConceptBank | None, options: Asked) -> dict[str, Any] | None:
    """What a run is asked for, in JSON types; None where an encoder or a bank in memory is, which no file holds."""
    if isinstance(encoder, Encoder) or isinstance(concepts, ConceptBank):
        return None
    how = asdict(options.segment)
    how |= {name: str(Path(how[name]).resolve()) for name in _PATHS if how[name] is not None}
    return {
        "encoder": encoder,
        "concepts": None if concepts is None else _named(concepts),
        "mpp": options.mpp,
        "method": options.method,
        "opening": asdict(options.opening),
        "outputs": asdict(options.outputs),
        "segment": how,
    }


def _named(concepts: str | Path) -> str:
    """A bank by where it lies, or the name of one that ships."""
    return str(Path(concepts).resolve() if Path(concepts).exists() else concepts)


def again(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The encoder, and what ``ManyOptions`` takes, of what ``stated`` wrote.

    Raises:
        KeyError, TypeError: it is of another version.
    """
    how = SegmentOptions(**request["segment"])
    how = replace(how, inference=Inference(**request["segment"]["inference"]))
    options = {
        "mpp": request["mpp"],
        "method": request["method"],
        "opening": Opening(**request["opening"]),
        "outputs": Outputs(**request["outputs"]),
        "segment": how,
    }
    return str(request["encoder"]), options
