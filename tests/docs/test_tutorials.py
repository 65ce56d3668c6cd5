"""The tutorials are executed, each in a folder of its own, and what the pages show of them is light."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from docs.pages import ROOT

FOLDER = ROOT / "docs/tutorials"
TUTORIALS = sorted(FOLDER.glob("*.ipynb"))
SHOWN = {  # what each ends up with, whatever the numbers
    "first-map": ["<img alt=", "image/jpeg", "mm²"],
    "own-concepts": ["8 concepts", "stroma", "lymphocytes", "5 names"],
    "how-good": ["mean IoU", "linear probe", "image/jpeg"],
}


def text_of(notebook):
    """All that its cells give."""
    return "".join(f"{key}{value}" for cell in notebook.cells for one in cell.get("outputs", ())
                   for key, value in (one.get("data") or {one.output_type: one.get("text", "")}).items())  # fmt: skip


def test_there_is_one_for_each():
    assert {path.stem for path in TUTORIALS} == {*SHOWN}


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # for the commands that it calls
    environment = os.environ | {"PATH": here, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, FOLDER / "execute.py", path.name, "--out", tmp_path]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    shown = text_of(nbformat.read(tmp_path / path.name, as_version=4))
    for words in SHOWN[path.stem]:
        assert words in shown


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_what_is_kept_of_it_is_light_and_of_no_machine(path):
    assert path.stat().st_size < 250_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    shown = text_of(notebook)
    for words in SHOWN[path.stem]:
        assert words in shown
    shown = re.sub(r"base64,[\w+/=]+|image/jpeg[\w+/=\n]+", "", shown)
    assert not re.search(r"/\w[\w.-]*/|[A-Z]:\\", shown)  # no path of folders, of whatever machine
