"""Suggested names in a real browser: offered, and given by nobody but the person."""

import os

import pytest

from histofactor.concepts.bank.suggested import concept_keys, write_suggested
from histofactor.runs.study import BANK, open_study
from small_pairs import suggested

pytestmark = pytest.mark.browser
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def offered(look):
    """A study with suggestions for its first two concepts, opened at the first."""
    file = open_study(look.out / BANK).file
    first, second = concept_keys(file.banks[8])[:2]
    made = {first: suggested("tumour", others=("stroma", MARKUP)), second: suggested("fat", "patches disagree")}
    write_suggested(look.out / BANK, file, made)
    return look


def name_of(out, label):
    return open_study(out / BANK).file.banks[8].names[label - 1]


def shot(page, name):
    """A picture for whoever wants to look, in the folder that SHOTS names."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_a_suggestion_is_taken_with_two_clicks_and_undone(offered):
    page = offered()
    before = name_of(offered.out, 1)
    offered.choose(1)
    page.keyboard.press("n")
    choices = page.get_by_role("group", name="Suggested names").get_by_role("button")
    assert choices.all_inner_texts() == ["tumour 0.60", "stroma 0.20", f"{MARKUP} 0.20"]
    assert page.locator("dialog img").count() == 0
    choices.nth(2).click()
    assert page.locator("dialog input").input_value() == MARKUP
    choices.nth(0).click()
    shot(page, "dialog")
    assert page.locator("dialog input").input_value() == "tumour"
    assert name_of(offered.out, 1) == before  # not before it is saved
    page.keyboard.press("Enter")
    offered.settled()
    assert name_of(offered.out, 1) == "tumour"
    page.keyboard.press("u")
    offered.settled()
    assert name_of(offered.out, 1) == before


def test_what_is_unsure_says_so_and_what_is_gone_says_nothing(offered):
    page = offered.at("page=concepts&concept=2")
    page.get_by_text("Suggested: fat (0.40), unsure: patches disagree").wait_for()
    shot(page, "concept")
    page.get_by_role("button", name="Name", exact=True).click()
    assert "patches disagree" in page.locator("dialog").inner_text()
    page.keyboard.press("Escape")
    (offered.out / "concepts.suggested.json").write_text("{")
    page.reload()
    page.get_by_text("cannot be read").wait_for()
    page.get_by_role("button", name="Name", exact=True).click()
    assert page.locator(".choices").count() == 0
