"""All slides of a study brought up to date: files are those of a fresh run, labels are decoded from the weights."""

import csv
import gzip
import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.concepts.bank.file import read_bank_file
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.learn.split import Splitting
from histofactor.errors import BankError, OptionError
from histofactor.export.seal import read_seal
from histofactor.export.weights import SparseWeights
from histofactor.masks.decode import label_pixels
from histofactor.runs import relabel_study as module
from histofactor.runs import task
from histofactor.runs.edit_study import artefacts, edit, merged, named, parted
from histofactor.runs.place import Place, claim
from histofactor.runs.relabel_study import relabel_study
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.shards import Shard, number_of
from histofactor.runs.source import Opening
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import SegmentOptions


def again(paths, out, **given):
    options = ManyOptions(opening=Opening(source_mpp=1.0), segment=SegmentOptions(views=1), **given)
    return [one.status for one in segment_many(paths, out, options=options)]


def statuses(made):
    return [one.status for one in made.outcomes]


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "status.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def table(folder):
    with (folder / "phenotypes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def regions_of(folder):
    with gzip.open(folder / "regions.geojson.gz") as file:
        return [one["properties"] for one in json.load(file)["features"]]


def labels_of(folder):
    return tifffile.imread(folder / "labels.ome.tif")


def assert_fresh_is_the_same(paths, out, monkeypatch):
    """An input that comes to the study now gets the labels that one has which was there before."""
    fresh = out.with_name("fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(out, fresh)
    shutil.rmtree(fresh / "a")
    with monkeypatch.context() as patch:
        patch.setattr(task, "segment_slide", segment_slide)
        assert again(paths, fresh) == ["done", "kept"]
    assert (labels_of(fresh / "a") == labels_of(out / "a")).mean() > 0.999


@pytest.fixture
def no_encoding(monkeypatch):
    monkeypatch.setattr(task, "segment_slide", lambda *arguments, **others: pytest.fail("encoded again"))


def test_nothing_to_do_writes_nothing(study):
    out, _ = study
    before = {name: content for name, content in contents(out).items() if not name.startswith((".runs", "run.json"))}
    assert statuses(relabel_study(out)) == ["kept"] * 2
    after = contents(out)
    assert {name: after[name] for name in before} == before
    assert len(list((out / ".runs").iterdir())) == 1


def test_names_colours_and_artefacts_are_those_of_a_fresh_run(study, tmp_path, no_encoding, monkeypatch):
    out, paths = study
    edit(out, None, named({1: "tumour", 3: "fat"}, {3: (1, 2, 3)}))
    edit(out, None, artefacts([2], name="pen"))
    assert statuses(relabel_study(out)) == ["done"] * 2
    assert again(paths, out) == ["kept"] * 2
    for folder in (out / "a", out / "b"):
        labels, rows = labels_of(folder), table(folder)
        counted = np.count_nonzero(labels) - np.count_nonzero(labels == 2)
        assert [row["name"] for row in rows[1:4]] == ["tumour", "pen", "fat"]
        assert rows[2]["fraction"] == ""
        assert [row["excluded"] for row in rows] == ["", "", "yes", *[""] * (len(rows) - 3)]
        for region in regions_of(folder):
            out_of_shares = region["measurements"]["label"] == 2
            assert (region["classification"]["name"] == "Artefact: pen") == out_of_shares
            assert region["metadata"].get("excluded") == ("yes" if out_of_shares else None)
        for row in (rows[1], *rows[3:]):
            share = np.count_nonzero(labels == int(row["label"])) / counted
            assert float(row["fraction"]) == pytest.approx(share, abs=1e-6)
        assert "excluded" in (folder / "report.html").read_text()
        assert read_seal(folder)["excluded"] == [2]
    cohort = table(out)
    assert {(row["share"], row["excluded"]) for row in cohort if row["name"] == "pen"} == {("", "yes")}
    assert {row["excluded"] for row in cohort if row["name"] != "pen"} == {""}
    monkeypatch.undo()
    shutil.copytree(out, tmp_path / "fresh")
    assert again(paths, tmp_path / "fresh", resume=False) == ["done"] * 2
    for name, content in contents(tmp_path / "fresh/a").items():
        assert contents(out / "a")[name] == content, name


def test_segment_brings_artefacts_up_to_date_too(study, no_encoding):
    out, paths = study
    edit(out, None, artefacts([2]))
    assert again(paths, out) == ["done"] * 2
    assert table(out / "a")[2]["fraction"] == ""
    assert statuses(relabel_study(out)) == ["kept"] * 2


def test_a_merge_is_decoded_from_the_weights_and_taken_back(study, no_encoding, monkeypatch):
    out, paths = study
    before = labels_of(out / "a")
    weights = SparseWeights(out / "a/weights.zarr")
    values = weights.rows(0, weights.header.g_size[1])
    edit(out, None, merged([((2, 5), "both")]))
    assert statuses(relabel_study(out)) == ["done"] * 2
    parts = [[0], [1, 4], [2], [3], [5], [6], [7]]
    W = np.stack([values[..., part].sum(-1) for part in parts], -1)
    stride = weights.header.stride_px
    expected, _ = label_pixels(W, (W.shape[0] * stride, W.shape[1] * stride))
    height, width = before.shape
    after = labels_of(out / "a")
    np.testing.assert_array_equal(after, expected[:height, :width] * (before > 0))
    seal = read_seal(out / "a")
    bank = read_bank_file(out / "concepts.safetensors").banks[7]
    assert (seal["bank"]["k"], seal["bank"]["sha256"]) == (7, bank_hash(bank))
    assert seal["weights_of"]["of"] == parts
    assert [row["name"] for row in table(out / "a")][1:] == list(bank.names)
    assert json.loads((out / "run.json").read_text())["k"] == 7
    assert again(paths, out) == ["kept"] * 2
    assert_fresh_is_the_same(paths, out, monkeypatch)
    edit(out, None, named({2: "tumour"}, {2: (9, 9, 9)}))  # names of labels, not of weights
    assert statuses(relabel_study(out)) == ["done"] * 2
    assert table(out / "a")[2]["name"] == "tumour"
    assert statuses(relabel_study(out, 4)) == ["done"] * 2  # of which K = 7 is no part: from the weights of K = 8
    assert_fresh_is_the_same(paths, out, monkeypatch)
    assert statuses(relabel_study(out, 8)) == ["done"] * 2
    assert (labels_of(out / "a") == before).mean() > 0.999
    assert "weights_of" not in read_seal(out / "a")
    assert statuses(relabel_study(out, 4)) == ["done"] * 2
    assert {row["label"] for row in table(out)} == {"1", "2", "3", "4"}
    assert_fresh_is_the_same(paths, out, monkeypatch)


def test_a_k_that_nobody_learned_is_cut_from_the_tree(study, no_encoding):
    out, paths = study
    assert statuses(relabel_study(out, 6)) == ["done"] * 2
    assert len(table(out / "a")) == 7
    assert again(paths, out) == ["kept"] * 2
    with pytest.raises(OptionError, match="no K = 900"):
        relabel_study(out, 900)


def test_clusters_merge_exactly(study):
    out, paths = study
    again(paths, out, method="cluster")
    before = labels_of(out / "b")
    edit(out, None, merged([((1, 4), "both")]))
    assert statuses(relabel_study(out)) == ["done"] * 2
    lut = np.array([0, 1, 2, 3, 1, 4, 5, 6, 7])
    relabelled = labels_of(out / "b")
    np.testing.assert_array_equal(relabelled, lut[before])
    shutil.rmtree(out / "b")
    assert again(paths, out, method="cluster") == ["kept", "done"]
    np.testing.assert_array_equal(labels_of(out / "b"), relabelled)  # what a fresh run gives


def test_what_needs_features_is_told_and_left_whole(study):
    out, paths = study
    edit(out, None, parted(Splitting(1, 2)))
    before = contents(out / "a")
    made = relabel_study(out)
    assert statuses(made) == ["waiting"] * 2
    assert [one.path for one in made.encode] == paths
    assert {one.why for one in made.encode} == {"the new concepts are no unions of its own"}
    assert made.encode[0].request["segment"]["views"] == 1
    assert made.encode[0].request["encoder"] == "embedded"
    assert contents(out / "a") == before


@pytest.mark.parametrize("left", [True, False])
def test_without_weights_a_merge_needs_features(study, left):
    out, paths = study
    if not left:
        for name in ("a", "b"):
            shutil.rmtree(out / name / "weights.zarr")
    again(paths, out, method="raw", outputs=Outputs(weights=False))  # those that are left are of another run
    edit(out, None, merged([((2, 5), "both")]))
    made = relabel_study(out)
    assert {one.why for one in made.encode} == {"its weights were not kept, or are of other concepts"}
    assert made.encode[0].request["method"] == "raw"


@pytest.mark.parametrize("what", ["merge", "color"])
def test_an_input_that_is_gone_is_shown_as_its_page_did(whole_study, tmp_path, what):
    _, paths = whole_study
    mine = [tmp_path / path.name for path in paths]
    for path, copy in zip(paths, mine, strict=True):
        shutil.copy(path, copy)
    again(mine, tmp_path / "out")
    change = merged([((2, 3), "both")]) if what == "merge" else named({}, {2: (250, 1, 1)})
    mine[0].unlink()
    edit(tmp_path / "out", None, change)
    overlay = (tmp_path / "out/a/overlay.png").read_bytes()
    made = relabel_study(tmp_path / "out")
    assert statuses(made) == ["done"] * 2
    assert any("is gone: overlay.png was drawn" in note for note in made.outcomes[0].notes)
    assert not made.outcomes[1].notes
    assert (tmp_path / "out/a/overlay.png").read_bytes() != overlay
    with Image.open(tmp_path / "out/a/overlay.png") as image:
        assert image.size == (320, 240)
    assert "both" in (tmp_path / "out/a/report.html").read_text() or what == "color"
    assert statuses(relabel_study(tmp_path / "out")) == ["kept"] * 2


def test_an_input_that_changed_is_encoded_again(whole_study, tmp_path):
    _, paths = whole_study
    mine = tmp_path / "a.png"
    shutil.copy(paths[0], mine)
    again([mine], tmp_path / "out")
    Image.fromarray(np.asarray(Image.open(paths[1]))).save(mine)
    made = relabel_study(tmp_path / "out")
    assert [one.why for one in made.encode] == ["the input has changed since"]


def test_one_that_fails_does_not_stop_the_others(study):
    out, _ = study
    content = bytearray((out / "a/labels.ome.tif").read_bytes())
    content[len(content) // 2] ^= 1
    (out / "a/labels.ome.tif").write_bytes(content)
    edit(out, None, merged([((2, 5), "both")]))
    made = relabel_study(out)
    assert statuses(made) == ["failed", "done"]
    assert "damaged" in made.outcomes[0].error
    assert ".work" not in made.outcomes[0].error  # it is told of the results, not of what they were staged in
    assert len(table(out / "b")) == 8
    assert json.loads((out / "a/status.json").read_text())["status"] == "done"  # what was there is there


def test_what_another_process_works_on_is_waited_for(study, monkeypatch):
    out, _ = study
    edit(out, None, named({1: "x"}, {}))
    order, held = [], claim(Place(out, "a"))
    held.__enter__()
    real = module.holding

    def holding(place, work):
        order.append(place.name)
        if len(order) == 3:
            held.__exit__(None, None, None)
        return real(place, work)

    monkeypatch.setattr(module, "holding", holding)
    monkeypatch.setattr("histofactor.runs.execute.local._POLL_S", 0.01)
    assert sorted(statuses(relabel_study(out))) == ["done"] * 2
    assert order == ["a", "b", "a"]


def test_shards_bring_what_is_theirs(study):
    out, paths = study
    edit(out, None, named({1: "x"}, {}))
    of = next(of for of in range(2, 50) if number_of(paths[0], of) != number_of(paths[1], of))
    done = {}
    for index in range(1, of + 1):
        made = relabel_study(out, shard=Shard(index, of), arguments=["relabel", "--shard", f"{index}/{of}"])
        done |= {one.input: index for one in made.outcomes if one.status == "done"}
    assert done == {str(path): number_of(path, of) for path in paths}
    assert all("x" in [row["name"] for row in table(out / name)] for name in "ab")
    runs = json.loads((out / "run.json").read_text())["runs"]
    assert [run["arguments"] for run in runs[1:]] == [["relabel", "--shard", f"i/{of}"]]  # one run, of all shards
    assert statuses(relabel_study(out)) == ["kept"] * 2


def test_inputs_with_other_concepts_stay(study, whole_study):
    out, paths = study
    segment_many(
        paths[:1], out, concepts="embedded", k=8,
        options=ManyOptions(opening=Opening(source_mpp=1.0), segment=SegmentOptions(views=1)),
    )  # fmt: skip
    edit(out, None, named({1: "x"}, {}))
    made = relabel_study(out)
    assert statuses(made) == ["kept", "done"]
    assert "segmented with other concepts, embedded" in made.outcomes[0].notes[0]


def test_folders_that_are_none(study, tmp_path):
    out, _ = study
    with pytest.raises(OptionError, match="no concepts of its own"):
        relabel_study(tmp_path)
    (out / "concepts.safetensors").write_bytes(b"x")
    with pytest.raises(BankError):
        relabel_study(out)
