"""One input from file to results: what decides whether it is worked, kept or written again, and what is told of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.base.names import OME_ZARR, SEAL, WEIGHTS
from histofactor.errors import OptionError
from histofactor.recipe import digest
from histofactor.runs import task as module
from histofactor.runs.place import Place, claim, read_seal
from histofactor.runs.results import Outputs
from histofactor.runs.source import Opening
from histofactor.runs.status import read_status
from histofactor.runs.task import Request, Task, labels_recipe, outputs_recipe, run_one
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.warnings import NO_TISSUE


@pytest.fixture
def request_(tiny_encoder, tiny_bank):
    return Request(encoder=tiny_encoder, concepts=tiny_bank)


@pytest.fixture
def task(tissue, tmp_path):
    path = tmp_path / "case 1.png"
    Image.fromarray(tissue[:96, :128]).save(path)
    return Task(path, Place(tmp_path / "out", "case 1"), opening=Opening(source_mpp=1.0), run="first")


def test_an_input_is_worked_sealed_and_told(task, request_):
    segmenter = request_.load()
    outcome = run_one(task, segmenter)
    assert (outcome.status, outcome.folder, outcome.error) == ("done", "case 1", "")
    assert read_status(task.place.results) is not None
    assert read_status(task.place.results).outcome == outcome
    assert read_status(task.place.results).run == "first"
    sealed = read_seal(task.place)
    assert (sealed.labels, sealed.fault) == (digest(labels_recipe(task, segmenter)), "")
    assert sealed.outputs == digest(outputs_recipe(task, segmenter))
    assert not task.place.work.exists()
    assert not task.place.lock.exists()


def test_what_is_done_is_kept_and_done_anew_if_asked(task, request_, monkeypatch):
    segmenter = request_.load()
    run_one(task, segmenter)
    worked = []
    original = module.segment_slide
    monkeypatch.setattr(module, "segment_slide", lambda *given, **more: worked.append(1) or original(*given, **more))
    assert run_one(replace(task, run="second"), segmenter).status == "kept"
    assert read_status(task.place.results).run == "first"  # who made the results
    assert worked == []
    assert run_one(replace(task, resume=False), segmenter).status == "done"
    assert worked == [1]


def test_files_that_are_asked_for_are_written(task, request_):
    segmenter = request_.load()
    run_one(task, segmenter)
    asked = replace(task, outputs=Outputs(weights=True, ome_zarr=True))
    assert run_one(asked, segmenter).status == "done"
    assert (task.place.results / WEIGHTS).is_dir()
    assert (task.place.results / OME_ZARR).is_dir()
    assert json.loads((task.place.results / SEAL).read_text())["digests"].keys() >= {WEIGHTS, OME_ZARR}


def test_who_else_works_on_it_is_left_to_it(task, request_):
    with claim(task.place):
        assert run_one(task, request_.load()) is None
    assert not task.place.results.exists()


def lose(place):
    """Another process takes over, as after a long stop."""
    (token,) = place.lock.iterdir()
    token.unlink()


def test_who_lost_its_lease_leaves_the_input_to_the_new_holder(task, request_, monkeypatch):
    segmenter, real = request_.load(), module.write_results
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_results", lambda *given: (lose(task.place), real(*given)))
        assert run_one(task, segmenter) is None
    assert read_status(task.place.results) is None
    assert not (task.place.results / SEAL).exists()
    assert not (task.place.results / "labels.ome.tif").exists()
    assert (task.place.work / "work.json").exists()  # for the new holder to go on with
    assert run_one(task, segmenter).status == "done"
    assert not task.place.out.joinpath(".work").exists()


def test_what_goes_wrong_once_the_lease_is_lost_is_no_failure(task, request_, monkeypatch):
    def fail(*given, **more):
        lose(task.place)
        raise FileNotFoundError("a band is gone: the new holder cleared it")

    segmenter = request_.load()
    with monkeypatch.context() as patch:
        patch.setattr(module, "segment_slide", fail)
        assert run_one(task, segmenter) is None
    assert read_status(task.place.results) is None


def test_an_error_is_told_in_the_outcome_and_in_the_status(task, request_):
    task.path.write_text("no image")
    outcome = run_one(task, request_.load())
    assert (outcome.status, outcome.folder, outcome.traceback) == ("failed", "", "")
    assert "case 1.png" in outcome.error
    assert read_status(task.place.results).outcome == outcome
    assert not (task.place.results / SEAL).exists()


def test_an_error_that_nobody_foresaw_keeps_its_traceback(task, request_, monkeypatch):
    def fail(*given, **more):
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "segment_slide", fail)
    outcome = run_one(task, request_.load())
    assert (outcome.status, outcome.error) == ("failed", "RuntimeError: a bug")
    assert "in fail" in outcome.traceback


def test_a_status_that_cannot_be_written_fails_the_input(task, request_, tmp_path):
    (tmp_path / "out").write_text("in the way")
    outcome = run_one(task, request_.load())
    assert outcome.status == "failed"
    assert "cannot write" in outcome.error


def test_an_input_is_not_written_over(task, request_):
    inside = task.place.results / "case 1.png"
    inside.parent.mkdir(parents=True)
    task.path.rename(inside)
    before = inside.read_bytes()
    outcome = run_one(replace(task, path=inside), request_.load())
    assert outcome.status == "failed"
    assert "would be written over it" in outcome.error
    assert inside.read_bytes() == before


def test_an_image_without_tissue_says_so(task, request_):
    Image.fromarray(np.full((96, 128, 3), 250, np.uint8)).save(task.path)
    assert NO_TISSUE in run_one(task, request_.load()).notes


def test_labels_depend_on_what_decides_px_alone(task, request_, tissue, tmp_path):
    def recipe(task=task, **changes):
        return digest(labels_recipe(task, replace(request_, **changes).load()))

    mask = tmp_path / "mask.png"
    Image.fromarray(np.full((96, 128), 255, np.uint8)).save(mask)
    bank = request_.concepts
    others = [
        recipe(replace(task, opening=Opening(source_mpp=0.5))),
        recipe(replace(task, opening=Opening(source_mpp=1.0, series=1))),
        recipe(mpp=2.0),
        recipe(method="cluster"),
        recipe(concepts=replace(bank, vectors=bank.vectors[::-1].copy())),
        recipe(options=SegmentOptions(views=1)),
        recipe(options=SegmentOptions(tissue=False)),
        recipe(options=SegmentOptions(tissue_mask=mask)),
        recipe(options=SegmentOptions(unlike=0.5)),
    ]
    assert len({recipe(), *others}) == len(others) + 1
    elsewhere = replace(task, place=Place(tmp_path / "x", "y"), outputs=Outputs(weights=True), resume=False, run="z")
    assert recipe(elsewhere) == recipe()
    assert recipe(concepts=replace(bank, names=tuple("abcdef"))) == recipe()
    before = recipe()
    Image.fromarray(tissue[1:97, :128]).save(task.path)
    assert recipe() != before


def test_files_depend_on_names_colors_and_what_is_asked_for(task, request_):
    bank, segmenter = request_.concepts, request_.load()
    plain = outputs_recipe(task, segmenter)
    assert (plain.files, plain.names, plain.colors) == ((), bank.names, bank.colors)
    asked = outputs_recipe(replace(task, outputs=Outputs(weights=True, ome_zarr=True)), segmenter)
    assert asked == replace(plain, files=(WEIGHTS, OME_ZARR))
    own = replace(request_, concepts=None, method="single").load()
    assert (outputs_recipe(task, own).names, outputs_recipe(task, own).colors) == ((), ())


def test_a_request_is_checked_as_it_is_loaded(request_):
    with pytest.raises(OptionError, match="k ≥ 1"):
        replace(request_, k=0).load()
    assert replace(request_, method="cluster", mpp=2.0).load().setup.mpp == 2.0
