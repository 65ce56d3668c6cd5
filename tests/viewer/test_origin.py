"""The file that a slide's results are of, told from others of its name."""

import hashlib
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.recipe import fingerprint
from histofactor.viewer.origin import COMPARING, OTHER, SAME, UNSURE, OriginFinder
from histofactor.viewer.study import open_view
from viewer_client import Viewer, moved_away

LARGE = 4 * 2**20 + 100_000  # bytes: so large that not all of them count in a fingerprint


def settled(finder):
    until = time.monotonic() + 20
    while finder.find().state == COMPARING:
        assert time.monotonic() < until
        time.sleep(0.01)
    return finder.find()


@pytest.fixture
def large(tmp_path):
    """A file that was segmented, the folder that it is looked for in, and what is known of it."""
    was, there = tmp_path / "was" / "s.bin", tmp_path / "there"
    was.parent.mkdir()
    there.mkdir()
    was.write_bytes(np.random.default_rng(0).bytes(LARGE))
    return was, there, fingerprint(was), hashlib.sha256(was.read_bytes()).hexdigest()


def copied(was, to, *, time_kept, changed=False):
    to.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copy2 if time_kept else shutil.copyfile)(was, to)
    if changed:
        with to.open("r+b") as file:
            file.seek(LARGE - 70_000)
            file.write(b"other")
    if not time_kept:
        os.utime(to, ns=(1, 1))
    return to


def test_a_copy_with_its_time_is_the_same(large):
    was, there, content, _ = large
    path = copied(was, there / "deep" / "s.bin", time_kept=True)
    was.unlink()
    found = OriginFinder(was, content, there, lambda: ()).find()
    assert (found.path, found.state, found.warning) == (path, SAME, None)


@pytest.mark.parametrize(("changed", "state"), [(False, SAME), (True, OTHER)])
def test_a_copy_of_another_time_is_compared_as_a_whole(large, changed, state):
    was, there, content, sha256 = large
    copied(was, there / "s.bin", time_kept=False, changed=changed)
    was.unlink()
    finder = OriginFinder(was, content, there, lambda: {sha256})
    first = finder.find()
    assert first.state in {COMPARING, state}
    assert first.state == SAME or "s.bin" in first.warning["what"]
    assert settled(finder).state == state
    assert (settled(finder).warning is None) == (state == SAME)


def test_where_no_digest_is_known_it_may_be_another_one(large):
    was, there, content, _ = large
    copied(was, there / "s.bin", time_kept=False)
    was.unlink()
    found = OriginFinder(was, content, there, lambda: ()).find()
    assert found.state == UNSURE
    assert found.warning["what"] == "s.bin may not be the image that this map was made of"


def test_of_two_that_are_compared_the_one_is_taken(large):
    was, there, content, sha256 = large
    copied(was, there / "a" / "s.bin", time_kept=False, changed=True)
    right = copied(was, there / "b" / "s.bin", time_kept=False)
    was.unlink()
    finder = OriginFinder(was, content, there, lambda: {sha256})
    until = time.monotonic() + 20
    while True:
        try:
            found = settled(finder)
            break
        except ImageError:  # none of them is known to be the one, as long as they are read
            assert time.monotonic() < until
            time.sleep(0.01)
    assert (found.path, found.state) == (right, SAME)


def test_of_two_files_of_one_name_the_one_that_was_segmented_is_shown(study, tmp_path):
    out, paths = study
    there = tmp_path / "there"
    for folder, path in (("1", paths[1]), ("2", paths[0])):
        (there / folder).mkdir(parents=True)
        shutil.copy(path, there / folder / "a.png")
    with moved_away(paths[0]):
        with open_view(out, read_only=True, moved=there) as view:
            slide = view.slide(next(iter(view.slides)))
            assert slide.origin.find().path == there / "2" / "a.png"
        shutil.copy(paths[1], there / "2" / "a.png")
        with open_view(out, read_only=True, moved=there) as view:
            viewer = Viewer(view).open()
            told = viewer.json(f"/api/slides/{viewer.ids[0]}")
            assert told["source_fault"]["what"].startswith("none of 2 files called a.png is known to be the one")
            assert told["labels"] is not None


def test_another_image_over_the_one_that_was_segmented_is_warned_of_and_never_kept_as_it(study):
    """Tiles are kept by browsers under their address: that of one image is never that of another."""
    out, paths = study
    with open_view(out, read_only=True) as view:
        viewer = Viewer(view).open()
        id_ = viewer.ids[0]
        places = places_on(viewer, id_)

        def look():
            told = viewer.json(f"/api/slides/{id_}")
            return told, f"/tiles/{id_}/{told['tiles_version']}/9_0_0.jpg"

        told, address = look()
        assert told["source_warning"] is None
        right = viewer.get(address).content
        assert {viewer.get(place).status_code for place in places} == {200}
        with moved_away(paths[0]):
            shutil.copy(paths[1], paths[0])
            told, other = look()
            assert told["source_warning"]["what"] == "a.png is not the image that this map was made of"
            assert other != address
            assert viewer.get(address).status_code == 404
            assert viewer.get(other).content != right
            assert {viewer.get(place).status_code for place in places} == {422}
            Image.new("RGB", (320, 240)).save(paths[0])  # and again, while the viewer is open
            assert look()[1] not in {address, other}
            paths[0].unlink()
        told, again = look()
        assert (told["source_warning"], again) == (None, address)
        assert viewer.get(again).content == right


def places_on(viewer, id_):
    """Addresses of typical places on one slide."""
    cards = {label: viewer.json(f"/api/concepts/{label}")["patches"] for label in range(1, 9)}
    found = [(label, rank) for label, patches in cards.items() for rank, one in enumerate(patches) if one["id"] == id_]
    return [f"/patches/x/{label}/{rank}.jpg" for label, rank in found[:3]]
