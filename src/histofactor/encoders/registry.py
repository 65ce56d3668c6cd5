"""The encoders: rows of the literal table ``registry.toml``, and those of plug-ins.

A plug-in is a Python package with an entry point in the group ``histofactor.encoders`` that loads a ``Plugin``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec, WeightsSource, WindowRule

if TYPE_CHECKING:
    import torch

GROUP = "histofactor.encoders"
_SHOWN = 8  # names in a message
_COLUMNS = (
    *("name", "network", "channels", "patch px", "prefix", "µm/px", "window px", "licence", "commercial use"),
    *("sharing what is made with it", "robustness", "access", "facts"),
)


@dataclass(frozen=True, slots=True)
class Plugin:
    """An encoder that comes from elsewhere.

    Attributes:
        spec: its row; ``source.library`` is ``plugin``.
        build: gives the network, from a file of weights or with its own if None. The network takes normalised RGB
            (n, 3, height, width) and returns a feature map (n, d, h, w) before the transform.
    """

    spec: EncoderSpec
    build: Callable[[Path | None], torch.nn.Module]


_registered: dict[str, Plugin] = {}


def register(plugin: Plugin) -> None:
    """Make an encoder known to this process.

    Raises:
        EncoderError: its name is taken, or its row is not that of a plug-in.
    """
    name = plugin.spec.name
    if name in _rows() or _registered.get(name, plugin) is not plugin:
        raise EncoderError(f"there is an encoder {name!r} already", mend="give the plug-in another name")
    if plugin.spec.source.library != "plugin":
        raise EncoderError(
            f"the row of {name!r} is not that of a plug-in",
            expected="source.library = 'plugin'",
            got=repr(plugin.spec.source.library),
        )
    _registered[name] = plugin


def plugins() -> dict[str, Plugin]:
    """The plug-ins of installed packages and of this process, by name.

    Raises:
        EncoderError: an entry point does not load a ``Plugin``.
    """
    found = {}
    for point in entry_points(group=GROUP):
        loaded = point.load()
        if not isinstance(loaded, Plugin):
            raise EncoderError(
                f"the entry point {point.name!r} is no encoder", expected="a Plugin", got=repr(loaded)[:80]
            )
        found[loaded.spec.name] = loaded
    return {**found, **_registered}


def list_encoders() -> tuple[EncoderSpec, ...]:
    """All rows: the table's in its order, then those of plug-ins."""
    return (*_rows().values(), *(plugin.spec for plugin in plugins().values()))


def get(name: str) -> EncoderSpec:
    """The row of an encoder.

    Besides the rows of the table and of plug-ins, ``timm:NAME`` stands for any network of timm, and ``transformers:ID``
    for a repository of the hub or a folder with a vision transformer of transformers.

    Raises:
        EncoderError: no encoder has this name; the message lists the nearest ones.
    """
    kind, _, rest = name.partition(":")
    if rest and kind in {"timm", "transformers"}:
        from histofactor.encoders.adhoc import row_of

        return row_of(kind, rest)
    rows = {spec.name: spec for spec in list_encoders()}
    if name in rows:
        return rows[name]
    near = difflib.get_close_matches(name.lower(), rows, n=3, cutoff=0.4)
    raise EncoderError(
        f"unknown encoder {name!r}",
        expected=f"one of {', '.join([*rows][:_SHOWN])} … or timm:NAME, transformers:ID",
        mend=f"did you mean {' or '.join(map(repr, near))}?" if near else "`histofactor encoders list` shows them",
    )


def markdown_table(specs: Sequence[EncoderSpec]) -> str:
    """The table of the docs, one row an encoder."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
    ]
    for spec in specs:
        cells = (
            *(f"`{spec.name}`", f"{spec.source.library} {spec.source.architecture}", spec.dim, spec.patch_px),
            *(spec.prefix_tokens, f"{spec.mpp:g}", spec.window.size_px, spec.licence, spec.commercial),
            *(spec.derivatives, spec.robustness or "not found", access_of(spec), spec.facts),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def access_of(spec: EncoderSpec) -> str:
    """Where the weights are, in a word or three."""
    return "in the package" if not spec.source.repository else "gated" if spec.gated else "open"


@cache
def _rows() -> dict[str, EncoderSpec]:
    text = resources.files("histofactor.encoders").joinpath("registry.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return {name: _spec(name, row, table) for name, row in table["encoders"].items()}


def _spec(name: str, row: dict[str, Any], table: dict[str, Any]) -> EncoderSpec:
    mean, std = table["norms"][row["norm"]]
    commercial, derivatives = table["licences"][row["licence"]]
    side, overlap, halo = row["window"]
    return EncoderSpec(
        name=name,
        source=WeightsSource(
            row["library"],
            row["architecture"],
            row["arguments"],
            row["repository"],
            row["filename"],
            row["revision"] or None,
            row.get("key_prefix", ""),
            row.get("remote_code", False),
            row.get("lora_alpha", 0.0),
        ),
        patch_px=row["patch_px"],
        dim=row["dim"],
        prefix_tokens=row["prefix_tokens"],
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        mpp=row["mpp"],
        window=WindowRule(side, overlap, halo, row["fixed"]),
        layer=row["layer"],
        transform="relu",
        licence=row["licence"],
        gated=row["gated"],
        facts=row["facts"],
        precision=row["precision"],
        centring=row.get("centring", 0.0),
        commercial=commercial,
        derivatives=derivatives,
        robustness=row.get("robustness", ""),
    )
