"""Images that are held: decoded once while their file stays as it is, within a limit, and let go."""

import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides import decoded as module
from histofactor.slides.decoded import DecodedImages

SIDE = 32
BYTES = 4 * SIDE * SIDE


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(found):
        Image.fromarray(np.full((SIDE, SIDE, 3), 40 * number, np.uint8)).save(path)
    return found


@pytest.fixture
def read(monkeypatch):
    """Paths in the order in which they were decoded."""
    found, decode = [], module.decode_file

    def noting(path, *how):
        found.append(path)
        return decode(path, *how)

    monkeypatch.setattr(module, "decode_file", noting)
    return found


def grey(decoded):
    return decoded.image.getpixel((0, 0))[0]


def test_what_is_held_is_decoded_once(paths, read):
    images = DecodedImages()
    images.hold(paths[1])
    assert [grey(images.decoded(path, None, 2.0)) for path in (*paths, *paths)] == [0, 40, 80, 120] * 2
    assert read == [*paths, paths[0], *paths[2:]]
    images.let_go(paths[1])
    images.decoded(paths[1], None, 2.0)
    assert read[-1] == paths[1]


def test_another_file_or_another_way_is_decoded_again(paths, read):
    images = DecodedImages()
    images.hold(paths[0])
    images.decoded(paths[0], None, 2.0)
    images.decoded(paths[0], "0", 2.0)
    assert len(read) == 2
    Image.fromarray(np.full((SIDE, SIDE, 3), 200, np.uint8)).save(paths[0])
    os.utime(paths[0], (1, 1))
    assert grey(images.decoded(paths[0], "0", 2.0)) == 200
    assert len(read) == 3
    paths[0].unlink()
    with pytest.raises(ImageError, match="does not exist"):
        images.decoded(paths[0], "0", 2.0)


def test_no_more_is_held_than_there_is_room_for(paths, read):
    images = DecodedImages(2 * BYTES)
    for path in paths:
        images.hold(path)
    for path in (*paths, *paths):
        images.decoded(path, None, 2.0)
    assert read == [*paths, *paths[2:]]
    images.let_go(paths[0])  # makes room for one
    for path in (*paths[1:], *paths[1:]):
        images.decoded(path, None, 2.0)
    assert read == [*paths, *paths[2:], *paths[2:], paths[3]]


def test_ahead_it_is_decoded_while_others_are_at_work(paths, read):
    images, begun, go_on = DecodedImages(BYTES), threading.Event(), threading.Event()

    def open_it(path):
        begun.set()
        go_on.wait(10)
        images.decoded(path, None, 2.0)

    images.ahead(paths[0], open_it)  # is not to be held
    images.hold(paths[0])
    images.ahead(paths[0], open_it)
    assert begun.wait(10)
    go_on.set()
    while not read:
        time.sleep(0.01)
    assert grey(images.decoded(paths[0], None, 2.0)) == 0  # waits for the thread
    assert read == [paths[0]]
    images.hold(paths[1])
    images.decoded(paths[1], None, 2.0)  # there is no room
    images.ahead(paths[1], open_it)
    images.clear()
    assert read == paths[:2]


def test_what_fails_ahead_is_told_to_whoever_opens_it(paths, tmp_path):
    images, ended = DecodedImages(), threading.Event()
    broken = tmp_path / "broken.png"
    broken.write_bytes(paths[0].read_bytes()[:60])

    def open_it(path):
        try:
            images.decoded(path, None, 2.0)
        finally:
            ended.set()

    images.hold(broken)
    images.ahead(broken, open_it)
    assert ended.wait(10)
    with pytest.raises(ImageError, match="damaged or cut off"):
        images.decoded(broken, None, 2.0)
