"""Fences: asked for all below them, while their block runs, however paths are spelled."""

import os
from pathlib import Path

import pytest

from histofactor.base import fences
from histofactor.base.fences import ask, fenced


class Lost(Exception):
    pass


def refuse():
    raise Lost


def test_what_lies_in_it_is_asked_for(tmp_path):
    with fenced([tmp_path / "a", tmp_path / "bank"], refuse):
        for path in (
            tmp_path / "a",
            tmp_path / "a" / "b" / "c.json",
            tmp_path / "bank",
            tmp_path / "x" / ".." / "bank",
        ):
            with pytest.raises(Lost):
                ask(path)
        for path in (tmp_path, tmp_path / "ab", tmp_path / "bank.html", tmp_path / "other"):
            ask(path)
    ask(tmp_path / "a")
    assert not fences._checks


def test_relative_paths_are_those_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with fenced([Path("out")], refuse), pytest.raises(Lost):
        ask(tmp_path / "out" / "a")
    with fenced([tmp_path / "out"], refuse), pytest.raises(Lost):
        ask(Path("out/a"))
    assert Path.cwd() == Path(os.fspath(tmp_path))


def test_all_checks_are_asked_and_each_goes_with_its_block(tmp_path):
    asked = []
    with fenced([tmp_path], lambda: asked.append("outer")):
        with fenced([tmp_path / "a", tmp_path], lambda: asked.append("inner")):
            ask(tmp_path / "a" / "b")
        assert sorted(asked) == ["inner", "inner", "outer"]
        asked.clear()
        ask(tmp_path / "a" / "b")
        assert asked == ["outer"]


def test_a_block_that_fails_leaves_no_fence(tmp_path):
    with pytest.raises(ValueError, match="why"), fenced([tmp_path], refuse):
        raise ValueError("why")
    ask(tmp_path)
