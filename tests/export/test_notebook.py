"""What a notebook shows of segmentations and banks."""

import base64
import builtins
import io
import itertools
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from histofactor.base.colors import palette
from histofactor.errors import OptionError
from histofactor.export.notebook import plot, to_html
from histofactor.records import LabelMap, Segmentation, SlideInfo, TokenMaps
from histofactor.slides.warnings import NO_TISSUE
from small_banks import bank

mpl.use("Agg")
EVIL = "<script>alert('x')</script>"


def segmentation(labels, names=("tumour", "stroma"), mpp=2.0, path=Path("a.svs"), excluded=()):
    height, width = labels.shape
    slide = SlideInfo(path, (2 * width, 2 * height), 1.0, (1.0,), "test")
    tokens = TokenMaps(8, labels[::8, ::8], *(np.zeros((-(-height // 8), -(-width // 8)), np.float32),) * 3)
    label_map = LabelMap(labels, mpp, (0, 0), names, palette(len(names)), excluded)
    margin = np.full(labels.shape, 0.5, np.float32)
    return Segmentation(slide, label_map, margin, tokens, (2.0, 2.0), {"method": "project"})


@pytest.fixture
def halves():
    """400 × 200 px: three quarters of the tissue are tumour, one is stroma, and a corner is nothing."""
    labels = np.ones((200, 400), np.uint8)
    labels[:, 300:] = 2
    labels[:20, :20] = 0
    return labels


def picture_of(html):
    content = re.search(r'src="data:image/png;base64,([^"]+)"', html)[1]
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_segmentation_shows_its_map_legend_and_areas(halves):
    html = to_html(segmentation(halves))
    picture = picture_of(html)
    assert picture.size == (400, 200)
    seen = np.asarray(picture.convert("RGBA"))
    first, second = palette(2)
    assert tuple(seen[100, 100]) == (*first, 255)
    assert tuple(seen[100, 350]) == (*second, 255)
    assert seen[5, 5, 3] == 0
    tumour, stroma = 300 * 200 - 400, 100 * 200
    for words in ("<b>a.svs</b>", "400 × 200 px", "2 µm/px", "K = 2", "project", "tumour", "stroma", "0.50"):
        assert words in html
    for area in (tumour, stroma):
        assert f"{area / (tumour + stroma):.1%}" in html
        assert f"{area * 4 / 1e6:.4g} mm²" in html
    assert html.index("tumour") < html.index("stroma")


def test_what_may_make_a_map_meaningless_is_told_and_no_other_note(halves):
    made = segmentation(halves)
    notes = ("no µm/px is known: state it with --source-mpp", "the slide is the <b>scanned</b> part", NO_TISSUE)
    html = to_html(replace(made, slide=replace(made.slide, notes=notes)))
    assert html.count("Warning:") == 2
    assert f"<b>Warning:</b> {notes[0]}" in html
    assert NO_TISSUE in html
    assert "scanned" not in html
    assert "Warning" not in to_html(made)


def test_two_of_one_name_are_one_and_artefacts_have_no_share(halves):
    same = to_html(segmentation(halves, names=("gland", "gland")))
    assert same.count("gland") == 1
    assert "100.0%" in same
    assert to_html(segmentation(halves, excluded=(2,))).count("artefact") == 1


def test_text_from_outside_is_escaped(halves):
    html = to_html(segmentation(halves, names=(EVIL, "b\x00"), path=Path("&lt;<b>.svs")))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "&amp;lt;&lt;b&gt;.svs" in html
    assert "\x00" not in html
    assert "<script" not in to_html(bank(2, names=(EVIL, "b")))


@pytest.mark.parametrize(("k", "kind"), [(255, np.uint8), (256, np.uint16), (40, np.uint8)])
def test_it_is_light_whatever_is_in_it(k, kind):
    labels = np.random.default_rng(0).integers(0, k + 1, (1000, 1000)).astype(kind)
    html = to_html(segmentation(labels, names=tuple(f"Concept {i}" for i in range(k))))
    assert len(html) < 300_000
    assert max(picture_of(html).size) <= 400
    assert f"and {k - 24} more" in html


def test_a_bank_shows_its_concepts():
    told = bank(3, names=("tumour", "stroma", "pen"), excluded=(2,), provenance={"counts": [30, 10, 60]})
    html = to_html(told)
    for words in ("3 concepts", "uni, layer blocks[-1]", "6 channels", "0.5 µm/px", "1 tumour", "75.0%", "artefact"):
        assert words in html
    assert html.count("border-radius") == 3
    assert "and 76 more" in to_html(bank(100))


def test_a_segmentation_is_drawn_in_mm_with_its_legend(halves):
    made = segmentation(halves)
    axes = plot(made)
    (drawn,) = axes.get_images()
    assert drawn.get_extent() == pytest.approx([0, 0.8, 0.4, 0])
    assert tuple(drawn.get_array()[100, 100]) == palette(2)[0]
    assert axes.get_xlabel() == "mm"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["tumour 74.9%", "stroma 25.1%"]
    assert plot(made, axes) is axes
    image = np.full((100, 200, 3), 200, np.uint8)
    assert plot(made, image=image).get_images()[0].get_array().shape == (100, 200, 3)
    unknown = replace(made, slide=replace(made.slide, mpp=None))
    assert plot(unknown).get_images()[0].get_extent() == pytest.approx([0, 800, 400, 0])
    mpl.pyplot.close("all")


def test_a_bank_is_drawn_as_cosines():
    made = bank(4, names=("a", "$x", "c", "d"))
    axes = plot(made)
    units = made.vectors / np.linalg.norm(made.vectors, axis=1)[:, None]
    assert np.allclose(axes.get_images()[0].get_array(), units @ units.T, atol=1e-6)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", r"\$x", "c", "d"]
    axes.figure.canvas.draw()
    with pytest.raises(OptionError, match="image is for the map"):
        plot(made, image=np.zeros((2, 2, 3), np.uint8))
    mpl.pyplot.close("all")


def test_a_legend_tells_what_it_leaves_out(make_segmentation):
    made = make_segmentation(np.arange(36).reshape(6, 6) % 30, k=30)
    texts = [text.get_text() for text in plot(made).get_legend().get_texts()]
    assert len(texts) == 25
    assert texts[-1] == "and 5 more"  # of 29: label 0 is none
    mpl.pyplot.close("all")


@pytest.mark.parametrize("shape", [(20, 20), (5, 40), (40, 5)], ids=["square", "wide", "tall"])
@pytest.mark.parametrize("words", ["", ", which has a name that is long"], ids=["short", "long"])
def test_a_figure_has_room_for_a_long_legend(make_segmentation, shape, words):
    made = make_segmentation(np.arange(shape[0] * shape[1]).reshape(shape) % 40 + 1, k=40)
    names = tuple(name + words for name in made.label_map.names)
    axes = plot(replace(made, label_map=replace(made.label_map, names=names)))
    axes.figure.canvas.draw()
    drawn, whole = axes.get_window_extent(), axes.figure.bbox
    for box in (axes.get_legend().get_window_extent(), axes.get_tightbbox()):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert max(drawn.width, drawn.height) > 3.8 * axes.figure.dpi
    assert drawn.width / drawn.height == pytest.approx(shape[1] / shape[0], rel=0.01)
    mpl.pyplot.close("all")


def test_names_of_many_concepts_lie_side_by_side():
    axes = plot(bank(48))
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert len(boxes) == 48
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))
    mpl.pyplot.close("all")


def test_without_matplotlib_the_command_is_named(halves, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError) as error:
        segmentation(halves).plot()
    assert error.value.mend == "pip install 'histofactor[plot]'"
