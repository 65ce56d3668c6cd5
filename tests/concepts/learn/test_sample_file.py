"""The file of a sample gives back what was written, or says that it is damaged."""

import numpy as np
import pytest

from histofactor.base.digests import DamagedError
from histofactor.concepts.learn.sample_file import read_as_damage, read_columns, read_note, write_columns

COLUMNS = {"a": np.arange(6, dtype=np.float32).reshape(3, 2), "b": np.arange(3), "empty": np.zeros((0, 2))}


@pytest.fixture
def path(tmp_path):
    write_columns(tmp_path / "s.npz", "a note µ", COLUMNS)
    return tmp_path / "s.npz"


def test_it_comes_back(path):
    note, columns = read_columns(path, tuple(COLUMNS))
    assert note == read_note(path) == "a note µ"
    assert list(columns) == list(COLUMNS)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(columns[name], values)


def test_it_is_an_archive_of_numpy_and_the_same_twice(path, tmp_path):
    with np.load(path) as file:
        np.testing.assert_array_equal(file["a"], COLUMNS["a"])
    write_columns(tmp_path / "again.npz", "a note µ", COLUMNS)
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_what_it_lacks_is_left_out_and_what_it_should_not_hold_is_damage(path):
    assert list(read_columns(path, ("a", "b", "later", "empty"))[1]) == ["a", "b", "empty"]
    with pytest.raises(DamagedError, match=r"s\.npz is not as it was written"):
        read_columns(path, ("a", "b"))


@pytest.mark.parametrize("change", [{"note": np.array("another")}, {"b": np.arange(3) + 1}, {"b": np.arange(3.0)}])
def test_another_note_or_value_is_told(path, change):
    with np.load(path) as file:
        held = {name: file[name] for name in file}
    np.savez(path, **{**held, **change})
    with pytest.raises(DamagedError, match=r"s\.npz is not as it was written"):
        read_columns(path, tuple(COLUMNS))


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(DamagedError, match=r"none\.npz cannot be read \(No such file"):
        read_note(tmp_path / "none.npz")
    with pytest.raises(DamagedError, match="is not as it was written"), read_as_damage(tmp_path / "s.npz"):
        raise KeyError
