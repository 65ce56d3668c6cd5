"""How the page follows what is named and merged, and what it says where that cannot be."""

import numpy as np
import pytest
import tifffile

from histofactor.runs.study import BANK, open_study

pytestmark = pytest.mark.browser

STORE = "window.histofactor.store"
PANE = "window.histofactor.page().panes[0]"
ENDED = "this page belongs to a viewer that has ended: open the address that `histofactor view` printed"


def middle(labels, label):
    """A place of a label, in level-0 px."""
    places = np.argwhere(labels == label)
    y, x = places[len(places) // 2]
    return [float(x) + 0.5, float(y) + 0.5]


def color_at(page, place):
    """RGBA of the map at a place."""
    return page.evaluate(
        f"([x, y]) => {{ const {{ view, canvas }} = {PANE}; return [...canvas.getContext('2d')"
        ".getImageData((x - view.x) * view.scale, (y - view.y) * view.scale, 1, 1).data]; }",
        place,
    )


def two(out):
    """The labels of the first map, and the two with the most px."""
    labels = tifffile.imread(out / "a" / "labels.ome.tif")
    most = np.argsort(-np.bincount(labels.ravel(), minlength=9)[1:])[:2] + 1
    return labels, *sorted(int(one) for one in most)


def test_a_name_ends_singling_out_and_all_follow_it(look):
    page = look()
    labels, low, high = two(look.out)
    view, box = page.evaluate(f"() => {PANE}.view"), page.locator(".pane .stage").bounding_box()
    page.mouse.click(
        *(box[axis] + (at - view[axis]) * view["scale"] for axis, at in zip("xy", middle(labels, low), strict=True))
    )
    page.locator(".detail:visible").wait_for()
    page.locator(f'.class[data-label="{low}"] .name').click()
    assert page.evaluate(f"() => {STORE}.ui.only") == low
    look.name(low, "keratin")
    assert page.evaluate(f"() => {STORE}.ui.only") is None
    assert page.locator(".detail h2").inner_text() == "keratin"
    page.locator(f'.class[data-label="{high}"] .name').click()
    page.keyboard.press("x")
    look.settled()
    assert page.evaluate(f"() => {STORE}.ui.only") is None
    look.name(high, "keratin")  # which is told: two bear one name
    toast, overview = (page.locator(one).first.bounding_box() for one in (".toast", ".overview"))
    assert toast["y"] + toast["height"] < overview["y"] or toast["x"] + toast["width"] < overview["x"]
    page.keyboard.press(".")
    page.wait_for_function(f"() => {PANE}.slide?.name === 'b.png'")
    assert page.locator(".toast").count() == 0


def test_both_that_are_to_be_merged_are_on_the_map(look):
    page = look()
    labels, low, high = two(look.out)
    colors = open_study(look.out / BANK).file.banks[8].colors
    places = [middle(labels, label) for label in (low, high)]
    page.locator(f'.class[data-label="{low}"] .name').click()
    page.mouse.move(2, 2)
    assert color_at(page, places[1])[3] == 0
    page.keyboard.press("m")
    page.locator(f'.class[data-label="{high}"] .name').hover()
    expected = [[*colors[label - 1], 255] for label in (low, high)]
    assert [color_at(page, place) for place in places] == expected
    page.locator(f'.class[data-label="{high}"] .name').click()
    page.locator("dialog input").wait_for()
    page.mouse.move(300, 300)
    assert [color_at(page, place) for place in places] == expected
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.wait_for_function(f"() => !{PANE}.held")
    assert color_at(page, places[1])[3] == 0


def test_a_concept_page_says_that_a_merge_was_begun_and_merges_with_the_most_alike(look):
    page = look.at("page=concepts&concept=5")
    page.locator(".where button").first.wait_for()
    page.get_by_role("button", name="Merge", exact=True).click()
    assert page.locator(".merge-hint").inner_text().startswith("Merge “Concept 5” with: choose another")
    assert page.get_by_role("button", name="Choose another…").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert page.locator(".merge-hint").count() == 0
    page.get_by_role("button", name="Merge", exact=True).click()
    other = page.locator(".where button").first.inner_text().strip()
    page.locator(".where button").first.click()
    labels = sorted((5, int(other.split()[-1])))
    assert page.locator("dialog h2").inner_text() == f"Merge “Concept {labels[0]}” and “Concept {labels[1]}” as"
    page.locator("dialog input").fill("both")
    page.keyboard.press("Enter")
    look.settled()
    page.locator(".concept h1", has_text="both").wait_for()
    assert page.evaluate(f"() => {STORE}.ui.concept") == labels[0]
    assert open_study(look.out / BANK).file.banks[7].names[labels[0] - 1] == "both"


def test_what_the_address_singles_out_can_be_named_and_bars_have_one_line(look):
    page = look.at("only=3")
    look.drawn()
    page.wait_for_function("() => document.querySelector('.class.only')")
    assert page.get_by_role("button", name="Name", exact=True).is_enabled()
    page.get_by_role("button", name="Name", exact=True).click()
    assert page.locator("dialog h2").inner_text() == "Name of 3"
    page.locator("dialog input").fill("gland")
    page.keyboard.press("Enter")
    look.settled()
    page.locator("#apply:visible").wait_for()
    page.keyboard.press("c")
    page.set_viewport_size({"width": 1000, "height": 700})
    for bar in (".top", ".tools"):
        lines = (
            f"() => [...document.querySelectorAll('{bar} > :not(.grow)')].filter((one) => one.offsetWidth)"
            ".map((one) => one.getBoundingClientRect()).map((box) => [box.top, box.right])"
        )
        boxes = page.evaluate(lines)
        assert len(boxes) > 5
        assert max(top for top, _ in boxes) - min(top for top, _ in boxes) < 15
        assert max(right for _, right in boxes) <= page.locator(bar).bounding_box()["width"] + 0.5


def test_a_page_whose_viewer_has_ended_says_what_to_open(look):
    page = look()
    page.allowed += ["401", "403"]
    look.choose(1)
    old = "**/api/edit"  # as of a server before, while the cookie is of the one that answers
    page.route(old, lambda route: route.continue_(headers={**route.request.headers, "x-histofactor-csrf": "old"}))
    page.keyboard.press("x")
    page.locator(".toast", has_text=ENDED).wait_for()
    page.unroute(old)
    page.context.clear_cookies()
    look.choose(1)
    page.keyboard.press("n")
    page.locator("dialog input").fill("gland")
    page.keyboard.press("Enter")
    page.locator("dialog [role=alert]", has_text=ENDED).wait_for()
    page.keyboard.press("Escape")
    page.evaluate(f"() => {PANE}.viewer.raiseEvent('tile-load-failed', {{}})")
    page.locator(".banner", has_text=ENDED).wait_for()
