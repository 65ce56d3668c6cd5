"""What a run is asked for; it is written down with it, so that its inputs can be segmented again in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from histofactor.encoders.encoder import Encoder, Inference
from histofactor.records import ConceptBank
from histofactor.records.urls import Input
from histofactor.runs.execute.engine import LOCAL, Engine
from histofactor.runs.outcome import Observer
from histofactor.runs.place import key_of
from histofactor.runs.results import Outputs
from histofactor.runs.shards import Shard
from histofactor.runs.source import Opening, Stated
from histofactor.segmentation.setup import SegmentOptions

_PATHS = ("weights", "tissue_mask")  # of the options, where they are files


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyOptions:
    """How many inputs are segmented.

    Attributes:
        mpp: µm/px to work at; default the encoder's own.
        opening: how inputs are opened: µm/px where their header lacks it, which image of a file, how large at most.
        known: what is said of some of the inputs, by the path that they are given by: µm/px, group, mask of tissue.
        method: as for ``segment``.
        segment: what is seldom changed.
        outputs: what is written of each input.
        resume: keep finished inputs, and go on where unfinished ones were left; else everything is made anew.
        arguments: what ``run.json`` says the run was called with.
        relearn: learn the concepts of the folder anew, from these inputs and all that earlier runs had.
        balance: what gives tokens alike where they are learned, see ``LearnOptions``.
        observer: who is told.
        engine: where inputs are worked on.
        shard: the share of the inputs that this process works on; the others are told alike. None: all.
    """

    mpp: float | None = None
    opening: Opening = field(default_factory=Opening)
    known: Mapping[Input, Stated] = field(default_factory=dict)
    method: str = "project"
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    outputs: Outputs = field(default_factory=Outputs)
    resume: bool = True
    arguments: Sequence[str] = ()
    relearn: bool = False
    balance: str | None = None
    observer: Observer = field(default_factory=Observer)
    engine: Engine = LOCAL
    shard: Shard | None = None


def stated(
    encoder: str | Encoder, concepts: str | Path | ConceptBank | None, options: ManyOptions
) -> dict[str, Any] | None:
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
        "known": {key_of(path): _known(one) for path, one in options.known.items()},
    }


def _known(one: Stated) -> dict[str, Any]:
    return asdict(one) | {"mask": None if one.mask is None else str(one.mask.resolve())}


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
