"""One segmented input as tables and shapes of other programs are made of it, from memory or from its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from histofactor.base import extras
from histofactor.base.text import markup_text
from histofactor.errors import ImageError
from histofactor.export.tables import PhenotypeRow, hex_color, phenotype_table
from histofactor.records import Float, LabelMap, Raster, Segmentation, SlideInfo


@dataclass(frozen=True, slots=True)
class TokenRows:
    """What is known of some token rows; None where it was not kept.

    Attributes:
        weights: (rows, w, K) ≥ 0.
        margin: (rows, w) in [0, 1], as in ``TokenMaps``.
        residual: (rows, w) in [0, 1], as in ``Weights``.
    """

    weights: Float | None = None
    margin: Float | None = None
    residual: Float | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """One segmented input.

    Attributes:
        slide: the input.
        label_map: its labels, at ``origin`` in level-0 px.
        l0_per_px: (x, y) level-0 px per px of the label map.
        stride_px: px of the label map per token.
        rows: all phenotypes, label 0 first.
        tokens: (start, stop) in token rows → what is known of them.
        margin: (height, width) of the px, or None where it was not kept.
        made_by: what the labels were made by, JSON types: encoder, bank, method, hashes.
    """

    slide: SlideInfo
    label_map: LabelMap
    l0_per_px: tuple[float, float]
    stride_px: int
    rows: tuple[PhenotypeRow, ...]
    tokens: Callable[[int, int], TokenRows]
    margin: Raster | None
    made_by: dict[str, Any]

    @property
    def phenotypes(self) -> tuple[PhenotypeRow, ...]:
        """The phenotypes without label 0."""
        return self.rows[1:]

    @property
    def tokens_known(self) -> TokenRows:
        """No token rows: it tells by what is None in it what was not kept."""
        return self.tokens(0, 0)


_MADE_BY = ("histofactor", "encoder", "bank", "method", "mpp", "unlike", "min_area_um2", "borders", "recipe_sha256")


def mapped(segmentation: Segmentation) -> Mapped:
    """A segmentation that is at hand; nothing is copied."""
    weights, tokens = segmentation.weights, segmentation.tokens

    def rows(start: int, stop: int) -> TokenRows:
        some = slice(start, stop)
        values = None if weights is None else weights.values[some]
        return TokenRows(values, tokens.margin[some], tokens.residual[some])

    return Mapped(
        slide=segmentation.slide,
        label_map=segmentation.label_map,
        l0_per_px=segmentation.l0_per_px,
        stride_px=tokens.stride_px,
        rows=tuple(phenotype_table(segmentation)),
        tokens=rows,
        margin=segmentation.margin,
        made_by=made_by(segmentation.recipe),
    )


def made_by(recipe: Any) -> dict[str, Any]:
    """What a recipe says that belongs beside tables, without what it says of slides that the bank was learned from."""
    told = {name: recipe[name] for name in _MADE_BY if recipe.get(name) is not None}
    if "bank" in told:
        told["bank"] = {name: told["bank"][name] for name in ("sha256", "k")}
    if "relabel" in recipe:
        told["relabel"] = {name: recipe["relabel"][name] for name in ("parent_recipe_sha256", "weights")}
    return told


def moved(one: Mapped, x: int, y: int) -> Mapped:
    """The same at another place: (x, y) level-0 px further on."""
    label_map = one.label_map
    origin = label_map.origin[0] + x, label_map.origin[1] + y
    return replace(one, label_map=replace(label_map, origin=origin))


def shown(rows: Sequence[PhenotypeRow]) -> list[str]:
    """Names of phenotypes, as files of other programs can hold them."""
    return [markup_text(row.name) for row in rows]


def keys(rows: Sequence[PhenotypeRow]) -> list[str]:
    """A name for every phenotype that no other has: its own, with the label after it where several have that."""
    names = shown(rows)
    count = Counter(names)
    found = [name if count[name] == 1 else f"{name} ({row.label})" for name, row in zip(names, rows, strict=True)]
    if len(set(found)) < len(found):  # somebody gave a name that looks so
        return [f"{row.label}: {name}" for name, row in zip(names, rows, strict=True)]
    return found


def phenotype_columns(one: Mapped) -> dict[str, list[Any]]:
    """All phenotypes but label 0, column by column, as phenotypes.csv has them; None where a number does not exist."""
    numbers = ("area_px", "area_um2", "fraction", "mean_margin", "mean_residual")
    return {
        "label": [row.label for row in one.phenotypes],
        "name": shown(one.phenotypes),
        "color": [hex_color(row.color or (0, 0, 0)) for row in one.phenotypes],
        **{name: [getattr(row, name) for row in one.phenotypes] for name in numbers},
        "hint": [row.hint for row in one.phenotypes],
        "excluded": [row.label in one.label_map.excluded for row in one.phenotypes],
    }


def check_areas(one: Mapped, counted: Sequence[int]) -> None:
    """Check that a table read from a file tells of these labels.

    Args:
        one: the input.
        counted: px of every label from 1 on.

    Raises:
        ImageError: the table has other areas.
    """
    for row, px in zip(one.phenotypes, counted, strict=True):
        if row.area_px != px:
            raise ImageError(
                "the table of phenotypes does not tell of the label map beside it",
                expected=f"{px} px of label {row.label}",
                got=f"{row.area_px} px",
                mend="delete the table and segment the input again",
            )


def need(*modules: str) -> None:
    """Import what the extra ``spatialdata`` brings.

    Raises:
        OptionError: it is not there.
    """
    extras.need("this needs", "spatialdata", *modules)
