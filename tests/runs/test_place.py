"""Locks hold between processes and die with them; a recipe says what is still valid."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from histofactor.errors import OutputError
from histofactor.runs.place import Place, claim, clear, read_seal, recipe_hash, seal, unseal
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions, prepare

HOLDER = """
import sys, time
from pathlib import Path
from histofactor.runs.place import Place, claim
with claim(Place(Path(sys.argv[1]), "a")) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def engine(tiny_encoder, tiny_bank):
    return prepare(encoder=tiny_encoder, concepts=tiny_bank)


def test_one_holder_at_a_time(tmp_path):
    with claim(Place(tmp_path, "a")) as first, claim(Place(tmp_path, "a")) as second:
        assert first
        assert not second
        with claim(Place(tmp_path, "b")) as other:
            assert other
    with claim(Place(tmp_path, "a")) as again:
        assert again
    assert list(tmp_path.iterdir()) == []


def test_a_lock_dies_with_its_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "True"
    with claim(Place(tmp_path, "a")) as mine:
        assert not mine
    holder.kill()
    holder.wait()
    holder.stdout.close()
    time.sleep(0.05)
    with claim(Place(tmp_path, "a")) as mine:
        assert mine


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"), claim(Place(tmp_path / "file", "a")):
        pass


def test_a_seal_is_for_one_recipe(tmp_path, engine, tissue):
    place = Place(tmp_path, "a")
    assert read_seal(place, "x") is None
    result = segment(tissue, encoder=engine.encoder, concepts=engine.bank, source_mpp=1.0)
    seal(place, result, "x")
    assert read_seal(place, "x")["bank"]["k"] == 6
    assert read_seal(place, "y") is None
    (place.results / "segmentation.json").write_text("{broken")
    assert read_seal(place, "x") is None
    unseal(place)
    assert not (place.results / "segmentation.json").exists()
    place.work.mkdir(parents=True)
    (place.work / "band").write_text("x")
    clear(place)
    assert not place.work.exists()


def test_everything_that_matters_changes_the_recipe(tmp_path, engine):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    spec, options = engine.encoder.spec, engine.options
    other_bank = replace(engine.bank, names=("x", *engine.bank.names[1:]))
    changed = [
        (tmp_path / "b.png", 1.0, engine, []),
        (path, 0.5, engine, []),
        (path, 1.0, replace(engine, bank=other_bank), []),
        (path, 1.0, replace(engine, method="cluster"), []),
        (path, 1.0, replace(engine, mpp=2.0), []),
        (path, 1.0, replace(engine, unlike=0.5), []),
        (path, 1.0, replace(engine, unlike=0.6), []),
        (path, 1.0, replace(engine, options=replace(options, tissue=False)), []),
        (path, 1.0, replace(engine, options=SegmentOptions(tissue_mask="m.png")), []),
        (path, 1.0, replace(engine, encoder=replace(engine.encoder, spec=replace(spec, layer="x"))), []),
        (path, 1.0, engine, ["more"]),
    ]
    hashes = [recipe_hash(path, 1.0, engine, []), *(recipe_hash(*arguments) for arguments in changed)]
    path.write_bytes(b"another")
    hashes.append(recipe_hash(path, 1.0, engine, []))
    assert len(set(hashes)) == len(hashes)
    assert recipe_hash(path, 1.0, engine, []) == hashes[-1]
    assert json.dumps(hashes)
