"""The pages of reports in a real browser, opened from their files: maps, zoom, scale bar, hover, legend, sorting."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.base.colors import seen_color
from histofactor.export.cohort import SlideRow, write_study
from histofactor.export.report import ReportRun, report_entry, write_page
from histofactor.masks.bands import token_maps
from histofactor.records import EncoderKey, LabelMap, Segmentation, SlideInfo
from histofactor.slides.reader import open_slide

pytestmark = pytest.mark.browser

NAMES = ('<img src=x onerror="document.title=1">', "\"stroma\" & 'gland'", "Concept 3")
COLORS = ((200, 30, 40), (40, 90, 200), (240, 200, 20))
TOKENS = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 0]])
STRIDE_PX = 50
RUN = ReportRun("1", EncoderKey("tiny", None, "conv", "relu"), "embedded", "ab", 3, "project", 1.0)


def segmentation(mpp, names):
    """Three phenotypes of 400 × 300 px at 0.5 µm/px, the lower right corner empty; margins rise to the right."""
    labels = TOKENS.repeat(STRIDE_PX, 0).repeat(STRIDE_PX, 1).astype(np.uint8)
    margin = np.broadcast_to(np.linspace(0, 1, labels.shape[1], dtype=np.float32), labels.shape)
    weights = (TOKENS[..., None] == np.arange(1, 4)).astype(np.float32)
    return Segmentation(
        SlideInfo(None, (400, 300), mpp, (1.0,), "test"),
        LabelMap(labels, None if mpp is None else 2 * mpp, (0, 0), names, COLORS),
        margin,
        token_maps(weights, np.zeros(TOKENS.shape, np.float32), STRIDE_PX),
        (2.0, 2.0),
        {},
    )


@pytest.fixture
def opened(chromium, tmp_path):
    """Open the page of an input; whatever the browser complains of fails the test."""
    complaints, context = [], chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")

    def show(mpp=0.5, rgb=None, names=NAMES):
        made, rgb = segmentation(mpp, names), np.full((300, 400, 3), 255, np.uint8) if rgb is None else rgb
        write_page(replace(report_entry(made, open_slide(rgb), rgb), name="case 1"), RUN, tmp_path / "report.html")
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith(("file:", "data:", "blob:")) or complaints.append(request.url),
        )
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector("#view[aria-busy=false]")
        return page

    yield show
    context.close()
    assert complaints == []


def settled(page):
    """Two frames later, when what was asked for is painted."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def painted(page, x, y):
    """RGBA of the map at a px of the picture."""
    settled(page)
    script = "([x, y]) => [...document.querySelector('#map').getContext('2d').getImageData(x, y, 1, 1).data]"
    return tuple(page.evaluate(script, [x, y]))


def on_screen(page, x, y):
    """Where a px of the picture lies in the window."""
    box = page.evaluate("(({ x, y, width }) => [x, y, width])(document.querySelector('#map').getBoundingClientRect())")
    left, top, scale = box[0], box[1], box[2] / 400
    return left + (x + 0.5) * scale, top + (y + 0.5) * scale, scale


def choose(page, value):
    page.locator(f"input[value={value}]").check(force=True)


def test_every_px_has_the_colour_of_its_phenotype(opened):
    page = opened()
    for (x, y), color in (((50, 50), COLORS[0]), ((300, 50), COLORS[1]), ((100, 250), COLORS[2])):
        assert painted(page, x, y) == (*color, 255)
    assert painted(page, 350, 250)[3] == 0  # no tissue


def test_a_colour_is_leveled_where_tissue_is_darker_than_elsewhere(opened):
    rgb = np.full((300, 400, 3), 200, np.uint8)
    rgb[:200, :200] = 120  # under the first phenotype, 40,000 of the 110,000 px that have a label
    page = opened(rgb=rgb)
    mean = (40_000 * 120 + 70_000 * 200) / 110_000
    for (x, y), color, beneath in (((50, 50), COLORS[0], 120), ((300, 50), COLORS[1], 200)):
        expected = np.clip(np.array(color) + 0.45 / 0.55 * (mean - beneath), 0, 255)
        np.testing.assert_allclose(painted(page, x, y)[:3], expected, atol=2)
    page.locator("#opacity").fill("100")
    assert painted(page, 50, 50) == (*COLORS[0], 255)
    page.locator("#opacity").fill("0")
    settled(page)
    assert page.locator("#map").evaluate("canvas => canvas.style.opacity") == "0"


def test_image_outlines_and_margin(opened):
    page = opened()
    choose(page, "image")
    assert painted(page, 50, 50)[3] == 0
    assert page.locator("#opacity").is_disabled()
    choose(page, "outline")
    assert painted(page, 50, 50)[3] == 0
    assert painted(page, 199, 50) == (*COLORS[0], 255)
    assert painted(page, 200, 50) == (*COLORS[1], 255)
    choose(page, "margin")
    assert painted(page, 0, 50) == (68, 1, 84, 255)
    assert painted(page, 399, 50) == (253, 231, 37, 255)
    assert page.locator("#ramp").is_visible()
    page.locator("#opacity").fill("30")
    assert page.locator("#map").evaluate("canvas => canvas.style.opacity") == "0.3"
    choose(page, "map")
    settled(page)
    assert page.locator("#map").evaluate("canvas => canvas.style.opacity") == "0.55"  # each layer has its own


def bar_um(page):
    """What the scale bar says, and how long it is in µm of the picture as it is seen."""
    number, unit = re.fullmatch(r"([\d.]+) (µm|mm)", page.locator("#scale span").inner_text()).groups()
    length = page.locator("#scale i").evaluate("bar => parseFloat(bar.style.width)")
    return float(number) * (1000 if unit == "mm" else 1), length / on_screen(page, 0, 0)[2] * 0.5


def test_the_scale_bar_is_true_at_every_zoom(opened):
    page = opened()
    said = []
    for _ in range(12):
        um, length = bar_um(page)
        assert length == pytest.approx(um, rel=1e-4)
        said.append(um)
        page.locator("#closer").click()
    assert said == sorted(said, reverse=True)
    assert said[-1] < said[0] / 5
    page.locator("#whole").click()
    assert bar_um(page)[0] == said[0]


def test_without_mpp_there_is_no_scale_and_it_is_said(opened):
    page = opened(None)
    assert page.locator("#scale").inner_text() == "no scale: µm/px unknown"
    assert not page.locator("#scale i").is_visible()
    page.locator("#closer").click()
    assert page.locator("#scale").inner_text() == "no scale: µm/px unknown"


def test_the_wheel_zooms_about_the_pointer_and_a_drag_moves(opened):
    page = opened()
    x, y, before = on_screen(page, 100, 80)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    page.wait_for_function(f"document.querySelector('#map').getBoundingClientRect().width / 400 > {before} * 1.5")
    assert on_screen(page, 100, 80)[:2] == pytest.approx((x, y), abs=1.5 * on_screen(page, 0, 0)[2])
    page.mouse.down()
    page.mouse.move(x + 30, y + 20, steps=3)
    page.mouse.up()
    moved = on_screen(page, 100, 80)
    assert moved[:2] == pytest.approx((x + 30, y + 20), abs=1.5 * moved[2])
    assert page.locator("[aria-pressed=true]").count() == 0  # a drag is no click


def test_at_its_smallest_the_wheel_scrolls_the_page(opened):
    page = opened()
    page.mouse.move(*on_screen(page, 100, 80)[:2])
    page.mouse.wheel(0, 300)
    for _ in range(100):  # not wait_for_function, which the policy of the page forbids to look twice
        if page.evaluate("window.scrollY") > 100:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the page did not scroll")


def test_two_fingers_zoom(opened):
    page = opened()
    x, y, before = on_screen(page, 200, 150)
    send = """([kind, points]) => points.forEach(([id, x, y]) => document.querySelector('#view').dispatchEvent(
        new PointerEvent(kind, { pointerId: id, clientX: x, clientY: y, pointerType: 'touch', bubbles: true })))"""
    page.evaluate("document.querySelector('#view').setPointerCapture = () => {}")  # of fingers that do not exist
    page.evaluate(send, ["pointerdown", [[1, x - 40, y], [2, x + 40, y]]])
    page.evaluate(send, ["pointermove", [[1, x - 80, y], [2, x + 80, y]]])
    page.evaluate(send, ["pointerup", [[1, x - 80, y], [2, x + 80, y]]])
    assert on_screen(page, 0, 0)[2] == pytest.approx(2 * before, rel=0.01)
    assert on_screen(page, 200, 150)[:2] == pytest.approx((x, y), abs=2)


def test_keys_zoom_move_and_show_the_whole(opened):
    page = opened()
    page.locator("#view").focus()
    _, _, before = on_screen(page, 0, 0)
    for _ in range(4):
        page.keyboard.press("+")
    x, _, closer = on_screen(page, 200, 150)
    assert closer == pytest.approx(before * 1.3**4, rel=1e-3)
    page.keyboard.press("ArrowRight")
    assert on_screen(page, 200, 150)[0] == pytest.approx(x - 60, abs=0.1)
    page.keyboard.press("-")
    assert on_screen(page, 0, 0)[2] == pytest.approx(before * 1.3**3, rel=1e-3)
    page.keyboard.press("0")
    assert on_screen(page, 0, 0)[2] == pytest.approx(before, rel=1e-3)


def test_a_row_of_the_legend_singles_out_its_phenotype_and_names_it_as_text(opened):
    page = opened()
    page.locator("#legend button").nth(1).hover()
    other, meant = painted(page, 300, 50), painted(page, 100, 250)
    shown = [page.locator("#legend button").nth(at).locator(".name").inner_text() for at in range(3)]
    assert shown[1] in NAMES[:2]
    order = [NAMES.index(name) for name in shown]
    centres = ((50, 50), (300, 50), (100, 250))
    assert painted(page, *centres[order[1]]) == (*COLORS[order[1]], 255)
    for at in (order[0], order[2]):
        assert painted(page, *centres[at]) == (255, 255, 255, 180)
    assert {other, meant} <= {(255, 255, 255, 180), (*COLORS[order[1]], 255)}
    assert page.locator("#told").inner_text().startswith(shown[1])
    assert page.locator("#told img").count() == 0
    page.mouse.move(5, 5)
    assert painted(page, 50, 50) == (*COLORS[0], 255)
    assert page.title() == "case 1 · histofactor"


def test_labels_of_one_name_are_one_phenotype(opened):
    page = opened(names=("stroma", "gland", "stroma"))
    shown = [one.locator(".name").inner_text() for one in page.locator("#legend button").all()]
    assert sorted(shown) == ["gland", "stroma"]
    page.locator("#legend button", has_text="stroma").hover()
    assert painted(page, 50, 50) == painted(page, 100, 250) == (*COLORS[0], 255)
    assert painted(page, 300, 50) == (255, 255, 255, 180)
    page.mouse.move(*on_screen(page, 100, 250)[:2])
    page.wait_for_timeout(300)
    assert page.locator("#told").inner_text().startswith("stroma · ")
    assert painted(page, 50, 50) == (*COLORS[0], 255)


def test_the_picture_singles_out_what_is_under_the_pointer_and_a_click_holds_it(opened):
    page = opened()
    page.mouse.move(*on_screen(page, 100, 250)[:2])
    page.wait_for_selector("#legend button.on[data-label='3']")
    assert page.locator("#told").inner_text().startswith("Concept 3 · ")
    assert painted(page, 50, 50) == (255, 255, 255, 180)
    page.mouse.click(*on_screen(page, 100, 250)[:2])
    page.mouse.move(*on_screen(page, 50, 50)[:2])
    assert page.locator("#told").inner_text().startswith(NAMES[0])
    assert page.locator("[aria-pressed=true]").get_attribute("data-label") == "3"
    assert painted(page, 100, 250) == (*COLORS[2], 255)
    page.keyboard.press("Escape")
    assert page.locator("[aria-pressed=true]").count() == 0


def test_the_legend_is_reached_and_held_by_keys_alone(opened):
    page = opened()
    page.locator("#save").focus()
    for _ in range(2):
        page.keyboard.press("Tab")  # the picture, then the legend
    first = page.evaluate("document.activeElement.dataset.label")
    assert first in {"1", "2", "3"}
    page.keyboard.press("Enter")
    assert page.locator("[aria-pressed=true]").get_attribute("data-label") == first


def test_the_legend_is_saved_as_an_image(opened):
    page = opened()
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == "case 1-legend.png"
    pixels = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB")).astype(int)
    for color in COLORS:
        assert (pixels == seen_color(color)).all(-1).sum() == 36 * 36  # as the picture shows it
    assert (pixels[0] == 255).all()
    assert (pixels.sum(-1) == 0).any()  # names, black on white


def test_paper_shows_the_whole_map_without_tools(opened):
    page = opened()
    for _ in range(6):
        page.locator("#closer").click()
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")
    image, canvas = (page.locator(which).bounding_box() for which in ("#stage img", "#map"))
    assert image == canvas
    assert image["width"] / image["height"] == pytest.approx(4 / 3, rel=0.01)
    assert not page.locator("#tools").is_visible()
    assert not page.locator("#scale").is_visible()
    assert page.locator(".fixed").inner_text() == "20 µm"  # of 200
    assert page.locator(".fixed i").bounding_box()["width"] == pytest.approx(image["width"] / 10, rel=0.01)
    legend, table = (page.locator(which) for which in (".legend", "table"))
    assert not legend.is_visible()
    assert table.bounding_box()["y"] > image["y"] + image["height"]


def test_without_scripts_the_image_is_shown_and_the_overlay_named(chromium, opened, tmp_path):
    opened()
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("#stage img").is_visible()
    assert page.locator("noscript a").get_attribute("href") == "overlay.png"
    assert not page.locator("#tools").is_visible()
    context.close()


def test_another_script_does_not_run(chromium, opened, tmp_path):
    opened()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    spoiled = html.replace("<main>", "<main><script>document.title = 'ran'</script>", 1)
    (tmp_path / "spoiled.html").write_text(spoiled, encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "spoiled.html").as_uri())
    page.wait_for_selector("#view[aria-busy=false]")  # ours does
    assert page.title() == "case 1 · histofactor"
    page.close()


def test_inputs_are_sorted_by_any_column(chromium, tmp_path):
    rows = [
        SlideRow("s10.svs", "done", "s10", 61.0, "", ()),
        SlideRow("s9.svs", "done", "s9", 7.5, "", ()),
        SlideRow("s11.svs", "waiting", "", 0.0, "", ()),
    ]
    write_study(rows, [RUN], tmp_path / "report.html")
    page = chromium.new_page()
    page.goto((tmp_path / "report.html").as_uri())

    def names():
        return [page.locator("tbody tr").nth(at).locator("td").first.inner_text().strip() for at in range(3)]

    page.get_by_role("button", name="Input").click()
    assert names() == ["s9.svs", "s10.svs", "s11.svs"]
    page.get_by_role("button", name="Time").click()
    assert names() == ["s11.svs", "s9.svs", "s10.svs"]
    page.get_by_role("button", name="Time").click()
    assert names() == ["s10.svs", "s9.svs", "s11.svs"]
    assert page.locator("th").nth(2).get_attribute("aria-sort") == "descending"
    page.close()
