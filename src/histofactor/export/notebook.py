"""What a notebook shows of a segmentation and of a bank: HTML that is light and loads nothing, and figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.base.extras import install
from histofactor.base.text import counted, markup_text
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.summary import ConceptSummary, summarize
from histofactor.errors import OptionError
from histofactor.export.overlay import labels_at, render_overlay, thumbnail_size
from histofactor.export.tables import PhenotypeRow, by_name, hex_color, phenotype_table, summed
from histofactor.factor.problem import unit_concepts
from histofactor.records import Color, ConceptBank, Segmentation
from histofactor.slides.warnings import is_warning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

PICTURE_PX, PLOT_PX = 400, 1600  # long side of the picture of a table, and of a figure
_MAP_IN, _WIDE_IN = 4.0, 6.4  # inches of a figure: least height and most width of a map
_AROUND_IN = 1.3, 0.9  # what lies around it: axes, title, gaps
_BANK_IN, _NAMES, _NAME_IN = (6.4, 4.8), 20, 0.22  # of a bank of so many names, and for each more
_ROWS = 24  # that are shown of a table
_PALETTE = 256  # entries of a picture
_CELL = "padding:2px 10px 2px 0;text-align:"


def to_html(record: Segmentation | ConceptBank) -> str:
    """HTML of a record: its picture, legend, areas and warnings, less than 300 kB; text from outside is escaped.

    Args:
        record: the record.

    Raises:
        BankError: what a bank tells of its concepts cannot be read.
    """
    return _segmentation_html(record) if isinstance(record, Segmentation) else _bank_html(record)


def plot(
    record: Segmentation | ConceptBank, axes: Axes | None = None, *, image: NDArray[np.uint8] | None = None
) -> Axes:
    """Draw a segmentation as a map with its legend, in mm, or how alike the concepts of a bank are.

    Args:
        record: the record.
        axes: of matplotlib, to draw on; None makes a figure.
        image: (height, width, 3) of the whole input at any size, which the colours of a segmentation then tint.

    Returns:
        The axes.

    Raises:
        OptionError: matplotlib is not there, or an image is given for a bank.
    """
    drawn = axes_of(axes)
    if isinstance(record, Segmentation):
        legend = _plot_segmentation(record, drawn, image)
        if axes is None:
            _fit(drawn, legend)
        return drawn
    if image is not None:
        raise OptionError("an image is for the map of a segmentation", expected="no image", got="one, and a bank")
    if axes is None and (more := (len(record.names) - _NAMES) * _NAME_IN) > 0:
        _resize(drawn, _BANK_IN[0] + more, _BANK_IN[1] + more)
    return _plot_bank(record, drawn)


def axes_of(axes: Axes | None) -> Axes:
    """The axes to draw on, a new figure's where there are none.

    Raises:
        OptionError: matplotlib is not there.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise OptionError("plots need matplotlib", mend=install("plot")) from error
    return pyplot.subplots(layout="constrained")[1] if axes is None else axes


def table_html(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is on the left, others on the right. Cells are HTML."""
    align = ["left", "left", *["right;white-space:nowrap"] * len(heads)]
    lines = [
        "".join(f'<{tag} style="{_CELL}{align[column]}">{cell}</{tag}>' for column, cell in enumerate(row))
        for tag, row in [("th", heads), *(("td", row) for row in rows)]
    ]
    return f'<table style="border-collapse:collapse">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def plain(text: object) -> str:
    """Text from outside as HTML shows it."""
    return escape(markup_text(str(text)))


def literal(text: str) -> str:
    """Text from outside in a figure, where dollars would begin a formula."""
    return markup_text(text).replace("$", r"\$")


def swatch(color: Color | None) -> str:
    """A square of a colour."""
    style = "display:inline-block;width:1em;height:1em;border-radius:3px;vertical-align:-2px"
    return "" if color is None else f'<i style="{style};background:{hex_color(color)}"></i>'


def _segmentation_html(segmentation: Segmentation) -> str:
    label_map, slide, recipe = segmentation.label_map, segmentation.slide, segmentation.recipe
    rows = _shown_rows(segmentation)
    height, width = label_map.labels.shape
    name = "an image in memory" if slide.path is None else slide.path.name
    mpp = "µm/px unknown" if label_map.mpp is None else f"{label_map.mpp:g} µm/px"
    encoder, method = (recipe.get("encoder") or {}).get("name", ""), recipe.get("method", "")
    size = f"{width:,} × {height:,} px"
    facts = " · ".join(filter(None, [size, mpp, f"K = {len(label_map.names)}", str(encoder), str(method)]))
    body = table_html(
        ["", "phenotype", "share", "area", "margin"],
        [
            [
                swatch(row.color),
                plain(row.name) + (f" <small>{plain(row.shown_hint)}</small>" if row.shown_hint else ""),
                "artefact" if row.fraction is None else f"{row.fraction:.1%}",
                _area(row),
                "" if row.mean_margin is None else f"{row.mean_margin:.2f}",
            ]
            for row in rows[:_ROWS]
        ],
    )
    more = f"<small>and {len(rows) - _ROWS} more</small>" if len(rows) > _ROWS else ""
    warned = "".join(f"<br><b>Warning:</b> {plain(note)}" for note in slide.notes if is_warning(note))
    picture = f'<img alt="label map" style="max-width:100%" src="data:image/png;base64,{_picture(segmentation)}">'
    return (
        f'<div><b>{plain(name)}</b><br><small>{plain(facts)}{warned}</small><div style="display:flex;gap:1.5em;'
        f'flex-wrap:wrap;align-items:flex-start;margin-top:.5em">{picture}<div>{body}{more}</div></div></div>'
    )


def _shown_rows(segmentation: Segmentation) -> list[PhenotypeRow]:
    """Phenotypes that are there, those of one name as one, the largest first."""
    rows = [summed(same) for same in by_name(phenotype_table(segmentation))]
    return sorted((row for row in rows if row.area_px), key=lambda row: -row.area_px)


def _area(row: PhenotypeRow) -> str:
    return f"{row.area_px:,} px" if row.area_um2 is None else f"{row.area_um2 / 1e6:.4g} mm²"


def _picture(segmentation: Segmentation) -> str:
    """The label map in its colours as a small PNG, in base64; what has no label is clear."""
    colors, stream = segmentation.label_map.colors, io.BytesIO()
    few = len(colors) < _PALETTE
    size = thumbnail_size(segmentation.slide.size, PICTURE_PX if few else PICTURE_PX * 4 // 5)  # at 3 bytes a px
    labels = labels_at(segmentation, size)
    if few:
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette([value for color in ((255, 255, 255), *colors) for value in color])
        image.save(stream, "PNG", transparency=0, optimize=True)
    else:
        table = np.array([(255, 255, 255), *colors], np.uint8)
        Image.fromarray(table[labels]).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def _bank_html(bank: ConceptBank) -> str:
    key, k = bank.encoder, len(bank.names)
    mpp = "µm/px not stated" if bank.mpp is None else f"{bank.mpp:g} µm/px"
    facts = f"{key.name}, layer {key.layer}, {key.transform} · {bank.vectors.shape[1]} channels · {mpp}"
    rows = [
        [
            swatch(one.color),
            f"{one.label} {plain(one.name)}" + (f" <small>{plain(one.hint)}</small>" if one.hint else ""),
            "artefact" if one.excluded else "" if one.share is None else f"{one.share:.1%}",
            ", ".join(f"{label} ({cosine:.2f})" for label, cosine in one.neighbours[:1]),
        ]
        for one in _summaries(bank)[:_ROWS]
    ]
    more = f"<small>and {k - _ROWS} more</small>" if k > _ROWS else ""
    head = f"<b>{counted(k, 'concept')}</b><br><small>{plain(facts)}</small>"
    return f"<div>{head}{table_html(['', 'concept', 'share', 'nearest (cosine)'], rows)}{more}</div>"


def _summaries(bank: ConceptBank) -> list[ConceptSummary]:
    return summarize(BankFile({len(bank.names): bank}), len(bank.names))


def _plot_segmentation(segmentation: Segmentation, axes: Axes, image: NDArray[np.uint8] | None) -> Legend:
    from matplotlib.patches import Patch

    rows = _shown_rows(segmentation)
    slide, mpp = segmentation.slide, segmentation.slide.mpp
    size = thumbnail_size(slide.size, PLOT_PX)
    if image is None:
        table = np.array([(255, 255, 255), *segmentation.label_map.colors], np.uint8)
        shown = table[labels_at(segmentation, size)]
    else:
        shown = render_overlay(np.asarray(image), segmentation)
    unit, per_px = ("px", 1.0) if mpp is None else ("mm", mpp / 1000)
    axes.imshow(shown, extent=(0, slide.size[0] * per_px, slide.size[1] * per_px, 0), interpolation="nearest")
    axes.set(xlabel=unit, ylabel=unit, title="" if slide.path is None else literal(slide.path.name))
    handles = [
        Patch(
            facecolor=hex_color(row.color or (255, 255, 255)),
            label=literal(row.name if row.fraction is None else f"{row.name} {row.fraction:.1%}"),
        )
        for row in rows[:_ROWS]
    ]
    if len(rows) > _ROWS:
        handles.append(Patch(alpha=0, label=f"and {len(rows) - _ROWS} more"))
    return axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, borderaxespad=0)


def _fit(axes: Axes, legend: Legend) -> None:
    """Make the figure of a map as large as the map and its legend ask for; the map's corner is at the legend's."""
    box, per_inch = legend.get_window_extent(), legend.figure.dpi
    map_height = max(_MAP_IN, box.height / per_inch)
    left, right, bottom, top = axes.get_images()[0].get_extent()
    map_width = min(map_height * (right - left) / (bottom - top), _WIDE_IN)
    _resize(axes, map_width + box.width / per_inch + _AROUND_IN[0], map_height + _AROUND_IN[1])
    axes.set_anchor("NE")


def _resize(axes: Axes, width: float, height: float) -> None:
    """Give the figure of axes another size, in inches."""
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.set_size_inches(width, height)


def _plot_bank(bank: ConceptBank, axes: Axes) -> Axes:
    bank = in_one_color(bank)
    units = unit_concepts(bank.vectors)[0]
    drawn = axes.imshow(units @ units.T, vmin=0, vmax=1, cmap="viridis")
    names, places = [literal(name) for name in bank.names], range(len(bank.names))
    axes.set(title="cosine of concepts", xticks=places, yticks=places)
    axes.set_xticklabels(names, rotation=90)
    axes.set_yticklabels(names)
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        for tick, color in zip(ticks, bank.colors, strict=True):
            tick.set_bbox({"facecolor": hex_color(color), "alpha": 0.45, "edgecolor": "none", "pad": 1.5})
    axes.figure.colorbar(drawn, ax=axes)
    return axes
