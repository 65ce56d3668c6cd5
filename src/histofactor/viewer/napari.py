"""A reader for napari: a label map, the folder of an input or a whole output folder, as layers of labels in µm.

``napari.yaml`` names it, see https://napari.org/stable/plugins/building_a_plugin/guides.html. Neither napari nor Qt is
imported: what a reader returns are tuples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.names import LABELS, RUNS, SEAL, TABLE
from histofactor.errors import ImageError
from histofactor.export.labels import LabelLegend, open_levels, read_legend
from histofactor.export.tables import PhenotypeRow, read_phenotypes
from histofactor.records import Raster
from histofactor.runs.ledger import placed_inputs

Layer = tuple[Any, dict[str, Any], str]  # data, what ``napari.layers.Labels`` is given with it, and the kind of layer
_MEASURED = ("area_um2", "fraction", "mean_margin", "mean_residual")
_CLEAR = (0.0, 0.0, 0.0, 0.0)


def napari_get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """What opens a path: a function from it to layers, or None where histofactor did not write it.

    Args:
        path: of ``labels.ome.tif``, or of a folder that ``histofactor segment`` wrote.
    """
    if not isinstance(path, str):
        return None
    place = Path(path)
    of_folder = (place / SEAL).exists() or (place / RUNS).is_dir()
    return read_layers if of_folder or _is_ours(place) else None


def read_layers(path: str | list[str]) -> list[Layer]:
    """The layers of a path that ``napari_get_reader`` took; of an output folder one for each input, the first shown.

    An input of an output folder whose label map is damaged is left out, with a warning, which napari shows.

    Raises:
        ImageError: the label map is damaged, or that of every input.
        OptionError: the output folder holds no results.
    """
    place = Path(str(path))
    if not place.is_dir():
        return [_layer(place, place.absolute().parent.name)]
    if (place / SEAL).exists():
        return [_layer(place / LABELS, place.resolve().name)]
    layers, faults = list[Layer](), list[ImageError]()
    for name in placed_inputs(place):
        if not (place / name / SEAL).exists():
            continue
        try:
            layers.append(_layer(place / name / LABELS, name, visible=not layers))
        except ImageError as error:
            faults.append(error)
    if faults and not layers:
        raise faults[0]
    for fault in faults:
        warnings.warn(f"left out: {fault}", stacklevel=2)
    return layers


def _is_ours(path: Path) -> bool:
    """Whether a path is a file of labels with names."""
    try:
        return bool(read_legend(path).names)
    except ImageError:
        return False


def _layer(path: Path, name: str, *, visible: bool = True) -> Layer:
    """One label map with names, colours and measures of its labels, in µm where the µm/px is known, else in px."""
    levels, legend = [*map(_Level, open_levels(path))], read_legend(path)
    px = 1.0 if legend.mpp is None else legend.mpp
    several = len(levels) > 1
    colors: dict[int | None, tuple[float, ...]] = {None: _CLEAR, 0: _CLEAR}
    colors |= {label: _rgba(color) for label, color in legend.colors.items()}
    described = {
        "name": name,
        "multiscale": several,
        "scale": (px, px),
        "units": ("pixel" if legend.mpp is None else "um",) * 2,
        "features": _features(path.with_name(TABLE), legend),
        "colormap": colors,
        "visible": visible,
    }
    return levels if several else levels[0], described, "labels"


class _Level:
    """A level of a label map on disk, as napari asks for one; only what is shown of it is read."""

    def __init__(self, labels: Raster) -> None:
        self._labels = labels
        self.shape, self.dtype = labels.shape, labels.dtype
        self.ndim, self.size = 2, labels.shape[0] * labels.shape[1]

    def __getitem__(self, index: Any, /) -> Any:
        return self._labels[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._labels[:, :], dtype=dtype)


def _features(table: Path, legend: LabelLegend) -> dict[str, list[Any]]:
    """What napari tells of the label under the cursor: its name, and what the table beside the map has measured."""
    labels = sorted(legend.names)
    found: dict[str, list[Any]] = {"index": labels, "name": [legend.names[label] for label in labels]}
    rows = _rows(table)
    if [row.label for row in rows] == labels:
        found |= {name: [getattr(row, name) for row in rows] for name in _MEASURED}
    return found


def _rows(table: Path) -> list[PhenotypeRow]:
    """The table of an input, none where it does not lie there, or is damaged, of which napari shows a warning."""
    try:
        return read_phenotypes(table) if table.exists() else []
    except ImageError as error:
        warnings.warn(f"nothing is told of areas: {error}", stacklevel=2)
        return []


def _rgba(color: tuple[int, int, int]) -> tuple[float, ...]:
    return (*(value / 255 for value in color), 1.0)
