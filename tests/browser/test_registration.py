"""The map lies on the slide: at the corners and in the middle, at every zoom, for levels of any factor."""

import pytest

from marked_slide import write_marked

pytestmark = pytest.mark.browser

# Where a canvas turns from one thing into another along a line through the middle of a mark, in px of the screen.
EDGES = """
([which, cx, cy]) => {
  const pane = window.histofactor.page().panes[0];
  const canvas = which === "slide" ? pane.viewer.drawer.canvas : pane.canvas;
  const context = canvas.getContext("2d");
  const along = (dx, dy) => {
    const at = (x, y) => {
      const [r, g, b, a] = context.getImageData(Math.round(x), Math.round(y), 1, 1).data;
      return which === "slide" ? (a ? (r + g + b) / 3 < 128 : null) : a > 0;
    };
    const inside = at(cx, cy);
    let [x, y] = [cx, cy];
    while (x >= 0 && y >= 0 && x < canvas.width && y < canvas.height) {
      if (at(x + dx, y + dy) !== inside) return dx ? (dx > 0 ? x + 1 : x) : (dy > 0 ? y + 1 : y);
      x += dx; y += dy;
    }
    return null;
  };
  return [along(-1, 0), along(0, -1), along(1, 0), along(0, 1)];
}
"""


@pytest.fixture(params=[(2, 3.99, 7.9), (4,), ()], ids=str)
def marked(request, study, tmp_path):
    out, _ = study
    return write_marked(tmp_path / "marked.tif", out / "a", request.param)


@pytest.mark.parametrize("screen_per_l0", [0.17, 0.61, 2.7])
def test_the_map_lies_within_a_px_of_the_truth(look, marked, screen_per_l0):
    page = look.at()
    page.evaluate("() => window.histofactor.store.ui.hidden.add(2)")
    for label, slide in zip(marked.labels, marked.slide, strict=True):
        x, y = (label[0] + label[2]) / 2, (label[1] + label[3]) / 2
        page.evaluate(
            "([x, y, s]) => { const pane = window.histofactor.page().panes[0]; pane.go({x, y, s}); pane.restyle(); }",
            [x, y, 1 / screen_per_l0],
        )
        page.wait_for_timeout(100)
        look.drawn()
        view = page.evaluate("() => window.histofactor.page().panes[0].view")
        assert view["scale"] == pytest.approx(screen_per_l0, rel=1e-6)
        for which, box in (("labels", label), ("slide", slide)):
            expected = [
                (box[0] - view["x"]) * view["scale"], (box[1] - view["y"]) * view["scale"],
                (box[2] - view["x"]) * view["scale"], (box[3] - view["y"]) * view["scale"],
            ]  # fmt: skip
            center = (expected[0] + expected[2]) / 2, (expected[1] + expected[3]) / 2
            found = page.evaluate(EDGES, [which, *center])
            assert None not in found
            assert max(abs(edge - wanted) for edge, wanted in zip(found, expected, strict=True)) <= 1, (
                which,
                found,
                expected,
                view,
            )
