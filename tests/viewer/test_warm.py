"""What is read before the page is opened."""

import threading

import pytest

from histofactor.viewer import pictures
from histofactor.viewer import warm as module
from histofactor.viewer.warm import warmed


def waited_for(server):
    """Read ahead, to the end."""
    started = set(threading.enumerate())
    with warmed(server):
        for thread in set(threading.enumerate()) - started:
            thread.join(60)


def test_the_first_slide_is_at_hand(viewer, monkeypatch):
    waited_for(viewer.server)

    def not_again(*given):
        raise AssertionError

    monkeypatch.setattr(pictures, "read_tile", not_again)
    told = viewer.json(f"/api/slides/{viewer.view.first}")
    for level in (8, 9):  # 320 × 240 px are one tile each
        tile = f"/tiles/{told['id']}/{told['tiles_version']}/{level}_0_0.jpg"
        assert viewer.get(tile).headers["content-type"] == "image/jpeg"
    with pytest.raises(AssertionError):
        viewer.get(f"/tiles/{told['id']}/{told['tiles_version']}/7_0_0.jpg")  # no page asks for it


def test_levels_of_many_tiles_are_not_read():
    assert module._grid((40_000, 40_000), 510 << 5) == [(x, y) for x in range(3) for y in range(3)]
    assert module._grid((40_000, 40_000), 510 << 4) is None
    assert module._grid((5000, 500), 510) == [(x, 0) for x in range(10)]


def test_what_cannot_be_read_is_told_to_who_asks(viewer):
    (viewer.view.out / viewer.view.slides[viewer.view.first] / "labels.ome.tif").write_bytes(b"nothing")
    waited_for(viewer.server)  # without an error of its own
    assert "damaged" in viewer.json(f"/api/slides/{viewer.view.first}")["labels_fault"]["what"]


def test_it_ends_with_the_server(viewer, monkeypatch):
    reading, read = threading.Event(), []

    def slow(*given):
        read.append(given)
        reading.set()
        assert ended.wait(60)

    ended = threading.Event()
    monkeypatch.setattr(module, "tile_file", slow)
    with warmed(viewer.server):
        assert reading.wait(60)
        threading.Timer(0.3, ended.set).start()
    assert len(read) == 1
