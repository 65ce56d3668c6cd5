"""What is named, merged and undone in a real browser, by hand and by keys."""

import base64
import csv
import re
import shutil

import numpy as np
import pytest
import tifffile

from histofactor.runs.study import BANK, open_study
from viewer_client import moved_away

pytestmark = pytest.mark.browser

STORE = "window.histofactor.store"
PANE = "window.histofactor.page().panes[0]"


def names_of(out):
    study = open_study(out / BANK)
    return study.file.banks[study.k].names


def on_map(page, label, labels):
    """A place of the screen where a label of the map lies."""
    y, x = (int(one) for one in np.argwhere(labels == label)[0])
    view = page.evaluate(f"() => {PANE}.view")
    box = page.locator(".pane .stage").bounding_box()
    return [box[axis] + (at + 0.5 - view[axis]) * view["scale"] for at, axis in ((x, "x"), (y, "y"))]


def canvas(page, look):
    """The map as it is drawn: (h, w, 4)."""
    data = page.evaluate(
        f"() => {{ const c = {PANE}.canvas; const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let text = ''; for (let at = 0; at < all.length; at += 8192)"
        " text += String.fromCharCode(...all.subarray(at, at + 8192)); return [c.width, c.height, btoa(text)]; }"
    )
    return np.frombuffer(base64.b64decode(data[2]), np.uint8).reshape(data[1], data[0], 4)


def test_a_phenotype_is_dragged_onto_another(look):
    """With a mouse: pressed, moved and let go."""
    page = look()
    names = names_of(look.out)
    places = [page.locator(f'.class[data-label="{label}"] .name').bounding_box() for label in (5, 2)]
    start, end = ((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in places)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0], start[1] - 12, steps=3)
    page.mouse.move(*end, steps=5)
    page.mouse.move(end[0] + 1, end[1])
    page.evaluate("() => import('/static/store.js').then((one) => one.loadTable(true))")  # meanwhile
    assert page.locator(".class.drop").get_attribute("data-label") == "2"
    page.mouse.up()
    assert page.locator("dialog h2").inner_text() == f"Merge “{names[1]}” and “{names[4]}” as"
    page.locator("dialog input").fill("both")
    page.keyboard.press("Enter")
    look.settled()
    assert page.locator(".class").count() == 7
    assert names_of(look.out) == (names[0], "both", *names[2:7])  # nobody named the others: they have their labels
    page.keyboard.press("u")
    look.settled()
    assert page.locator(".class").count() == 8
    assert names_of(look.out) == names


def test_a_phenotype_dropped_beside_the_legend_or_onto_itself_stays(look):
    page = look()
    line = page.locator('.class[data-label="5"] .name')
    line.drag_to(page.locator(".pane .stage"))
    line.drag_to(page.locator('.class[data-label="5"] .share'))
    assert page.locator("dialog").count() == 0
    assert page.locator(".class").count() == 8


def test_what_is_clicked_on_the_map_is_named_with_n(look):
    page = look()
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif")
    label = int(labels.max())
    page.mouse.click(*on_map(page, label, labels))
    page.keyboard.press("n")
    page.locator("dialog input").fill("gland")
    page.keyboard.press("Enter")
    look.settled()
    assert names_of(look.out)[label - 1] == "gland"
    page.mouse.move(*on_map(page, label, labels))
    assert page.locator("#under").inner_text() == "gland"


def test_what_was_done_is_undone_after_a_restart(look):
    page = look()
    before = names_of(look.out)
    look.name(1, "gland")
    look.name(2, "stroma")
    page.goto("about:blank")
    look.serve.end()
    look()
    for names in (("gland", before[1]), before[:2]):
        page.keyboard.press("u")
        look.settled()
        assert names_of(look.out)[:2] == names
        assert page.locator('.class[data-label="1"] .name').inner_text().startswith(names[0])
    assert page.locator("#undo").is_disabled()
    page.goto("about:blank")
    look.serve.end()
    look()
    page.keyboard.press("Shift+U")
    page.keyboard.press("Shift+U")
    look.settled()
    assert names_of(look.out)[:2] == ("gland", "stroma")


@pytest.fixture
def alike(look):
    """A page of a study of which two phenotypes bear one name; and these, the lower first."""
    page = look()
    present = np.unique(tifffile.imread(look.out / "a" / "labels.ome.tif"))
    low, high = (int(one) for one in present[present > 0][-2:])
    for label in (high, low):
        look.name(label, "stroma")
    return page, low, high


def test_what_bears_one_name_is_listed_and_summed_as_one(look, alike):
    page, low, high = alike
    line = page.locator(f'.class[data-label="{low}+{high}"]')
    assert page.locator(".class").count() == 7
    with (look.out / "a" / "phenotypes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    share = sum(float(rows[label]["fraction"]) for label in (low, high))
    assert line.locator(".share").inner_text() == f"{100 * share:.1f} %"
    area = sum(float(rows[label]["area_um2"]) for label in (low, high))
    told = line.locator(".area").inner_text()
    found = float(re.sub(r"[^0-9.]", "", told)) * (1e6 if "mm" in told else 1)
    assert found == pytest.approx(area, abs=5000 if "mm" in told else 1)
    line.locator(".fold").click()
    parts = page.locator(".class.part")
    assert [parts.nth(at).get_attribute("data-label") for at in range(2)] == [str(low), str(high)]
    assert parts.nth(0).locator(".share").inner_text() == f"{100 * float(rows[low]['fraction']):.1f} %"
    line.focus()
    page.keyboard.press("ArrowLeft")
    assert parts.count() == 0
    page.keyboard.press("ArrowRight")
    assert parts.count() == 2


def test_what_bears_one_name_is_singled_out_together_and_each(look, alike):
    page, low, high = alike
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif")

    def shown():
        page.mouse.move(2, 2)  # a line under the pointer stands out
        look.drawn()
        seen = canvas(page, look)[..., 3] > 0
        view = page.evaluate(f"() => {PANE}.view")
        at = {axis: np.arange(seen.shape[1 - axis]) for axis in (0, 1)}
        x, y = (((at[axis] + 0.5) / view["scale"]) + view["xy"[axis]] for axis in (0, 1))
        columns, rows = np.floor(x).astype(int), np.floor(y).astype(int)
        inside = ((rows >= 0) & (rows < labels.shape[0]), (columns >= 0) & (columns < labels.shape[1]))
        seen = seen[inside[0]][:, inside[1]]
        under = labels[rows[inside[0]]][:, columns[inside[1]]]
        return {int(label) for label in np.unique(labels) if label and seen[under == label].mean() > 0.5}

    everything = {int(one) for one in np.unique(labels) if one}
    line = page.locator(f'.class[data-label="{low}+{high}"]')
    assert shown() == everything
    line.locator(".name").click()
    assert shown() == {low, high}
    assert "only" in line.get_attribute("class").split()
    page.keyboard.press(str(high))
    assert shown() == {high}
    assert "only" in page.locator(f'.part[data-label="{high}"]').get_attribute("class").split()
    page.locator(f'.part[data-label="{low}"] .name').click()
    assert shown() == {low}
    page.locator(f'.part[data-label="{low}"] .name').click()
    assert shown() == everything
    line.locator(".eye").click()
    assert shown() == everything - {low, high}
    line.locator(".eye").click()
    line.locator(".name").click()
    address = page.evaluate("() => import('/static/link.js').then((one) => (one.keepNow(), location.href))")
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    assert shown() == {low, high}


def test_what_bears_one_name_is_renamed_and_merged_together(look, alike):
    page, low, high = alike
    line = page.locator(f'.class[data-label="{low}+{high}"]')
    line.focus()
    page.keyboard.press("n")
    assert page.locator("dialog h2").inner_text() == f"Name of {low}, {high}"
    page.locator("dialog input").fill("muscle")
    page.keyboard.press("Enter")
    look.settled()
    assert [at + 1 for at, name in enumerate(names_of(look.out)) if name == "muscle"] == [low, high]
    line.focus()
    page.keyboard.press("m")
    page.get_by_role("button", name="Only these 2").click()
    assert page.locator("dialog h2").inner_text() == "Merge “muscle” as"
    page.keyboard.press("Enter")
    look.settled()
    assert names_of(look.out).count("muscle") == 1
    assert len(names_of(look.out)) == 7


def test_a_click_tells_phenotypes_of_one_name_apart(look, alike):
    page, _, high = alike
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif")
    page.mouse.click(*on_map(page, high, labels))
    page.locator(".detail").wait_for()
    assert page.locator(".detail h2").inner_text() == "stroma"
    assert f"stroma ({high})" in page.locator(".strongest .name").all_text_contents()


def test_the_gallery_sorts_by_all_that_bear_one_name(look, alike):
    page, low, high = alike
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.wait_for_function(f"() => [...{STORE}.rows.values()].filter((row) => row.px).length === 2")
    names = page.locator("#gallery-by option").all_text_contents()
    assert names.count("stroma") == 1
    page.locator("#gallery-by").select_option("stroma")
    for folder in ("a", "b"):
        with (look.out / folder / "phenotypes.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        share = sum(float(rows[label]["fraction"] or 0) for label in (low, high))
        text = page.locator(".card-name", has_text=f"{folder}.png").inner_text()
        told = float(re.search(r"([0-9.]+) %", text)[1])
        assert told == pytest.approx(100 * share, abs=0.051 if share >= 0.001 or not share else 0.1)


@pytest.mark.parametrize("scale", [2.2, 7.7])
def test_outlines_are_one_px_on_each_side_of_a_border_at_every_zoom(look, alike, scale):
    """Against the labels looked up for every px of the screen."""
    page, low, high = alike
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.evaluate("([s]) => " + PANE + ".go({x: 161.3, y: 119.6, s: 1 / s})", [scale])
    look.drawn()
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif").astype(int)
    labels[labels == high] = low  # of one name: nothing parts them
    found = canvas(page, look)
    view = page.evaluate(f"() => {PANE}.view")
    x, y = ((np.arange(found.shape[axis]) + 0.5) / view["scale"] + view["yx"[axis]] for axis in (1, 0))
    columns, rows = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (rows >= 0)[:, None] & (rows < labels.shape[0])[:, None] & (columns >= 0) & (columns < labels.shape[1])
    under = labels[rows.clip(0, labels.shape[0] - 1)][:, columns.clip(0, labels.shape[1] - 1)]
    expected = np.zeros(under.shape, bool)
    for axis in (0, 1):
        differs = (np.diff(under, axis=axis) != 0) & np.minimum(*cut(inside, axis))
        for side in cut(expected, axis):
            side[differs] = True
    expected &= inside & (under > 0)
    assert expected.any()
    assert ((found[..., 3] > 0) == expected).mean() > 0.9995  # but for places that lie between two px of the screen
    colors = open_study(look.out / BANK).file.banks[8].colors
    drawn = (found[..., 3] > 0) & expected & (under != low)
    assert (found[drawn][:, :3] == np.array(colors)[under[drawn] - 1]).all()


def cut(values, axis):
    """All but the last and all but the first along an axis, as views."""
    first, last = [slice(None)] * 2, [slice(None)] * 2
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    return values[tuple(first)], values[tuple(last)]


def test_what_apply_leaves_is_told_with_the_command_that_does_it(look):
    shutil.rmtree(look.out / "a" / "weights.zarr")
    page = look()
    merge = "() => import('/static/store.js').then((one) => one.edit({do: 'merge', labels: [1, 3], name: 'both'}))"
    page.evaluate(merge)
    page.locator("#apply:visible").click()
    page.get_by_text("must be encoded again").wait_for(timeout=120_000)
    page.get_by_role("button", name="Close").wait_for(timeout=120_000)
    told = page.locator("dialog").inner_text()
    assert page.locator("dialog h2").inner_text() == "Applied in part"
    assert "1 slide is as it was: it must be encoded again, which Apply does not do." in told
    assert page.locator("dialog code").inner_text() == f"histofactor relabel {look.out}"
    assert "a.png: its results do not bear it: weights.zarr is gone" in told
    assert "b.png" not in told


def test_a_damaged_map_is_told_in_the_gallery_and_the_others_are_shown(look):
    path = look.out / "a" / "labels.ome.tif"
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    page = look.at(read_only=True)
    page.wait_for_function(f"() => {PANE}?.slide")
    what = "labels.ome.tif of a is damaged"
    assert what in page.locator(".banner").inner_text()
    page.keyboard.press("g")
    page.locator(".card .warning").wait_for()
    assert page.locator(".card .warning").count() == 1
    assert page.locator(".card", has_text="a.png").locator(".warning").inner_text().startswith(what)
    assert "segment the input again" in page.locator(".card .warning").inner_text()
    page.locator(".card", has_text="b.png").locator("button").click()
    page.wait_for_function(f"() => {PANE}?.slide?.name === 'b.png'")
    look.drawn()
    assert canvas(page, look)[..., 3].any()


def test_what_was_applied_is_undone_and_seen_at_once(look):
    """Names follow, other phenotypes can be named, and what only Apply draws apart is told."""
    page = look()
    before = names_of(look.out)
    present = np.unique(tifffile.imread(look.out / "a" / "labels.ome.tif"))
    one, two, other = (int(label) for label in present[present > 0][-3:])
    merge = "(labels) => import('/static/store.js').then((one) => one.edit({do: 'merge', labels, name: 'both'}))"
    page.evaluate(merge, [one, two])
    look.name(other - 1, "gland")
    look.apply()
    assert page.locator(".note").inner_text() == ""
    assert page.locator(".class").count() == 7
    labels = tifffile.imread(look.out / "a" / "labels.ome.tif")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    look.settled()
    assert page.locator(f'.class[data-label="{other - 1}"] .name').inner_text().startswith(f"Concept {other - 1}")
    assert page.locator("#toasts").inner_text().endswith(f"Undone: named {other - 1} gland")
    page.keyboard.press("u")
    look.settled()
    look.drawn()
    called = f"{before[one - 1]} + {before[two - 1]}"
    assert page.locator(".class").count() == 9
    assert page.locator('.class[data-label="9"] .name').inner_text() == called
    assert page.locator('.class[data-label="9"] .about').inner_text() == "apart after Apply"
    note = page.locator(".note")
    assert note.inner_text().startswith(f"“{called}” is one on this map until Apply draws them apart")
    assert "warning" in note.get_attribute("class").split()
    page.mouse.move(*on_map(page, one, labels))
    assert page.locator("#under").inner_text() == called
    page.mouse.move(*on_map(page, other - 1, labels))
    assert page.locator("#under").inner_text() == before[other - 1]
    look.name(two, "fat")
    assert names_of(look.out)[two - 1] == "fat"
    assert page.locator('.class[data-label="9"] .name').inner_text().startswith(f"{before[one - 1]} + fat")
    look.apply()
    assert page.locator(".note").inner_text() == ""
    assert page.locator(".class").count() == 8


def test_names_that_nobody_gave_are_those_of_the_labels_after_a_merge(look):
    page = look()
    merge = "() => import('/static/store.js').then((one) => one.edit({do: 'merge', labels: [2, 4], name: 'both'}))"
    page.evaluate(merge)
    look.settled()
    told = page.locator(".class .name").all_inner_texts()
    assert [text.startswith(f"Concept {label}") for label, text in enumerate(told, 1)] == [True, False, *[True] * 5]
    assert names_of(look.out) == ("Concept 1", "both", *(f"Concept {label}" for label in range(3, 8)))


def test_another_image_is_warned_of_over_the_map_and_in_the_gallery(look, study, tmp_path):
    """Of the same name and size, in the folder that moved slides are looked for in."""
    _, paths = study
    (tmp_path / "there").mkdir()
    shutil.copy(paths[1], tmp_path / "there" / "a.png")
    with moved_away(paths[0]):
        page = look.at(read_only=True, moved=tmp_path / "there")
        look.drawn()
        what = "a.png is not the image that this map was made of"
        assert page.locator(".banner").inner_text().startswith(what)
        page.keyboard.press("g")
        page.locator(".card .warning").wait_for()
        assert page.locator(".card .warning").count() == 1
        assert page.locator(".card", has_text="a.png").locator(".warning").inner_text().startswith(what)


def test_the_gallery_has_the_order_of_the_menu(look):
    """Which is that of the runs."""
    page = look.at(read_only=True)
    page.evaluate(f"() => {STORE}.study.slides.reverse()")
    page.keyboard.press("g")
    page.locator(".card").first.wait_for()
    assert page.locator(".card-name").all_inner_texts() == ["b.png", "a.png"]
