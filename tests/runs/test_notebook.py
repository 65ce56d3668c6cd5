"""Progress in a notebook."""

import sys
from types import SimpleNamespace

import pytest

from histofactor.runs.notebook import Line, in_notebook, watched
from histofactor.runs.outcome import Outcome, Reporter


@pytest.fixture
def kernel(monkeypatch):
    """A notebook that keeps what is shown, in order."""
    shown = []

    def draw(data, raw):
        assert raw
        shown.append(data["text/html"])

    def display(data, display_id, raw):
        assert display_id
        draw(data, raw)
        return SimpleNamespace(update=draw)

    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return shown


def test_outside_a_notebook_nobody_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
    with watched(None) as reporter:
        assert reporter == Reporter()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_somebody_else_who_is_told_is_told_alone(kernel):
    mine = Reporter(on_note=print)
    with watched(mine) as reporter:
        assert reporter is mine
    assert kernel == []


def test_a_run_of_two_inputs(kernel, tiny_encoder, tiny_bank, tissue, tmp_path, segmented):
    from PIL import Image

    for name in ("a", "b"):
        Image.fromarray(tissue).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    segmented([tmp_path / f"{name}.png" for name in ("a", "b", "c")], tmp_path / "out")
    last = kernel[-1]
    assert "3 of 3 inputs" in last
    assert 'value="1.000"' in last
    assert "failed: " in last
    assert "c.png" in last
    assert any("a.png" in html for html in kernel)


def test_it_is_drawn_seldom_and_at_the_end(monkeypatch):
    shown, clock = [], iter([0.0, 0.0, *[0.1] * 5, 0.4, 0.4, 0.4]).__next__
    line = Line(shown.append, clock)
    reporter = line.reporter()
    reporter.on_input("/data/a.svs", 0, 4)
    for done in range(5):
        reporter.on_window(done, 8)
    assert len(shown) == 1
    reporter.on_window(4, 8)
    assert len(shown) == 2
    assert "0 of 4 inputs · a.svs · 4 of 8 windows" in shown[-1]
    assert 'value="0.125"' in shown[-1]


def test_text_is_escaped_and_notes_are_few():
    line = Line(lambda html: None)
    reporter = line.reporter()
    for number in range(20):
        reporter.on_note(f"<i>note {number}")
    reporter.on_outcome(Outcome("<b>.svs", "failed", error="<script>"))
    html = line.html()
    assert "<script" not in html
    assert "failed: &lt;b&gt;.svs: &lt;script&gt;" in html
    assert html.count("<small>") == 8
