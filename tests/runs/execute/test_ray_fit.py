"""A machine that has another version, or does not see what it must, is told in one message."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

import histofactor
from histofactor.errors import EncoderError, OutputError
from histofactor.runs.execute.ray_fit import Hello, fault_of, must_see, on_host, spread

KILLED = """
import os, sys
from pathlib import Path
from histofactor.runs.execute.ray_fit import must_see
with must_see(Path(sys.argv[1]), []):
    os._exit(9)
"""
HELLO = Hello("node", "gpu7", 12, "", {"histofactor": histofactor.__version__}, [])


def test_one_that_fits():
    assert fault_of(HELLO) is None


@pytest.mark.parametrize(("theirs", "got"), [("0.0.1", "0.0.1"), ("", "none")])
def test_another_version(theirs, got):
    fault = fault_of(replace(HELLO, versions={"histofactor": theirs}))
    assert fault.what == "gpu7 has another histofactor than this machine"
    assert fault.got == got
    assert f"histofactor[ray]=={histofactor.__version__}" in fault.mend


def test_what_is_not_seen():
    fault = fault_of(replace(HELLO, unseen=["/data/a.svs", "/data/b.svs"]))
    assert fault.what == "gpu7 does not see /data/a.svs"
    assert fault.got == "2 files or folders that are not there"


def test_what_must_be_seen_is_there_meanwhile(tmp_path):
    there, out = tmp_path / "a.png", tmp_path / "new/out"
    there.touch()
    with must_see(out, [there, tmp_path / "gone.png"]) as seen:
        mark, *inputs = seen
        assert inputs == [str(there)]
        assert [str(path) for path in (out / ".work/seen").iterdir()] == [mark]
    assert list(out.iterdir()) == []
    killed = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert killed.returncode == 9
    assert len(list((out / ".work/seen").iterdir())) == 1
    with must_see(out, []) as seen:
        assert [str(path) for path in (out / ".work/seen").iterdir()] == seen
    assert list(out.iterdir()) == []
    with must_see(None, [there]) as seen:
        assert seen == [str(there)]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), must_see(tmp_path / "file", []):
        pass


def test_the_machine_is_named():
    error = on_host(EncoderError("no weights", expected="some", got="none", mend="copy them"), HELLO)
    assert type(error) is EncoderError
    assert str(error) == "no weights (on gpu7); expected some; got none; copy them"
    other = ValueError("else")
    assert on_host(other, HELLO) is other


def test_few_of_many_spread_evenly():
    assert spread(3) == [0, 1, 2]
    few = spread(1000)
    assert len(few) == 64
    assert {b - a for a, b in pairwise(few)} == {15, 16}
