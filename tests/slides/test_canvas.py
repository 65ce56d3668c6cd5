import pytest

from histofactor.records import SlideInfo
from histofactor.slides.canvas import Canvas, canvas_note, canvas_of


def info(*notes):
    return SlideInfo(None, (300, 200), 0.5, (1.0,), "test", notes)


def test_a_note_of_the_canvas_is_read_back():
    slide = info("another note", canvas_note(1024, 77, (5000, 4000)))
    assert canvas_of(slide) == Canvas(1024, 77, 5000, 4000)


@pytest.mark.parametrize("notes", [(), ("the slide is the scanned part at x -1, y 2 of a canvas of 5 × 4 px",)])
def test_without_one_the_slide_is_all_there_is(notes):
    assert canvas_of(info(*notes)) == Canvas(0, 0, 300, 200)
