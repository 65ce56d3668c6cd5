"""The page of a bank: self-contained, everything in it, foreign text inert."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from histofactor.base.colors import seen_color
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.following import FOLLOWING, stated
from histofactor.concepts.bank.suggested import concept_keys
from histofactor.concepts.learn.following import follow_groups
from histofactor.concepts.learn.levels import banks_from_features
from histofactor.errors import BankError
from histofactor.export.bank_page import Beside, write_bank_page
from histofactor.export.tables import hex_color
from histofactor.records import EncoderKey
from small_banks import bank as small_bank
from small_pairs import suggested

CHOICE = {
    "recommended": 4,
    "elbow": 4,
    "rows": [
        {"k": k, "stability": 1 / k, "inertia": 2 / k, "residual": 3 / k} for k in (2, 4, 8)
    ],
}  # fmt: skip


def page(tmp_path, card, patches=None, name="stroma"):
    X = np.random.default_rng(0).gamma(0.6, 1.0, (300, 5)).astype(np.float32)
    banks = {len(bank.names): bank for bank in banks_from_features(X, [2, 4, 8], EncoderKey("e", None, "l", "relu"))}
    banks[2] = replace(banks[2], names=(name, "other"), provenance={"residual_limit": 0.875})
    write_bank_page(BankFile(banks, card), tmp_path / "p.html", "my bank", Beside(patches=patches or {}))
    return (tmp_path / "p.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_everything_is_on_it_and_well_formed(tmp_path):
    card = {
        "choice": CHOICE,
        "algorithm": "kmeans",
        "slides": [{"name": "a", "sha256": "abcdef123", "tokens": 9}],
        "options": {"seed": 3},
        "licence": "CC0",
    }
    patches = {(4, 2): [np.full((8, 8, 3), 99, np.uint8)] * 3}
    text = page(tmp_path, card, patches)
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    kinds = [tag for tag, _ in tags.seen]
    assert kinds.count("details") == 4
    assert kinds.count("svg") == 3
    assert kinds.count("circle") == 9
    assert kinds.count("img") == 3
    for word in (
        "K = 4 is recommended",
        "abcdef123",
        "sha256",
        "stroma",
        "CC0",
        "seed 3",
        "part of",
        "residual above 0.875",
    ):
        assert word in text
    points = re.findall(r"points=\"([^\"]+)\"", text)[0].split()
    xs = [float(point.split(",")[0]) for point in points]
    assert xs[1] - xs[0] == xs[2] - xs[1]  # log K


def test_it_loads_nothing(tmp_path):
    text = page(tmp_path, {}, {(2, 1): [np.zeros((4, 4, 3), np.uint8)]})
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text


def test_foreign_names_are_text(tmp_path):
    text = page(tmp_path, {"licence": "<img src=x>"}, name="<b>bold</b>")
    assert "<b>bold" not in text
    assert "&lt;b&gt;bold" in text
    assert "<img src=x>" not in text


@pytest.mark.parametrize(
    "card",
    [{"slides": 3}, {"options": [1]}, {"left_out": 1}, {"choice": [1]}, {"choice": {"rows": [{"k": 2}]}}],
)
def test_a_card_that_makes_no_sense_is_told(tmp_path, card):
    with pytest.raises(BankError, match="cannot be read"):
        page(tmp_path, card)
    assert not (tmp_path / "p.html").exists()


def test_a_bank_without_a_card(tmp_path):
    text = page(tmp_path, {})
    assert "not stated" in text
    assert "<svg" not in text
    assert "Typical patches are shown where" in text


def test_characters_that_html_forbids_are_shown(tmp_path):
    html = page(tmp_path, {"licence": "\x1b[31m", "made": "caf\udce9"}, name="stroma\x00")
    for shown in (r"\x1b[31m", r"caf\udce9", r"stroma\x00"):
        assert shown in html
    assert not {"\x1b", "\x00", "&#56553;"} & {html[i : i + n] for n in (1, 8) for i in range(len(html))}


@pytest.mark.parametrize(
    ("card", "shown", "wanted"), [({}, None, 2), ({"choice": CHOICE}, None, 4), ({"choice": CHOICE}, 8, 8), ({}, 5, 2)]
)
def test_one_level_is_seen_at_once(tmp_path, card, shown, wanted):
    X = np.random.default_rng(0).gamma(0.6, 1.0, (300, 5)).astype(np.float32)
    banks = {len(bank.names): bank for bank in banks_from_features(X, [2, 4, 8], EncoderKey("e", None, "l", "relu"))}
    write_bank_page(BankFile(banks, card), tmp_path / "p.html", "b", Beside(used=shown))
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert re.findall(r'<details class="card" open>\s*<summary>K = (\d+)', text) == [str(wanted)]


def test_a_figure_that_hardly_changes_has_two_ticks_that_differ(tmp_path):
    rows = [row | {"residual": 0.24 + row["k"] / 1e6, "inertia": 0.5} for row in CHOICE["rows"]]
    text = page(tmp_path, {"choice": CHOICE | {"rows": rows}})
    for plot in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        labels = re.findall(r'text-anchor="end">([^<]+)<', plot)
        assert len(labels) >= 2
        assert len({*labels}) == len(labels)


def test_a_concept_without_a_name_shows_what_is_measured_of_it(tmp_path):
    X = np.random.default_rng(0).gamma(0.6, 1.0, (300, 5)).astype(np.float32)
    (bank,) = banks_from_features(X, [3], EncoderKey("e", None, "l", "relu"))
    stains = [[0.14, 0.36, 0.1, 0.01, 0.05], [0.3, 0.45, 0.2, 0.0, 0.5], [0.01, 0.02, 0.01, 0.93, 0.0]]
    told = {"stains": stains, "counts": [8, 1, 1]}
    bank = replace(bank, names=("Concept 1", "Concept 2", "glass"), provenance=told)
    write_bank_page(BankFile({3: bank}, {}), tmp_path / "p.html", "my bank")
    found = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert re.search(r"Concept 2 <[^>]*>· many dark nuclei, haematoxylin-rich, dense<", found)
    assert re.search(r"Concept 1</td>", found)  # whose stain is like that of most
    assert "mostly empty" not in found  # which somebody called glass


def test_the_k_in_use_is_told_beside_the_one_recommended_and_swatches_look_like_bars(tmp_path):
    X = np.random.default_rng(0).gamma(0.6, 1.0, (300, 5)).astype(np.float32)
    banks = {len(bank.names): bank for bank in banks_from_features(X, [2, 4, 8], EncoderKey("e", None, "l", "relu"))}
    file, told = BankFile(banks, {"choice": CHOICE}), "the slides of this study are segmented with K = 2"
    for used, expected in ((2, True), (4, False), (None, False)):
        write_bank_page(file, tmp_path / "p.html", "my bank", Beside(used=used))
        text = (tmp_path / "p.html").read_text(encoding="utf-8")
        assert "K = 4 is recommended" in text
        assert (told in text) == expected
    color = hex_color(seen_color(banks[4].colors[0]))
    assert f'class="swatch" style="background:{color}"' in text
    assert re.search(rf'<i style="width:[0-9.]+%;background:{color}">', text)
    assert hex_color(banks[4].colors[0]) not in text


def test_suggested_names_are_text(tmp_path):
    banks = banks_from_features(
        np.random.default_rng(0).random((50, 5), np.float32), [2], EncoderKey("e", None, "l", "relu")
    )
    keys = concept_keys(banks[0])
    offered = {keys[0]: suggested("<b>fat", "patches disagree"), keys[1]: suggested("tumour")}
    path = tmp_path / "p.html"
    write_bank_page(BankFile({2: replace(banks[0], names=("Concept 1", "mine"))}), path, "t", Beside(suggested=offered))
    text = path.read_text()
    assert "suggested: &lt;b&gt;fat (0.40), unsure: patches disagree" in text
    assert "tumour" not in text  # it has a name


def test_why_a_concept_of_one_slide_is_not_judged(tmp_path):
    counts = np.array([[50, 0]] * 4 + [[30, 20]] + [[50, 0]] * 5)
    groups = ["north"] * 5 + ["south"] * 5
    told = {
        FOLLOWING: stated(follow_groups(counts, groups)),
        "per_slide": counts.tolist(),
        "per_group": {"north": [230, 20], "south": [250, 0]},
    }
    card = {"slides": [{"name": f"{number}.svs", "group": group} for number, group in enumerate([*groups[:9], None])]}
    write_bank_page(BankFile({2: small_bank(2, provenance=told)}, card), tmp_path / "p.html", "mine")
    text = (tmp_path / "p.html").read_text()
    assert '<span class="pill">in one slide alone</span>' in text
    assert "nearly all from north" not in text
    assert "its share of a group is no sign of the group, so that it is marked and not judged" in text
    assert "1 of 10 inputs has no group: they are in no figure on groups" in text
