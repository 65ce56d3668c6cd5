"""Every link and every picture on a page leads to a file, a page or a heading that there is."""

import re

import pytest

from docs.pages import PAGES, ROOT

OTHERS = ("SECURITY.md", "CHANGELOG.md", "training/README.md", "src/histofactor/encoders/embedded/MODEL_CARD.md")
GENERATED = {  # pages that a build of the site writes, and what of them is linked
    "docs/_generated/commands.md": set(),
    "docs/_generated/api.md": {"functions", "options", "records", "errors"},
}
_LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")


def anchors(path):
    """What headings of a page are linked by."""
    headings = re.findall(r"^#{1,4} (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_links_lead_somewhere(page):
    here = ROOT / page
    for link in _LINK.findall(here.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        path = (here.parent / target).resolve() if target else here
        name = path.relative_to(ROOT).as_posix()
        assert name in GENERATED or path.exists(), link
        if anchor:
            assert anchor in (GENERATED[name] if name in GENERATED else anchors(path)), link


def test_every_page_is_in_the_tree_of_the_site():
    tree = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([\w./-]+)$", tree, re.MULTILINE))
    pages = {page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page.startswith("docs/")}
    unlisted = pages - listed - {"index", "ecosystem"}
    assert {page for page in unlisted if not page.startswith("tutorials/")} == set()
