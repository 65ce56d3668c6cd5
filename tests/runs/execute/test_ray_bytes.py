"""A study by two workers of Ray is that of one process, byte by byte, and one poisoned input fails alone."""

import json

import pytest
from PIL import Image

from histofactor.cli.segment import summarize
from histofactor.runs.execute.engine import Engine
from histofactor.runs.outcome import Observer, Reporter
from histofactor.runs.relabel_study import relabel_study
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.runs.status import read_status
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom
from ray_jobs import PoisonOpening

TIMED = {"run.json", "report.html", "phenotypes.csv", "phenotypes.parquet", "concepts.journal.jsonl"}


@pytest.fixture
def ray_engine(ray_cluster):
    return Engine(name="ray", address=ray_cluster.address, workers=2)


def everything(out):
    """Bytes of a study, but for what tells when it was made, and what is derived from that."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != ".runs")
    kept = (path for path in files if path.name != "status.json" and not (path.parent == out and path.name in TIMED))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


def test_the_same_bytes(ray_engine, tmp_path):
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for seed, path in enumerate(paths):
        Image.fromarray(phantom((240 + 40 * seed, 200), seed=seed, mpp=1.0).image).save(path)
    begun = []
    for name, engine in (("one", Engine()), ("two", ray_engine)):
        observer = Observer(Reporter(on_input=lambda *told: begun.append(told)))
        options = ManyOptions(
            opening=Opening(source_mpp=1.0), segment=SegmentOptions(views=1), engine=engine, observer=observer
        )
        outcomes = segment_many(paths, tmp_path / name / "out", k=8, options=options)
        assert [(one.input, one.status, one.error) for one in outcomes] == [(str(path), "done", "") for path in paths]
    assert len(begun) == 2 * (4 + 4)  # learned from, and segmented
    made = everything(tmp_path / "two/out")
    assert len([name for name in made if name.endswith("weights.zarr/zarr.json")]) == 4
    assert made == everything(tmp_path / "one/out")
    for name, engine in (("one", Engine()), ("two", ray_engine)):
        relabelled = relabel_study(tmp_path / name / "out", 4, engine=engine)
        assert [one.status for one in relabelled.outcomes] == ["done"] * 4
    assert everything(tmp_path / "two/out") == everything(tmp_path / "one/out") != made


def test_a_poisoned_input_fails_alone(ray_engine, tmp_path, capsys):
    paths = [tmp_path / f"{number}.png" for number in range(9)] + [tmp_path / "poison.png"]
    for path in paths:
        Image.fromarray(phantom((64, 64), seed=1, mpp=1.0).image).save(path)
    options = ManyOptions(
        opening=PoisonOpening(source_mpp=1.0),
        segment=SegmentOptions(views=1, tissue=False),
        outputs=Outputs(),
        engine=ray_engine,
    )
    outcomes = segment_many(paths, tmp_path / "out", concepts="embedded", k=8, options=options)
    assert [one.status for one in outcomes] == ["done"] * 9 + ["failed"]
    cause = "its worker ended without a word; tried 2 times"
    assert outcomes[-1].error == cause
    told = json.loads((tmp_path / "out/run.json").read_text())["inputs"]
    assert [(one["status"], one["error"]) for one in told] == [("done", "")] * 9 + [("failed", cause)]
    assert read_status(tmp_path / "out/poison").outcome.error == cause
    assert summarize(outcomes, tmp_path / "out") == 1
    assert "poison.png: its worker ended without a word" in capsys.readouterr().err
