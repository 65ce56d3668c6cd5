"""What the viewer's legend, screenshot and tools tell of what is seen, on a study that is looked at only."""

import itertools
import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.base.colors import blend, seen_color
from histofactor.runs.study import BANK, open_study

pytestmark = pytest.mark.browser

STORE = "window.histofactor.store"
PANES = "window.histofactor.page().panes"
STAIN = np.array([207, 160, 196])
SHOT = "import('/static/shot.js')"


@pytest.fixture
def bank(whole_study):
    study = open_study(whole_study[0] / BANK)
    return study.file.banks[study.k]


def seen(locator):
    """Background colours as the browser mixes them: 8-bit, (n, 3)."""
    told = locator.evaluate_all("all => all.map((one) => getComputedStyle(one).backgroundColor)")
    numbers = [[float(part) for part in re.findall(r"[0-9.]+", text.removeprefix("color(srgb"))][:3] for text in told]
    return np.rint(
        [
            [255 * part for part in one] if text.startswith("color") else one
            for one, text in zip(numbers, told, strict=True)
        ]
    )


@pytest.mark.parametrize("opacity", [30, 55, 100])
def test_swatches_show_colours_as_they_are_seen_over_tissue(shown, bank, opacity):
    expected = np.array([np.rint(blend(np.array(color), STAIN, opacity / 100)) for color in bank.colors])
    page = shown("opacity=20")
    page.locator("#opacity").fill(str(opacity))
    found = [seen(page.locator(".class .swatch-input"))]
    page.keyboard.press("k")
    page.locator(".concept .swatch-input").wait_for()
    found.append(seen(page.locator(".classes .swatch")))
    for one in found:
        assert np.abs(one - expected).max() <= 1
    assert np.abs(seen(page.locator(".concept .swatch-input"))[0] - expected[0]).max() <= 1
    if opacity == 55:  # that of reports
        assert np.abs(found[0] - [seen_color(color) for color in bank.colors]).max() <= 1
    assert page.locator(".concept .swatch-input").input_value() == f"#{bytes(bank.colors[0]).hex()}"


def test_patterns_differ_and_none_is_blank(shown):
    page = shown()
    count = page.evaluate("() => import('/static/patterns.js').then((one) => one.COUNT)")
    assert count >= 16
    drawn = page.evaluate(
        "() => import('/static/patterns.js').then(({ COUNT, isDark }) => Array.from({ length: COUNT }, (_, index) =>"
        " Array.from({ length: 72 * 72 }, (_, at) => isDark(index, 480 + (at % 72), 480 + Math.floor(at / 72)))))"
    )
    dark = np.array(drawn, bool).reshape(count, 72, 72)
    assert ((dark.mean((1, 2)) > 0.08) & (dark.mean((1, 2)) < 0.6)).all()
    for one, other in itertools.combinations(dark, 2):
        shifts = [
            (one ^ np.roll(other, (down, along), (0, 1))).mean()
            for down in range(0, 18, 2)
            for along in range(0, 18, 2)
        ]
        assert min(shifts) > 0.08  # also where one begins elsewhere
    page.keyboard.press("p")
    pictures = page.locator(".class .swatch-input").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundImage)"
    )
    assert len(set(pictures)) == len(pictures) == 8
    assert all(picture.startswith("url(") for picture in pictures)
    beneath = page.locator(".class .number").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundImage)"
    )
    assert set(beneath) == {"none"}


def legend_rows(page):
    return page.evaluate(
        f"() => {SHOT}.then((one) => one.legendOf({PANES}).rows.map((row) => [row.labels[0], row.amount]))"
    )


def test_a_screenshot_tells_the_phenotypes_that_are_seen_largest_first(shown, whole_study, bank, tmp_path):
    labels = tifffile.imread(whole_study[0] / "a" / "labels.ome.tif")
    page = shown("x=40&y=40&s=0.05")
    view = page.evaluate(f"() => {PANES}[0].view")
    left, top = int(view["x"]), int(view["y"])
    right, bottom = (
        int(view[axis] + view[side] / view["scale"]) + 1 for axis, side in (("x", "width"), ("y", "height"))
    )
    inside = set(np.unique(labels[top:bottom, left:right])) - {0}
    assert inside < set(np.unique(labels)) - {0}
    counts = np.bincount(labels.ravel(), minlength=9)
    expected = sorted(inside, key=lambda label: -counts[label])
    rows = legend_rows(page)
    assert [label for label, _ in rows] == expected
    assert [amount for _, amount in rows] == [counts[label] for label in expected]
    with page.expect_download() as got:
        page.keyboard.press("s")
    got.value.save_as(tmp_path / "shot.png")
    with Image.open(tmp_path / "shot.png") as image:
        legend = np.asarray(image.convert("RGB"))[:, -400:]
    first = np.rint(blend(np.array(bank.colors[expected[0] - 1]), STAIN, 0.45))
    assert np.abs(legend[75, 20].astype(int) - first).max() <= 1
    page.keyboard.press("h")
    assert legend_rows(page) == []


def test_a_screenshot_says_what_is_left_out(shown):
    page = shown("only=2")
    told = page.evaluate(f"() => {SHOT}.then((one) => one.legendOf({PANES}).told)")
    assert told == "one phenotype of 8 shown"
    assert page.locator(".part-shown").inner_text().startswith("one phenotype of 8 shown")
    fits = page.evaluate(f"() => {SHOT}.then((one) => one.fitting(Array.from({{ length: 58 }}, (_, at) => at), 480))")
    assert fits["shown"] == list(range(17))
    assert fits["more"] == 41
    fits = page.evaluate(f"() => {SHOT}.then((one) => one.fitting([1, 2, 3], 480))")
    assert fits == {"shown": [1, 2, 3], "more": 0}


def test_show_all_ends_what_hides_and_singles_out(shown):
    page = shown("only=2&hidden=3.4")
    page.get_by_role("button", name="Show all").click()
    assert page.evaluate(f"() => [{STORE}.ui.only, {STORE}.ui.hidden.size]") == [None, 0]
    assert page.get_by_role("button", name="Show all").is_hidden()
    page.locator(".class .eye").first.click()
    assert page.locator(".part-shown").inner_text().startswith("7 phenotypes of 8 shown")


def test_areas_of_a_column_are_in_one_unit(shown):
    page = shown()
    told = page.locator(".class .area").all_inner_texts()
    assert {text.split()[-1] for text in told} == {"µm²"}
    tell = "([all, per]) => import('/static/dom.js').then((one) => all.map(one.areaTeller(all, per)))"
    assert page.evaluate(tell, [[8373, 50_000, 600_000, 12, 0], 1]) == [
        "0.008 mm²",
        "0.050 mm²",
        "0.600 mm²",
        "< 0.001 mm²",
        "0.000 mm²",
    ]
    assert page.evaluate(tell, [[8373, 50_000], 1]) == ["8,373 µm²", "50,000 µm²"]
    assert page.evaluate(tell, [[8373, 5], None]) == ["8,373 px", "5 px"]


def test_hints_are_searched_and_nothing_is_told(shown):
    page = shown()
    hints = page.evaluate(f"() => {STORE}.concepts.concepts.map((one) => one.hint)")
    word = max((word for hint in hints for word in re.findall(r"[a-z]+", hint)), key=len)
    box = page.get_by_label("Search phenotypes")
    box.fill(word.upper())
    found = page.locator(".class").evaluate_all("all => all.map((one) => Number(one.dataset.label))")
    assert found == [at + 1 for at, hint in enumerate(hints) if word in hint]
    box.fill("zebra")
    assert page.locator(".classes").inner_text() == "nothing found for “zebra”"


def test_eyes_say_what_is_on_and_the_first_stop_of_tab_skips_to_the_legend(shown):
    page = shown("hidden=1")
    eyes = page.locator(".class .eye")
    assert eyes.nth(0).get_attribute("aria-label").startswith("Show ")
    assert [eyes.nth(at).get_attribute("aria-pressed") for at in (0, 1)] == ["false", "true"]
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.innerText") == "Skip to the legend"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.dataset.label") == "1"


def test_whole_fits_both_slides_also_while_they_open(shown):
    """What is told of the slides is held back until the button was pressed."""
    page = shown("compare=image&x=100&y=90&s=0.1")
    second = page.evaluate(f"() => {STORE}.study.slides[1][0]")
    held = []
    page.route("**/api/slides/*", lambda route: held.append(route))  # noqa: PLW0108 (Playwright marks it)
    page.locator("#compare-with").select_option(second)
    page.wait_for_function(f"() => !{PANES}[0].slide && !{PANES}[1].slide")
    page.get_by_role("button", name="Whole").click()
    for route in held:
        route.continue_()
    page.unroute("**/api/slides/*")
    page.wait_for_function(f"(id) => {PANES}[1].slide?.id === id", arg=second)
    fits = f"""(width) => {{
      const s = Math.max(...{PANES}.map(({{ view }}) => Math.max(width / view.width, 240 / view.height)));
      const middles = [160, width / 2];
      return {PANES}.every(({{ target }}, index) => Math.hypot(target.x - middles[index], target.y - 120) < 0.1
        && Math.abs(target.s - s) < 1e-3);
    }}"""
    page.wait_for_function(fits, arg=320)
    page.evaluate(f"() => {{ {PANES}[1].slide.size = [960, 240]; {PANES}[1].go({{ x: 30, y: 30, s: 0.2 }}); }}")
    page.wait_for_function(f"() => {PANES}[0].target.s < 0.21")
    page.keyboard.press("0")
    page.wait_for_function(fits, arg=960)


def test_what_is_compared_with_is_told_as_it_is(shown):
    page = shown()
    ids = page.evaluate(f"() => {STORE}.study.slides.map(([id]) => id)")
    page.keyboard.press("c")
    assert page.locator("#compare").get_attribute("aria-pressed") == "true"
    page.wait_for_function(f"() => {PANES}.length === 2 && {PANES}[1].isOpen")
    page.locator('.class[data-label="2"] .name').hover()
    assert page.evaluate(f"() => {PANES}.map((pane) => pane.glow)") == [[1], [1]]
    page.locator("#compare-with").select_option(ids[1])
    page.wait_for_function(f"(id) => {PANES}[1]?.slide?.id === id", arg=ids[1])
    page.keyboard.press("c")
    assert page.locator("#compare").get_attribute("aria-pressed") == "false"
    page.keyboard.press("c")
    page.wait_for_function(f"() => {PANES}.length === 2 && {PANES}[1].isOpen")
    assert page.locator("#compare-with").input_value() == ""
    assert page.evaluate(f"() => {PANES}[1].slide.id") == ids[0]


def test_a_typical_place_is_marked_singled_out_and_little_of_it_is_blank(shown):
    page = shown("page=concepts&concept=2")
    page.locator(".patches button").first.wait_for()
    page.wait_for_function(f"() => [...{STORE}.rows.values()].filter((row) => row.px).length === 2")
    page.evaluate(
        f"""() => import('/static/slideview.js').then(({{ goTo }}) => {{ const id = {STORE}.study.slides[0][0];
        window.place = {{ id, x: 290, y: 5, side: 28 }}; }})"""
    )
    page.evaluate("() => window.histofactor.page().toPlace(window.place)")
    page.wait_for_function(f"() => {PANES}?.[0]?.isOpen")
    page.locator(".mark:visible").wait_for()
    assert page.evaluate(f"() => {STORE}.ui.only") == 2
    view = page.evaluate(f"() => {PANES}[0].view")
    blank = [
        (view["x"] + view["width"] / view["scale"] - 320) * view["scale"] / view["width"],
        -view["y"] * view["scale"] / view["height"],
    ]
    assert max(blank) <= 0.2501
    stage, mark = (page.locator(one).bounding_box() for one in (".pane .stage", ".mark"))
    for axis, side, start in (("x", "width", 290), ("y", "height", 5)):
        assert mark[axis] - stage[axis] == pytest.approx((start - view[axis]) * view["scale"], abs=1)
        assert mark[side] == pytest.approx(28 * view["scale"], abs=1)
        assert stage[axis] <= mark[axis] <= stage[axis] + stage[side] - mark[side]
    page.keyboard.press("Escape")
    assert page.locator(".mark").is_hidden()


def test_words_on_concept_pages_are_plain(shown):
    page = shown("page=concepts&concept=2")
    page.locator(".where li").first.wait_for()
    text = page.locator(".concept").inner_text()
    assert re.search(r"\d+ % alike", text)
    assert "of the tissue that concepts were learned from" in text
    assert "token" not in text
    assert "cosine" not in text
