"""Shards: every input belongs to one, which hangs on the input alone; together they do what one process does."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.errors import OptionError
from histofactor.runs.outcome import Reporter
from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
from histofactor.runs.shards import Shard, number_of, shard_of
from histofactor.runs.source import Opening
from histofactor.runs.study import BANK
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom

NAMES = st.lists(st.text("abcé ./-", min_size=1, max_size=12), min_size=1, max_size=30, unique=True)


@given(NAMES, st.integers(1, 40))
def test_every_input_belongs_to_one(names, of):
    for name in names:
        path = Path("/data") / name
        assert sum(Shard(index, of).has(path) for index in range(1, of + 1)) == 1
        assert Shard(number_of(path, of), of).has(path)


@given(NAMES, NAMES, st.integers(1, 8))
def test_more_inputs_move_none(names, more, of):
    def shares(listed):
        return {name: number_of(Path("/data") / name, of) for name in listed}

    before, after = shares(names), shares([*more, *reversed(names)])
    assert {name: after[name] for name in names} == before


def test_shares_are_about_equal_and_are_pinned():
    paths = [Path(f"/data/{number}.svs") for number in range(8000)]
    counts = [sum(Shard(index, 8).has(path) for path in paths) for index in range(1, 9)]
    assert sum(counts) == 8000
    assert max(counts) - min(counts) < 200
    assert [number_of(path, 8) for path in paths[:8]] == [
        6,
        4,
        3,
        5,
        8,
        5,
        8,
        1,
    ]  # another order would do an archive anew


def test_the_option_is_read():
    assert shard_of("3/8", {}) == (Shard(3, 8), "")
    assert shard_of("1/1", {}) == (Shard(1, 1), "")
    assert shard_of(None, {}) == (None, "")
    assert str(Shard(3, 8)) == "3/8"


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1/0", "a/b", "", "1", "1/", "/4", "1/4/2", "-1/4", "1.0/4", "٣/٤", "1/4 "]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(OptionError, match="--shard is no share of a run") as raised:
        shard_of(text, {})
    assert "3/8" in str(raised.value)


def slurm(task, count, lowest=None, step=None):
    told = {"ID": task, "COUNT": count, "MIN": lowest, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in told.items() if value is not None}


@pytest.mark.parametrize(
    ("array", "steps"),
    [((0, 1, 2, 3), 1), ((1, 2, 3, 4), 1), ((7, 8, 9), 1), ((1, 3, 5, 7), 2), ((0, 10, 20), 10), ((5,), 1)],
)
def test_arrays_of_slurm_wherever_they_begin(array, steps):
    found = [shard_of(None, slurm(task, len(array), array[0], steps))[0] for task in array]
    assert found == [Shard(index, len(array)) for index in range(1, len(array) + 1)]


def test_where_a_shard_was_read_is_told():
    shard, note = shard_of(None, slurm(2, 4, 0, 1))
    assert shard == Shard(3, 4)
    assert note == "shard 3/4 of the inputs, read from the job array of Slurm; --shard 1/1 works on all"
    shard, note = shard_of("1/2", slurm(2, 4, 0, 1))
    assert shard == Shard(1, 2)
    assert note == "shard 1/2 as --shard says, although this is task 3/4 of a job array of Slurm"
    assert shard_of("3/4", slurm(2, 4, 0, 1)) == (Shard(3, 4), "")
    assert shard_of("1/2", slurm("x", 4)) == (Shard(1, 2), "")
    assert shard_of(None, {"SLURM_ARRAY_TASK_ID": "3"}) == (None, "")  # no array of known size


@pytest.mark.parametrize(
    "environ", [slurm(9, 3, 1, 1), slurm("x", 3), slurm(1, "", 1), slurm(4, 3, 1, 2), slurm(0, 3, 1)]
)
def test_arrays_that_tell_no_shard_are_refused(environ):
    with pytest.raises(OptionError, match="Slurm") as raised:
        shard_of(None, environ)
    assert "give --shard i/n" in str(raised.value)


def test_all_shards_tell_the_same_command():
    assert Shard(2, 8).joined(["segment", "2/8", "--shard", "2/8", "-o", "x"]) == [
        "segment", "2/8", "--shard", "i/8", "-o", "x",
    ]  # fmt: skip
    assert Shard(2, 8).joined(["segment", "--shard=2/8", "2/8"]) == ["segment", "--shard=i/8", "2/8"]
    assert Shard(2, 8).joined(["segment", "2/8"]) == ["segment", "2/8"]


@pytest.fixture
def images(tmp_path):
    """Six inputs of which each of three shards has one at least; shards hang on paths, and those on where tests run."""
    folders = ([tmp_path / f"in{number}" / f"{name}.png" for name in "abcdef"] for number in itertools.count())
    paths = next(paths for paths in folders if {number_of(path, 3) for path in paths} == {1, 2, 3})
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths):
        Image.fromarray(phantom((200, 160), seed=seed, mpp=1.0).image).save(path)
    return paths


def segmented(inputs, out, encoder, notes=None, **options):
    reporter = Reporter(on_note=(notes if notes is not None else []).append)
    many = ManyOptions(
        opening=Opening(source_mpp=1.0), segment=SegmentOptions(views=1), observer=Observer(reporter), **options
    )
    return segment_many(inputs, out, encoder=encoder, options=many)


def contents(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in out.iterdir()
        if folder.is_dir() and not folder.name.startswith(".") and folder.name != "concepts.history"
        for path in folder.rglob("*")
        if path.is_file() and path.name != "status.json"
    }


def test_three_shards_do_what_one_process_does(images, tiny_encoder, tmp_path):
    segmented(images, tmp_path / "alone" / "out", tiny_encoder)
    out, notes, done = tmp_path / "shared" / "out", [], []
    for index in (2, 1, 3):
        outcomes = segmented(
            images, out, tiny_encoder, notes, shard=Shard(index, 3), arguments=["--shard", f"{index}/3"]
        )
        done += [outcome.input for outcome in outcomes]
        assert all(Shard(index, 3).has(Path(outcome.input)) for outcome in outcomes)
    assert sorted(done) == sorted(map(str, images))
    assert sum("is used" in note for note in notes) == 1
    whole = contents(tmp_path / "alone" / "out")
    assert len(whole) > 6 * 8
    assert contents(out) == whole
    assert (out / BANK).read_bytes() == (tmp_path / "alone" / "out" / BANK).read_bytes()
    told = json.loads((out / "run.json").read_text())
    assert [one["status"] for one in told["inputs"]] == ["done"] * 6
    assert [one["done"] for one in told["shards"]] == [one["inputs"] for one in told["shards"]]
    assert len(told["runs"]) == 1  # shards are of one run
    assert told["arguments"] == ["--shard", "i/3"]
    assert not (out / ".work").exists()


def test_a_shard_without_inputs_ends_well(images, tiny_encoder, tmp_path):
    notes, of = [], 50
    empty = next(index for index in range(1, of + 1) if not any(Shard(index, of).has(path) for path in images))
    assert segmented(images, tmp_path / "out", tiny_encoder, notes, shard=Shard(empty, of)) == []
    assert notes == [f"shard {empty}/{of} has none of the 6 inputs: there is nothing to do for it"]
    assert not (tmp_path / "out").exists()


def test_shards_learn_nothing_anew(images, tiny_encoder, tmp_path):
    with pytest.raises(OptionError, match="--relearn is for one process"):
        segmented(images, tmp_path / "out", tiny_encoder, shard=Shard(1, 3), relearn=True)


def test_an_array_of_three_tasks_at_a_time(images, tmp_path):
    code = "import sys; from histofactor.cli.main import main; sys.argv[0] = 'histofactor'; main()"
    inputs = list(map(str, images))

    def command(out, *more):
        options = ["-o", str(tmp_path / out), "--fast", "--source-mpp", "1", *more]
        return [sys.executable, "-c", code, "segment", *inputs, *options]

    tasks = [
        subprocess.Popen(
            command("shared/out", "--log", str(tmp_path / "log.jsonl")),
            env={**os.environ, **slurm(task, 3, 4, 1)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for task in (4, 5, 6)
    ]  # fmt: skip
    told = [task.communicate(timeout=300) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0, 0], told
    assert sum("is used" in err for _, err in told) == 1
    for index, (out, err) in enumerate(told, 1):
        own = sum(Shard(index, 3).has(path) for path in images)
        assert f"shard {index}/3 of the inputs, read from the job array of Slurm" in err
        assert f"{own} of {own} segmented (shard {index}/3 of 6 inputs)" in out
        lines = [json.loads(line) for line in (tmp_path / f"log-{index}-of-3.jsonl").read_text().splitlines()]
        assert sum(line["event"] == "outcome" for line in lines) == own
    segmented(images, tmp_path / "alone/out", "embedded")
    assert contents(tmp_path / "shared/out") == contents(tmp_path / "alone/out")
    report = json.loads((tmp_path / "shared/out/run.json").read_text())
    assert [one["done"] for one in report["shards"]] == [one["inputs"] for one in report["shards"]]
    assert not (tmp_path / "shared/out/.work").exists()
