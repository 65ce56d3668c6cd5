"""The viewer in a real browser: what is seen, done and kept."""

import csv
import gzip
import json

import numpy as np
import pytest
import tifffile

from histofactor.base.colors import blend
from histofactor.runs.edit_study import edit, named
from histofactor.runs.study import BANK, open_study

pytestmark = pytest.mark.browser

STORE = "window.histofactor.store"
PANE = "window.histofactor.page().panes[0]"
CANVAS = f"() => {PANE}.canvas.toDataURL()"


def bank_of(out):
    study = open_study(out / BANK)
    return study.file.banks[study.k]


FRAMES = "() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))"  # one follows in one


def asked(page):
    """What the page asks the server for from now on."""
    found = []
    page.on("request", lambda request: found.append((request.method, request.url.split("/", 3)[3].split("?")[0])))
    return found


def test_hover_tells_what_the_map_holds(look):
    page = look(read_only=True)
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif")
    names = ["no tissue / unassigned", *bank_of(look.out).names]
    rng = np.random.default_rng(0)
    for scale in (2.2, 9.0):
        page.evaluate("([s]) => " + PANE + ".go({x: 160, y: 120, s: 1 / s})", [scale])
        look.drawn()
        view = page.evaluate(f"() => {PANE}.view")
        box = page.locator(".pane .stage").bounding_box()
        for _ in range(25):
            at = rng.uniform((2, 2), (box["width"] - 2, box["height"] - 2))
            x, y = (view["x"] + at[0] / view["scale"], view["y"] + at[1] / view["scale"])
            page.mouse.move(box["x"] + at[0], box["y"] + at[1])
            inside = 0 <= x < labels.shape[1] and 0 <= y < labels.shape[0]
            expected = names[labels[int(y), int(x)]] if inside else ""
            near = {abs(one - round(one)) < 0.1 for one in (x, y)}  # the mouse stands on whole px of the screen
            under_overview = at[0] > box["width"] - 180 and at[1] > box["height"] - 180
            if True not in near and not under_overview:
                assert page.locator("#under").inner_text() == expected


def test_toggling_asks_for_nothing_and_is_seen(look):
    page = look(read_only=True)
    page.wait_for_load_state("networkidle")  # the table comes after the slide
    requests, before = asked(page), page.evaluate(CANVAS)
    seen = {before}
    for key in ("1", "1", "o", "o", "p"):
        page.keyboard.press(key)
        seen.add(page.evaluate(CANVAS))
    assert len(seen) == 4  # one singled out, all again, outlines, areas again, patterns
    page.keyboard.press("p")
    assert page.evaluate(CANVAS) == before
    page.locator(".class").nth(1).focus()
    page.keyboard.press(" ")
    assert page.evaluate(CANVAS) not in seen
    page.keyboard.press(" ")
    assert page.evaluate(CANVAS) == before
    page.keyboard.press("h")
    assert page.evaluate(f"() => {PANE}.canvas.getContext('2d').getImageData(0, 0, 900, 700).data.every((one) => !one)")
    page.keyboard.press("h")
    page.keyboard.press("]")
    assert page.evaluate(f"() => {PANE}.canvas.style.opacity") == "0.55"
    assert requests == []


def color_at(page, x, y):
    """The colour of the map at a place in level-0 px."""
    return page.evaluate(
        "([x, y]) => { const pane = " + PANE + "; const view = pane.view; return [...pane.canvas.getContext('2d')"
        ".getImageData((x - view.x) * view.scale, (y - view.y) * view.scale, 1, 1).data]; }",
        [x, y],
    )


def test_a_merge_and_its_undo_are_seen_before_the_server_knows(look):
    """Whatever is asked of the server is held back: the map changes without it."""
    out = look.out
    page = look()
    labels = tifffile.imread(out / "a" / "labels.ome.tif")
    first, second = np.argsort(-np.bincount(labels[labels > 0], minlength=9))[:2] if labels.any() else (1, 2)
    low, high = sorted((int(first), int(second)))
    y, x = (int(one) for one in np.argwhere(labels == high)[len(np.argwhere(labels == high)) // 2])
    before = page.evaluate(CANVAS)
    colors = bank_of(out).colors
    assert tuple(color_at(page, x + 0.5, y + 0.5)[:3]) == colors[high - 1]
    held, hold = [], [True]
    page.route("**/api/edit", lambda route: held.append(route) if hold else route.continue_())
    requests = asked(page)
    look.choose(high)
    page.keyboard.press("m")
    page.keyboard.press(str(low))
    page.locator("dialog input").fill("both")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert tuple(color_at(page, x + 0.5, y + 0.5)[:3]) == colors[low - 1]
    assert page.locator(f'.class[data-label="{low}"] .name').inner_text() == "both"
    assert page.locator(".class").count() == 7
    page.keyboard.press("u")
    page.wait_for_timeout(300)
    assert page.evaluate(CANVAS) == before
    assert page.locator(".class").count() == 8
    assert {path for _, path in requests} == {"api/edit"}
    assert len(bank_of(out).names) == 8
    hold.clear()
    held[0].continue_()
    look.settled()
    assert page.evaluate(f"() => {STORE}.concepts.redo") == f"merged {low}+{high} as both"
    assert len(bank_of(out).names) == 8
    page.keyboard.press("Shift+U")
    look.settled()
    assert bank_of(out).names[low - 1] == "both"


def test_a_name_is_in_every_file_after_apply(look):
    out = look.out
    page = look()
    name = "<b>stroma</b> & 'co'"
    look.name(1, name)
    assert page.locator('.class[data-label="1"] .name').inner_text() == name
    assert bank_of(out).names[0] == name
    assert name not in (out / "a" / "phenotypes.csv").read_text()
    page.locator("#apply:visible").wait_for()
    assert page.locator("#apply").inner_text() == "Apply to 2 slides"
    look.apply()
    page.locator("#apply").wait_for(state="hidden")
    for folder in ("a", "b"):
        with (out / folder / "phenotypes.csv").open(newline="") as file:
            assert [row["name"] for row in csv.DictReader(file)][1] == name
        regions = json.loads(gzip.decompress((out / folder / "regions.geojson.gz").read_bytes()))
        found = {one["properties"]["classification"]["name"] for one in regions["features"]}
        assert name in found
        assert "&lt;b&gt;stroma&lt;/b&gt; &amp; " in (out / folder / "report.html").read_text()
    with (out / "phenotypes.csv").open(newline="") as file:
        assert name in {row["name"] for row in csv.DictReader(file)}


def test_a_name_that_is_refused_stays_in_the_dialog(look):
    page = look()
    look.choose(1)
    page.keyboard.press("n")
    page.locator("dialog input").fill("x" * 201)
    page.keyboard.press("Enter")
    assert page.locator("dialog [role=alert]").inner_text() == "a name has at most 200 characters; this one has 201"
    assert page.locator("dialog input").input_value() == "x" * 201
    page.locator("dialog input").fill("gland")
    page.allowed.append("409")
    edit(look.out, None, named({2: "stroma"}, {}))  # by something else
    page.keyboard.press("Enter")
    page.get_by_text("changed by something else").wait_for()
    assert page.locator("dialog input").input_value() == "gland"
    page.keyboard.press("Enter")
    page.locator("dialog").wait_for(state="detached")
    look.settled()
    assert bank_of(look.out).names[:2] == ("gland", "stroma")


def test_names_are_proposed_by_what_is_dragged_onto_and_told_twice(look):
    page = look()
    for label in (8, 5):
        look.name(label, "stroma")
    page.get_by_text("shown as one, and can be merged with M").wait_for()
    merge = "([from, onto]) => {{ import('/static/actions.js').then((one) => one.ask.merge([from, onto], onto)); }}"
    for pair, proposed in (((5, 2), "stroma"), ((2, 3), "Concept 2"), ((2, 8), "stroma")):
        page.evaluate(merge.replace("{{", "{").replace("}}", "}"), pair)
        assert page.locator("dialog input").input_value() == proposed
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")


def test_an_applied_merge_is_the_map(look):
    before = tifffile.imread(look.out / "a" / "labels.ome.tif")
    page = look()
    merge = "() => import('/static/store.js').then((one) => one.edit({do: 'merge', labels: [1, 3], name: 'both'}))"
    page.evaluate(merge)
    assert "shares are provisional after a merge" in page.locator(".note").inner_text()
    seen = page.evaluate(CANVAS)
    look.apply()
    look.drawn()
    after = tifffile.imread(look.out / "a" / "labels.ome.tif")
    assert set(np.unique(after)) <= set(range(8))
    weighed = np.array([0, 1, 2, 1, 3, 4, 5, 6, 7])[before] == after
    assert weighed.mean() > 0.9  # weights of what was merged add up, so that some px change hands
    assert page.evaluate(f"() => {PANE}.classes.shared")
    assert page.locator(".note").inner_text() == ""
    assert page.locator(".class").count() == 7
    assert len(seen) > 1000


def test_the_view_survives_a_reload_by_its_address(look):
    page = look(read_only=True)
    second = page.evaluate(f"() => {STORE}.study.slides[1][0]")
    page.locator("#slides").select_option(second)
    page.wait_for_function(f"(id) => {PANE}?.slide?.id === id", arg=second)
    page.evaluate(f"() => {PANE}.go({{x: 150.5, y: 90.2, s: 0.4}})")
    page.keyboard.press("3")
    page.keyboard.press("o")
    page.keyboard.press("]")
    page.locator(".class .eye").nth(4).click()
    page.locator("#heat").select_option("residual")
    page.wait_for_timeout(400)
    look.drawn()
    told = [page.evaluate(f"() => {PANE}.view"), page.evaluate(CANVAS)]
    address = page.url
    assert "token" not in address
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.wait_for_function(f"() => {PANE}.heat?.canvas")
    look.drawn()
    again = [page.evaluate(f"() => {PANE}.view"), page.evaluate(CANVAS)]
    assert again[0] == pytest.approx(told[0], abs=0.2)
    assert page.evaluate(f"() => {STORE}.ui.only") == 3
    assert page.evaluate(f"() => [...{STORE}.ui.hidden]") == [5]
    assert page.evaluate(f"() => {STORE}.ui.outline")
    assert page.evaluate(f"() => {STORE}.ui.heat") == "residual"
    assert page.evaluate(f"() => {STORE}.ui.opacity") == 55
    for wrong in ("#slide=../../etc&x=NaN&s=abc&hidden=a.b&page=nothing&heat=x", "#%", "#" + "x" * 5000):
        page.goto("about:blank")
        page.goto(address.split("#")[0] + wrong)
        page.wait_for_selector("body[data-ready]")
        look.drawn()


def test_a_click_tells_concepts_margin_and_residual(look):
    page = look(read_only=True)
    box = page.locator(".pane .stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator(".detail").wait_for()
    assert 1 <= page.locator(".detail .strongest li").count() <= 3
    assert "margin" in page.locator(".detail").inner_text()
    label = tifffile.imread(look.out / "a" / "labels.ome.tif")[120, 160]
    expected = ["no tissue / unassigned", *bank_of(look.out).names][label]
    assert page.locator(".detail h2").inner_text() == expected


def test_a_click_chooses_what_keys_are_for(look):
    page = look()
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif")
    y, x = (int(one) for one in np.argwhere(labels == labels.max())[0])
    view = page.evaluate(f"() => {PANE}.view")
    box = page.locator(".pane .stage").bounding_box()
    at = [(one + 0.5 - view[name]) * view["scale"] for one, name in ((x, "x"), (y, "y"))]
    page.mouse.click(box["x"] + at[0], box["y"] + at[1])
    assert page.locator(".class.chosen").get_attribute("data-label") == str(labels.max())
    assert page.evaluate(f"() => {STORE}.ui.only") is None
    page.keyboard.press("n")
    assert page.locator("dialog h2").inner_text() == f"Name of {labels.max()}"


def test_keys_that_change_something_say_at_once_why_they_do_not(look):
    page = look(read_only=True)
    look.choose(1)
    for key in "nmx":
        page.locator(".toast").evaluate_all("all => all.forEach((one) => one.remove())")
        page.keyboard.press(key)
        assert page.locator(".toast").inner_text() == "it was opened to look only"
        assert page.locator("dialog").count() == 0
    assert page.locator(".merging").count() == 0


def test_the_gallery_sorts_by_share_and_leads_to_slides(look):
    page = look(read_only=True)
    page.keyboard.press("g")
    page.locator(".card").nth(1).wait_for()
    page.wait_for_function(f"() => {STORE}.rows.size === 2 && [...{STORE}.rows.values()].every((row) => row.px)")
    shares = {}
    for folder in ("a", "b"):
        with (look.out / folder / "phenotypes.csv").open(newline="") as file:
            shares[folder] = [float(row["fraction"] or 0) for row in csv.DictReader(file)][2]
    page.locator("#gallery-by").select_option("2")
    page.evaluate(FRAMES)
    shown = page.locator(".card-name").all_text_contents()
    expected = sorted(shares, key=lambda folder: -shares[folder])
    assert [text.split(".")[0] for text in shown] == expected
    page.locator(".card button").first.click()
    page.wait_for_function(f"() => {PANE}?.slide")
    assert page.evaluate(f"() => {PANE}.slide.name") == f"{expected[0]}.png"


def test_a_concept_page_leads_to_its_places(look):
    page = look.at("page=concepts&concept=2", read_only=True)
    page.locator(".patches img").first.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.patches img')].every((one) => one.naturalWidth === 192)"
    )
    assert page.locator(".concept h1").inner_text() == bank_of(look.out).names[1]
    assert page.locator(".where").count() >= 2
    page.locator(".patches button").first.click()
    page.wait_for_function(f"() => {PANE}?.slide")
    look.drawn()
    assert page.evaluate(f"() => {PANE}.view.scale") > 2


def test_what_is_not_there_is_told_in_words(look):
    """Patches of a slide that was moved, and a server that has ended."""
    look.page.allowed += ["404", "ERR_FAILED"]
    look.page.route("**/patches/**", lambda route: route.fulfill(status=404, json={}))
    page = look.at("page=concepts&concept=2")
    page.locator(".patches .gone").first.wait_for()
    assert set(page.locator(".patches button").all_inner_texts()) == {"not here"}
    page.route("**/api/edit", lambda route: route.abort())
    page.keyboard.press("n")
    page.locator("dialog input").fill("gland")
    page.keyboard.press("Enter")
    page.get_by_text("the viewer has been stopped: start `histofactor view` again").wait_for()
    assert page.locator("dialog input").input_value() == "gland"


def test_two_slides_move_together(look):
    page = look(read_only=True)
    page.keyboard.press("c")
    page.wait_for_function("() => window.histofactor.page().panes.length === 2")
    look.drawn()
    views = "() => window.histofactor.page().panes.map((pane) => pane.target)"
    page.evaluate(f"() => {PANE}.go({{x: 100, y: 80, s: 0.3}})")
    page.evaluate(FRAMES)
    left, right = page.evaluate(views)
    assert left == pytest.approx(right, rel=1e-6)
    assert page.evaluate("() => window.histofactor.page().panes[0].options.map") is False
    second = page.evaluate(f"() => {STORE}.study.slides[1][0]")
    page.locator("#compare-with").select_option(second)
    page.wait_for_function("(id) => window.histofactor.page().panes[1]?.slide?.id === id", arg=second)
    look.drawn()
    start = page.evaluate(views)
    page.evaluate("([x, y, s]) => " + PANE + ".go({x, y, s})", [start[0]["x"] + 11, start[0]["y"] - 7, start[0]["s"]])
    page.evaluate(FRAMES)
    moved = page.evaluate(views)
    assert moved[1]["x"] - start[1]["x"] == pytest.approx(11, abs=1e-6)
    assert moved[1]["y"] - start[1]["y"] == pytest.approx(-7, abs=1e-6)


def test_a_screenshot_has_legend_and_scale_bar(look, tmp_path):
    out = look.out
    page = look(read_only=True)
    with page.expect_download() as got:
        page.keyboard.press("s")
    assert got.value.suggested_filename == f"{out.name}-a.png"
    got.value.save_as(tmp_path / "shot.png")
    from PIL import Image

    with Image.open(tmp_path / "shot.png") as image:
        shot = np.asarray(image.convert("RGB"))
    view = page.evaluate(f"() => {PANE}.view")
    assert shot.shape == (round(view["height"]), round(view["width"]) + 400, 3)
    legend = {tuple(color) for color in shot[:, -384:-358].reshape(-1, 3).tolist()}
    present = [row for row in np.unique(tifffile.imread(out / "a" / "labels.ome.tif")) if row]
    stain = np.array([207, 160, 196])
    expected = [np.rint(blend(np.array(bank_of(out).colors[label - 1]), stain, 0.45)) for label in present]
    assert all(np.abs(np.array(list(legend)) - color).max(axis=1).min() <= 1 for color in expected)
    assert (shot[-40:, 14:250] == 17).all(-1).any()


def test_everything_is_reached_by_keyboard_and_has_a_name(look):
    page = look()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [role=application]")].filter((one) =>
          !(one.innerText || one.getAttribute("aria-label") || one.labels?.[0]?.innerText || "").trim()).length"""
    )
    assert nameless == 0
    focus = "() => document.activeElement.closest('.class')?.dataset.label ?? document.activeElement.id"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(focus))
    assert {"slides", "compare", "shot", "copy-link", "help", "opacity", "heat", "tool-outline", "1"} <= reached
    look.choose(1)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focus) == "2"
    page.keyboard.press("Enter")
    assert page.evaluate(f"() => {STORE}.ui.only") == 2
    page.keyboard.press(" ")
    assert page.evaluate(f"() => [...{STORE}.ui.hidden]") == [2]
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert "single out" in page.get_by_role("dialog").inner_text()


def test_what_is_read_only_says_so_and_changes_nothing(look):
    look.serve(look.out)
    page = look()  # the second on one study
    assert page.locator("#read-only").inner_text() == "read-only"
    assert "another viewer" in page.locator("#read-only").get_attribute("title")
    page.locator('.class[data-label="1"]').click()
    assert page.get_by_role("button", name="Name").is_disabled()
    assert page.locator("#apply").is_hidden()


def test_a_moved_slide_still_shows_its_map(look, tmp_path):
    path = look.out / "a" / "segmentation.json"
    from histofactor.export.seal import read_seal, write_seal

    content = read_seal(path.parent)
    content.pop("digests")
    content["made_by"]["path"] = str(tmp_path / "gone.png")
    write_seal(content, path.parent)
    page = look.at(read_only=True)
    page.wait_for_function(f"() => {PANE}.layer?.ready && {PANE}.layer.tiles.size")
    assert "--slides" in page.locator(".banner").inner_text()
    assert page.evaluate(f"() => {PANE}.canvas.getContext('2d').getImageData(0, 0, 900, 700).data.some((one) => one)")


def test_a_bank_alone_shows_its_concepts(look):
    page = look.at(target=look.out / BANK)
    page.locator(".concept h1").wait_for()
    assert page.locator(".classes .class").count() == 8
    page.locator(".legend-head select").select_option("16")
    page.wait_for_function("() => document.querySelectorAll('.classes .class').length === 16")


def test_files_are_taken_away_as_they_are(look, tmp_path):
    out = look.out
    page = look(read_only=True)
    page.get_by_text("Files", exact=True).click()
    for text, path in (
        ("Table of this slide", out / "a" / "phenotypes.csv"),
        ("Regions of this slide", out / "a" / "regions.geojson.gz"),
        ("Table of the study", out / "phenotypes.csv"),
    ):
        with page.expect_download() as got:
            page.get_by_text(text).click()
        got.value.save_as(tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == path.read_bytes()
        assert got.value.suggested_filename.endswith(path.name)
