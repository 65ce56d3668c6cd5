"""Every image is encoded once, and scored as if it were segmented anew."""

import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank.file import save_bank
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.encoders.build import load_encoder
from histofactor.errors import OptionError
from histofactor.evaluation import image_job
from histofactor.evaluation.data.datasets import load_dataset, read_truth
from histofactor.evaluation.data.split import Split
from histofactor.evaluation.run import EvaluateOptions, encodings, evaluate
from histofactor.evaluation.scores.labels import level0_labels
from histofactor.evaluation.scores.protocol import cross_validate
from histofactor.evaluation.scores.stability import DISTURBANCES
from histofactor.runs.learn_concepts import learn_concepts
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom

PATIENTS = {"a1": "A", "a2": "A", "b1": "B", "c1": "C"}


def test_every_image_is_encoded_once_for_all_methods_and_ks(tissue_folder, tiny_encoder, tmp_path, monkeypatch):
    encoded, done = [], []
    real = image_job.cache_features
    monkeypatch.setattr(
        image_job, "cache_features", lambda slide, segmenter: encoded.append(slide) or real(slide, segmenter)
    )
    rng = np.random.default_rng(0)
    banks = [new_bank(rng.gamma(0.5, 1.0, (k, 12)).astype(np.float32), tiny_encoder.spec.key) for k in (2, 3)]
    save_bank(banks, tmp_path / "b.safetensors")
    out = tmp_path / "out"
    results = evaluate(
        tissue_folder,
        out,
        encoder=tiny_encoder,
        concepts=tmp_path / "b.safetensors",
        options=EvaluateOptions(ks=(2, 3), methods=("project", "cluster")),
        on_image=done.append,
    ).results
    assert [(one.method, one.k) for one in results] == [("project", 2), ("project", 3), ("cluster", 2), ("cluster", 3)]
    assert len(encoded) == 4
    assert done == sorted(PATIENTS)
    assert [one.bank for one in results] == [bank_hash(bank) for bank in banks] * 2
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "evaluation.csv", "evaluation.html"}
    for one in results:  # as segmenting every image anew would score
        run = partial(segment, encoder=tiny_encoder, concepts=banks[one.k - 2], source_mpp=1.0, method=one.method)
        dataset = load_dataset(tissue_folder)
        again = cross_validate(
            dataset, lambda path, run=run: level0_labels(run(path, options=SegmentOptions(tissue=False))), one.k + 1
        )
        assert one.scores == replace(again, boundary_f1=one.scores.boundary_f1)
        assert 0 <= one.scores.boundary_f1 <= 1


def test_the_encoder_is_loaded_as_the_concepts_were_learned(tissue_folder, tmp_path):
    split = load_encoder("embedded", transform="split").spec
    save_bank([new_bank(np.eye(2, split.dim, dtype=np.float32), split.key)], tmp_path / "b.safetensors")
    (result,) = evaluate(tissue_folder, concepts=tmp_path / "b.safetensors", options=EvaluateOptions(ks=(2,))).results
    assert result.encoder.transform == "split"


def test_methods_with_concepts_of_every_image_have_scores_of_single_images(tissue_folder, tiny_encoder, tmp_path):
    done, options = [], EvaluateOptions(ks=(2,), methods=("single",))
    assert encodings(None, options) == 1  # there is nothing to learn
    found = evaluate(tissue_folder, tmp_path / "out", encoder=tiny_encoder, options=options, on_image=done.append)
    (result,), report = found.results, json.loads((tmp_path / "out/evaluation.json").read_text())
    assert done == sorted(PATIENTS)
    assert result.alone
    assert 0 < result.scores.image_nmi == np.mean([image.nmi for image in result.scores.images]) < 1
    assert np.isnan(result.scores.mean_iou)
    assert report["results"][0]["scores"]["mean_iou"] is None
    assert report["differences"] == []
    page = (tmp_path / "out/evaluation.html").read_text()
    assert f"<td>{result.scores.image_nmi:.3f}</td>" in page
    assert "no label has a class" in page
    assert "– to –" not in page
    assert "Best and worst images" not in page
    assert "<svg" not in page


def test_variants_of_the_paper_stand_beside_ours(tissue_folder, tiny_encoder, tmp_path):
    for seed, stem in enumerate(PATIENTS):
        tissue = phantom((96, 96), seed=seed, mpp=1.0)
        Image.fromarray(tissue.image).save(tissue_folder / f"images/{stem}.png")
        Image.fromarray(np.where(tissue.truth % 2, 4, 1).astype(np.uint8)).save(tissue_folder / f"labels/{stem}.png")
    done, options = [], EvaluateOptions(ks=(2, 6), fast=True, paper=True)
    found = evaluate(tissue_folder, tmp_path / "out", encoder=tiny_encoder, options=options, on_image=done.append)
    assert len(done) == 4 * encodings(None, options) == 4 * 5
    names = [(one.method, one.k) for one in found.results]
    assert names[:2] == [("project", 2), ("project", 6)]
    assert names[2:8] == [(f"paper {name}", k) for name in "abc" for k in (2, 6)]
    assert names[8:] == [("paper d", 12)]
    assert "; paper a, tiles lacks K = 2, 6, for there are fewer tiles" in found.protocol
    assert {one.encoder.transform for one in found.results[2:]} == {"relu"}
    assert [one.alone for one in found.results] == [one.method == "paper d" for one in found.results]
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert [one["method"] for one in report["differences"] if one["k"] == 6] == ["paper a", "paper b", "paper c"]
    page = (tmp_path / "out/evaluation.html").read_text()
    assert all(f"<td>{name}</td><td>{k}</td>" in page for name, k in names)


def test_an_image_with_too_few_tokens_for_the_paper_is_named(tissue_folder, tiny_encoder):
    with pytest.raises(OptionError, match=r"images/a1\.png: cannot factorize.* got X \(9, 12\), k = 12"):
        evaluate(tissue_folder, encoder=tiny_encoder, options=EvaluateOptions(ks=(2,), fast=True, paper=True))


def test_the_paper_has_one_encoder(tissue_folder):
    options = EvaluateOptions(ks=(2,), paper=True)
    with pytest.raises(OptionError, match="one encoder with --paper; got embedded,conch"):
        evaluate(tissue_folder, encoder="embedded, conch", options=options)


@pytest.mark.parametrize("options", [{"ks": ()}, {"methods": ()}])
def test_nothing_to_evaluate(folder, options):
    with pytest.raises(OptionError, match="nothing to evaluate"):
        evaluate(folder, options=EvaluateOptions(**options))


@pytest.mark.parametrize("options", [{"ks": (8, 8)}, {"methods": ("project", "project")}])
def test_nothing_is_evaluated_twice(folder, options):
    with pytest.raises(OptionError, match="is named twice"):
        evaluate(folder, options=EvaluateOptions(**options))


def test_a_fixed_split_is_scored_once_and_the_rest_left_out(tissue_folder, tiny_encoder, tiny_bank, tmp_path):
    done = []
    split = Split(train=("A",), test=("c1",))
    options = EvaluateOptions(ks=(6,), methods=("project", "cluster"), split=split)
    found = evaluate(
        tissue_folder,
        tmp_path / "out",
        encoder=tiny_encoder,
        concepts=tiny_bank,
        options=options,
        on_image=done.append,
    )
    results = found.results
    assert done == ["a1", "a2", "c1"]
    for one in results:
        assert [image.stem for image in one.scores.images] == ["c1"]
        assert 0 <= one.scores.boundary_f1 <= 1
        assert [point.images for point in one.scores.labelled_images] == [1, 2]
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert "in 2 images of 1 patient; scored is the result on 1 other image" in report["protocol"]
    assert report["dataset"]["images"] == 3
    assert [one["method"] for one in report["differences"]] == ["cluster"]
    page = (tmp_path / "out/evaluation.html").read_text()
    assert "in 2 images of 1 patient;" in page
    assert "a1, patient" not in page


def test_brackets_and_stability_are_told(tissue_folder, tiny_encoder, tmp_path):
    banks = [
        new_bank(np.random.default_rng(k).gamma(0.5, 1.0, (k, 12)).astype(np.float32), tiny_encoder.spec.key)
        for k in (2, 3)
    ]
    save_bank(banks, tmp_path / "b.safetensors")
    features = {"encoder": tiny_encoder, "concepts": tmp_path / "b.safetensors"}
    options = EvaluateOptions(ks=(2, 3), methods=("project", "cluster"), fast=True, stability=3)
    found = evaluate(tissue_folder, tmp_path / "out", options=options, **features)
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    told = [(one["name"], one["k"]) for one in report["brackets"]]
    assert told == [("colour", 2), ("colour", 3), ("linear probe", None), ("grid oracle", None)]
    assert report["brackets"][3]["mean_iou"] == found.brackets[3].mean_iou > 0.3
    for one, written in zip(found.results, report["results"], strict=True):
        assert one.stability == written["stability"]
        assert tuple(one.stability) == (DISTURBANCES if one.method == "project" else ())
        assert all(0 < share <= 1 for share in one.stability.values())
    page = (tmp_path / "out/evaluation.html").read_text()
    assert f"<td>{found.results[0].stability['mirrored']:.3f}</td>" in page
    assert f"<td>grid oracle</td><td></td><td><b>{found.brackets[3].mean_iou:.3f}</b></td>" in page
    plain = evaluate(tissue_folder, options=replace(options, stability=0), **features)
    assert plain.brackets == found.brackets
    assert [one.scores for one in plain.results] == [one.scores for one in found.results]
    assert not any(one.stability for one in plain.results)


def test_images_to_disturb_are_spread_evenly(tissue_folder, tiny_encoder, tiny_bank, monkeypatch):
    disturbed, real = [], image_job.kept_labels
    monkeypatch.setattr(
        image_job, "kept_labels", lambda rgb, *given: disturbed.append(rgb.shape[1]) or real(rgb, *given)
    )
    options = EvaluateOptions(ks=(6,), fast=True)
    widths = [read_truth(dataset, item).shape[1] for dataset in [load_dataset(tissue_folder)] for item in dataset.items]
    for stability, expected in ((2, widths[::2]), (9, widths)):
        disturbed.clear()
        disturbing = replace(options, stability=stability)
        evaluate(tissue_folder, encoder=tiny_encoder, concepts=tiny_bank, options=disturbing)
        assert disturbed == expected
    with pytest.raises(OptionError, match="images to disturb is out of range"):
        evaluate(tissue_folder, options=replace(options, stability=-1))


def test_a_library_that_is_missing_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(OptionError, match="evaluation needs scikit-learn") as error:
        evaluate(tmp_path / "not even looked at")
    assert error.value.mend == "pip install 'histofactor[evaluate]'"


def test_one_patient_is_too_few_and_is_told_before_any_work(folder):
    (folder / "images.csv").write_text("name,patient\n" + "".join(f"{stem},A\n" for stem in PATIENTS))
    with pytest.raises(OptionError, match="at least two"):
        cross_validate(load_dataset(folder), lambda path: pytest.fail("worked"), 2)


def test_concepts_are_learned_where_none_ship_and_labels_are_not_looked_at(tissue_folder, tiny_encoder):
    for seed, stem in enumerate(PATIENTS):
        tissue = phantom((96, 96), seed=seed, mpp=1.0)
        Image.fromarray(tissue.image).save(tissue_folder / f"images/{stem}.png")
        Image.fromarray(np.where(tissue.truth % 2, 4, 1).astype(np.uint8)).save(tissue_folder / f"labels/{stem}.png")
    options = EvaluateOptions(ks=(3, 2), fast=True)
    found = evaluate(tissue_folder, encoder=tiny_encoder, options=options)
    assert found.protocol.endswith("; concepts learned from all 4 images without labels, held-out ones too, seed 0")
    for path in (tissue_folder / "labels").iterdir():  # other labels, the same concepts
        with Image.open(path) as image:
            mirrored = np.asarray(image)[::-1].copy()
        Image.fromarray(mirrored).save(path)
    again = evaluate(tissue_folder, encoder=tiny_encoder, options=options)
    assert [one.bank for one in found.results] == [one.bank for one in again.results]
    assert [one.scores.mean_iou for one in found.results] != [one.scores.mean_iou for one in again.results]
    images = [item.image for item in found.dataset.items]
    how = LearnOptions(opening=Opening(source_mpp=1.0), windows=0, encoder=SegmentOptions(tissue=False, views=1))
    learned = learn_concepts(images, [2, 3, 4, 8, 16], encoder=tiny_encoder, options=how).banks  # as `segment` does
    assert [one.bank for one in found.results] == [bank_hash(learned[1]), bank_hash(learned[0])]


def test_a_working_mpp_and_one_for_images_that_lack_theirs(tissue_folder, tiny_encoder, tiny_bank, monkeypatch):
    seen = []
    real = image_job.cache_features
    monkeypatch.setattr(
        image_job, "cache_features", lambda slide, setup: seen.append((slide.info.mpp, setup.mpp)) or real(slide, setup)
    )
    options = EvaluateOptions(ks=(6,), fast=True, mpp=2.0, opening=Opening(source_mpp=1.5))
    found = evaluate(tissue_folder, encoder=tiny_encoder, concepts=tiny_bank, options=options)
    assert {*seen} == {(1.5, 2.0)}
    assert found.dataset.mpp == 1.5
    assert "learned" not in found.protocol
