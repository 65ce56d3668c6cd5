"""The page of an evaluation: self-contained, everything in it, foreign text inert."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from histofactor.evaluation.data.datasets import NO_PATIENTS, Dataset, Item
from histofactor.evaluation.pages.outputs import Evaluation
from histofactor.evaluation.pages.page import write_page
from histofactor.evaluation.pages.panels import Panel
from histofactor.evaluation.scores.floors_and_ceilings import Bracket
from histofactor.evaluation.scores.protocol import Result, score_tables
from histofactor.evaluation.scores.stability import DISTURBANCES
from histofactor.records import EncoderKey

KEY = EncoderKey("tiny", None, "code", "relu")
STEADY = {name: 0.111 + index for index, name in enumerate(DISTURBANCES)}


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img", "br", "line", "circle", "rect", "polygon", "polyline"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


def written(tmp_path, empty=False, patients_given=True):
    items = tuple(Item(f"s{i}", Path("x.png"), Path("y.png"), f"p{i % 3}", {"<s>": str(i % 2)}) for i in range(6))
    dataset = Dataset("<b>set</b>", 0.5, {0: "<i>stroma", 1: "gland & lumen"}, None, items, patients_given)
    rng = np.random.default_rng(0)
    results = []
    for method in ("project", "cluster"):
        for k in (4, 8):
            tables = np.zeros((6, k + 1, 2), int) if empty else rng.integers(0, 99, (6, k + 1, 2))
            results.append(Result(method, k, KEY, "0" * 64, score_tables(dataset, tables)))
    rgb, classes = rng.integers(0, 255, (20, 30, 3), np.uint8), rng.integers(-1, 2, (20, 30))
    panels = [Panel("<u>s0", "p0", 0.5, "cluster", 8, rgb, classes, classes)]
    brackets = [Bracket("colour", k, 0.2, (0.1, 0.3), 0.25, 0.35) for k in (4, 8)]
    brackets += [Bracket(name, None, 0.8, (0.7, 0.9), 0.85, 0.95) for name in ("linear probe", "grid oracle")]
    steady = tuple(replace(one, stability=STEADY) if one.method == "project" else one for one in results)
    write_page(Evaluation(dataset, steady, () if empty else tuple(brackets)), panels, tmp_path / "e.html")
    return results, (tmp_path / "e.html").read_text(encoding="utf-8")


def test_everything_is_in_it_and_inert(tmp_path):
    results, text = written(tmp_path)
    for foreign in ("<b>set", "<i>stroma", "<u>s0", "<s>"):
        assert foreign not in text
        assert foreign.replace("<", "&lt;").replace(">", "&gt;") in text
    assert "gland &amp; lumen" in text
    for result in results:
        assert f"{result.method}, K = {result.k}" in text
        assert f"<b>{result.scores.mean_iou:.3f}</b>" in text
        assert f"{result.scores.nmi:.3f}" in text
        for agreement in result.scores.sources.values():
            assert f"<td>{agreement.nmi:.3f}</td><td>{agreement.ari:.3f}</td>" in text


def test_it_loads_nothing_and_is_well_formed(tmp_path):
    _, text = written(tmp_path)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in tags.addresses)
    assert "<script" not in text


def test_curves_rise_with_their_values(tmp_path):
    results, text = written(tmp_path)
    line = re.search(r'<polyline points="([^"]+)"', text).group(1).split()
    ys = [float(point.split(",")[1]) for point in line]
    scores = [result.scores.mean_iou for result in results if result.method == "project"]
    assert (ys[1] < ys[0]) == (scores[1] > scores[0])


def test_brackets_are_told_and_drawn_over_all_k(tmp_path):
    _, text = written(tmp_path)
    assert "<td>colour</td><td>8</td><td><b>0.200</b></td><td>0.100 to 0.300</td><td>0.250</td><td>0.350</td>" in text
    assert "<td>grid oracle</td><td></td><td><b>0.800</b></td>" in text
    first = text[text.index("<svg") : text.index("</svg>")]
    drawn = re.findall(r'<polyline points="([^"]+?) ?"', first)
    assert len(drawn) == 4  # two methods, floor and probe
    probe = [point.split(",") for point in drawn[3].split()]
    assert [x for x, _ in probe] == ["44.0", "470.0"]
    assert probe[0][1] == probe[1][1]


def test_stability_is_told_of_the_first_method(tmp_path):
    _, text = written(tmp_path)
    row = "".join(f"<td>{value:.3f}</td>" for value in STEADY.values())
    assert text.count(row) == 2


def test_confusion_is_told_in_shares_of_the_true_class(tmp_path):
    results, text = written(tmp_path)
    total = np.sum([image.matrix for image in results[0].scores.images], axis=0)
    for share in (100 * total / total.sum(0)).ravel():
        assert f">{share:.1f} %<" in text


def test_nothing_to_score_is_told_as_such(tmp_path):
    _, text = written(tmp_path, empty=True)
    assert "<b>–</b>" in text
    assert "nan" not in re.sub('base64,[^"]*', "", text).lower()


def test_the_best_and_worst_are_said_to_be_of_their_method_and_k(tmp_path):
    _, text = written(tmp_path)
    assert "<h2>Best and worst images of cluster, K = 8</h2>" in text


def test_axes_have_ticks_that_differ(tmp_path):
    _, text = written(tmp_path)
    for plot in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        labels = re.findall(r'text-anchor="end">([^<]+)<', plot)
        assert len(labels) >= 2
        assert len({*labels}) == len(labels)
        assert re.search(r'text-anchor="middle">\d', plot)


def test_patients_that_were_not_given_are_warned_of(tmp_path):
    _, text = written(tmp_path, patients_given=False)
    assert NO_PATIENTS in text
    assert text.index(NO_PATIENTS) < text.index("<h2>Scores")
    assert "patient p0" not in text
    _, text = written(tmp_path)
    assert NO_PATIENTS not in text
    assert "patient p0" in text
