"""``status.json``: what became of an input, in its own folder."""

import pytest

from histofactor.base.names import STATUS
from histofactor.errors import OutputError
from histofactor.runs.outcome import Outcome
from histofactor.runs.place import Place
from histofactor.runs.status import read_status, write_status

DONE = Outcome("in/a.png", "done", "a", 1.5, notes=("grey image converted to RGB",))


def test_written_and_read(tmp_path):
    place = Place(tmp_path, "a")
    write_status(DONE, place, "run")
    status = read_status(place.results)
    assert (status.outcome, status.run) == (DONE, "run")


def test_of_what_is_kept_the_first_status_stays(tmp_path):
    place = Place(tmp_path, "a")
    write_status(DONE, place, "first")
    before = (place.results / STATUS).read_bytes()
    write_status(Outcome("in/a.png", "kept", "a"), place, "second")
    assert (place.results / STATUS).read_bytes() == before


def test_what_is_kept_after_a_failure_is_done(tmp_path):
    place = Place(tmp_path, "a")
    write_status(Outcome("in/a.png", "failed", error="gone"), place, "first")
    write_status(Outcome("in/a.png", "kept", "a"), place, "second")
    assert read_status(place.results).outcome.status == "done"


def test_none_and_damaged(tmp_path):
    place = Place(tmp_path, "a")
    assert read_status(place.results) is None
    write_status(DONE, place, "run")
    written = (place.results / STATUS).read_text()
    changed = [written.replace("done", "dine"), written.replace("1.5", '"1.5"'), written.replace('"a"', "{}")]
    assert written not in changed
    for content in ("{", "[]", '{"format": 99}', '{"format": 2}', *changed):
        (place.results / STATUS).write_text(content)
        assert read_status(place.results) is None


def test_a_folder_that_is_a_link_gets_none(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="without links"):
        write_status(DONE, Place(tmp_path / "out", "a"), "run")
    assert list((tmp_path / "elsewhere").iterdir()) == []
