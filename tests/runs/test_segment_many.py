"""Many inputs: every file of the design is written, a failure stays alone, nothing is lost."""

import csv
import gzip
import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.base.clock import Clock
from histofactor.errors import OutputError, UnreadableRegion
from histofactor.runs import source
from histofactor.runs import task as module
from histofactor.runs.execute import local
from histofactor.runs.outcome import Reporter
from histofactor.runs.place import Place, claim
from histofactor.runs.results import Outputs
from histofactor.segmentation import encoding
from histofactor.segmentation.setup import SegmentOptions
from histofactor.segmentation.store import DiskStore
from histofactor.slides.reader import PlainImage
from histofactor.slides.warnings import NO_TISSUE

MADE = [
    ".preview.json", "labels.ome.tif", "overlay.png", "phenotypes.csv", "preview.jpg", "regions.geojson.gz",
    "report.html", "segmentation.json",
]  # fmt: skip
FILES = sorted([*MADE, "status.json"])


@pytest.fixture
def image(tmp_path, tissue):
    path = tmp_path / "in" / "tissue.png"
    path.parent.mkdir()
    Image.fromarray(tissue).save(path)
    return path


@pytest.fixture
def tall(tmp_path, tissue):
    """An image of many rows of windows."""
    path = tmp_path / "in" / "tall.png"
    path.parent.mkdir()
    Image.fromarray(np.tile(tissue, (3, 1, 1))).save(path)
    return path


def run_of(out):
    return json.loads((out / "run.json").read_text())


def test_everything_is_written(segmented, image, tmp_path, tissue):
    out = tmp_path / "out"
    (outcome,) = segmented([image], out)
    assert outcome.status == "done"
    assert sorted(path.name for path in out.iterdir()) == [
        ".runs",
        "phenotypes.csv",
        "phenotypes.parquet",
        "report.html",
        "run.json",
        "tissue",
    ]
    assert sorted(path.name for path in (out / "tissue").iterdir()) == FILES
    labels = tifffile.imread(out / "tissue/labels.ome.tif")
    assert labels.shape == tissue.shape[:2]
    with (out / "tissue/phenotypes.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = "label name color area_px area_um2 fraction mean_margin mean_residual hint excluded"
    assert list(rows[0]) == columns.split()
    assert [int(row["area_px"]) for row in rows] == np.bincount(labels.ravel(), minlength=7).tolist()
    recipe = json.loads((out / "tissue/segmentation.json").read_text())
    assert recipe["bank"]["k"] == 6
    assert recipe["encoder"]["name"] == "tiny"
    with gzip.open(out / "tissue/regions.geojson.gz") as file:
        assert json.load(file)["type"] == "FeatureCollection"
    with Image.open(out / "tissue/overlay.png") as overlay:
        assert overlay.size == (400, 300)
    assert "tissue.png" in (out / "report.html").read_text()
    run = run_of(out)
    assert run["versions"]["numpy"] == np.__version__
    assert run["inputs"][0]["folder"] == "tissue"


def test_a_second_run_writes_the_same_bytes(segmented, image, tmp_path):
    for name in ("a", "b"):
        segmented([image], tmp_path / name)
    for file in MADE:
        assert (tmp_path / "a/tissue" / file).read_bytes() == (tmp_path / "b/tissue" / file).read_bytes()


def test_a_failing_input_does_not_stop_the_others(segmented, image, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(image.read_bytes()[:500])
    missing = tmp_path / "missing.png"
    out = tmp_path / "out"
    outcomes = segmented([broken, image, missing], out)
    assert [outcome.status for outcome in outcomes] == ["failed", "done", "failed"]
    inputs = run_of(out)["inputs"]
    assert "broken.png" in inputs[0]["error"]
    assert inputs[0]["traceback"] == ""
    assert "missing.png" in inputs[2]["error"]
    assert (out / "tissue/segmentation.json").exists()
    report = (out / "report.html").read_text()
    assert "missing.png" in report


def test_a_file_in_the_place_of_a_folder_stops_one_input(segmented, image, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "tissue").write_text("in the way")
    other = image.with_name("other.png")
    other.write_bytes(image.read_bytes())
    outcomes = segmented([image, other], out)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "cannot write" in outcomes[0].error
    assert (out / "tissue").read_text() == "in the way"


def test_an_input_is_not_written_over(segmented, image, tmp_path):
    inside = tmp_path / "out/overlay/overlay.png"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(image.read_bytes())
    outcomes = segmented([inside, image], tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "would be written over it" in outcomes[0].error
    assert inside.read_bytes() == image.read_bytes()


def test_a_later_run_never_takes_a_folder_over(segmented, image, tmp_path, tissue):
    out, second = tmp_path / "out", tmp_path / "other" / "tissue.png"
    second.parent.mkdir()
    Image.fromarray(tissue[:, ::-1]).save(second)
    segmented([image], out)
    labels = (out / "tissue/labels.ome.tif").read_bytes()
    (outcome,) = segmented([second], out)
    assert outcome.folder.startswith("tissue-")
    assert (out / "tissue/labels.ome.tif").read_bytes() == labels
    assert segmented([second, image], out)[1].status == "kept"
    assert [entry["status"] for entry in run_of(out)["inputs"]] == ["done", "done"]


def test_the_number_of_inputs_changes_nothing(segmented, image, tmp_path, tissue):
    paths = [image]
    for number in range(26):
        paths.append(image.with_name(f"{number}.png"))
        Image.fromarray(tissue[:48, : 40 + number]).save(paths[-1])
    out = tmp_path / "out"
    segmented(paths[:24], out)
    statuses = [outcome.status for outcome in segmented(paths, out)]
    assert statuses == ["kept"] * 24 + ["done"] * 3


def test_an_edited_mask_makes_results_anew(segmented, image, tmp_path):
    out, mask = tmp_path / "out", tmp_path / "mask.png"
    painted = np.zeros((300, 400), np.uint8)
    painted[:150] = 255
    Image.fromarray(painted).save(mask)
    options = SegmentOptions(tissue_mask=mask)
    segmented([image], out, segment=options)
    assert (tifffile.imread(out / "tissue/labels.ome.tif")[150:] == 0).all()
    Image.fromarray(painted[::-1]).save(mask)
    (outcome,) = segmented([image], out, segment=options)
    assert outcome.status == "done"
    assert (tifffile.imread(out / "tissue/labels.ome.tif")[:150] == 0).all()
    assert segmented([image], out, segment=options)[0].status == "kept"


def test_results_of_an_earlier_version_are_made_anew_and_told(segmented, image, tmp_path):
    out = tmp_path / "out"
    (out / "tissue").mkdir(parents=True)
    (out / "tissue/segmentation.json").write_text('{"histofactor": "0.1.0", "recipe_sha256": "ab", "unreadable": 0.0}')
    (outcome,) = segmented([image], out)
    assert outcome.status == "done"
    assert any("earlier version" in note for note in outcome.notes)
    assert not any("earlier version" in note for note in segmented([image], out)[0].notes)


def test_a_kept_input_keeps_its_notes(segmented, tmp_path):
    Image.new("RGB", (200, 150), (245, 245, 245)).save(tmp_path / "blank.png")
    first, again = (segmented([tmp_path / "blank.png"], tmp_path / "out")[0] for _ in range(2))
    assert again.status == "kept"
    assert again.notes == first.notes
    assert NO_TISSUE in again.notes


def test_an_input_called_like_a_file_of_the_output(segmented, image, tmp_path):
    named = image.with_name("report.html.png")
    named.write_bytes(image.read_bytes())
    dots = image.with_name("...png")
    dots.write_bytes(image.read_bytes())
    out, beside = tmp_path / "out", tmp_path / "beside.txt"
    beside.write_text("mine")
    segmented([image], out)
    outcomes = segmented([named, dots, image], out, resume=True)
    assert [outcome.status for outcome in outcomes] == ["done", "done", "kept"]
    assert (out / "report.html").is_file()
    assert beside.read_text() == "mine"
    assert (out / "tissue/labels.ome.tif").exists()
    assert len({outcome.folder for outcome in outcomes}) == 3
    assert not (out / "labels.ome.tif").exists()


def test_what_was_not_foreseen_keeps_its_traceback(segmented, image, tmp_path, monkeypatch):
    def explode(*arguments, **options):
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(module, "segment_slide", explode)
    segmented([image], tmp_path / "out")
    (entry,) = run_of(tmp_path / "out")["inputs"]
    assert entry["error"] == "ZeroDivisionError: by design"
    assert "explode" in entry["traceback"]


def test_an_interrupted_run_tells_what_it_did(segmented, image, tmp_path):
    def stop(path, index, total):
        if index == 1:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        segmented([image, tmp_path / "later.png"], out, Reporter(on_input=stop))
    assert [entry["status"] for entry in run_of(out)["inputs"]] == ["done", "waiting"]
    assert (out / "report.html").exists()


class Killed(BaseException):
    """As sudden as a signal."""


@pytest.mark.parametrize("puts", [1, 2, 3])
def test_a_run_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(segmented, image, tmp_path, monkeypatch, puts):
    segmented([image], tmp_path / "whole")
    put, count = DiskStore.put, []

    def put_and_die(store, band, state):
        if len(count) == puts:
            raise Killed
        count.append(band)
        put(store, band, state)

    out, seen = tmp_path / "out", []
    with monkeypatch.context() as patch:
        patch.setattr(DiskStore, "put", put_and_die)
        with pytest.raises(Killed):
            segmented([image], out)
    assert (out / ".work/bands/tissue").is_dir()
    (out / "tissue").mkdir(exist_ok=True)
    (out / "tissue/.0123456789ab-labels.ome.tif").write_text("left by a writer that was killed")
    reporter = Reporter(on_window=lambda done, total: seen.append((done, total)))
    (outcome,) = segmented([image], out, reporter)
    assert outcome.status == "done"
    assert seen[0][0] > 0  # what was finished is not made again
    assert sorted(path.name for path in (out / "tissue").iterdir()) == FILES
    assert not (out / ".work").exists()
    for file in MADE:
        assert (tmp_path / "whole/tissue" / file).read_bytes() == (out / "tissue" / file).read_bytes()


@pytest.mark.parametrize("puts", range(1, 7))
def test_a_kill_repeats_a_row_of_windows_at_most(segmented, tall, tmp_path, monkeypatch, puts):
    """And those of the next row that are read while it is blended."""
    read, put, count = encoding.read_window, DiskStore.put, []

    def put_and_die(store, band, state):
        if len(count) == puts:
            raise Killed
        count.append(band)
        put(store, band, state)

    runs = []
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "read_window", lambda *given: runs[-1].append(given[2]) or read(*given))
        for die in (True, False):
            runs.append([])
            with patch.context() as dying:
                if die:
                    dying.setattr(DiskStore, "put", put_and_die)
                with pytest.raises(Killed) if die else nullcontext():
                    segmented([tall], tmp_path / "out")
    repeated = set(runs[0]) & set(runs[1])
    row = 4 * max(Counter(window.y for window in set(runs[0] + runs[1])).values())  # in four views
    assert len(set(runs[0] + runs[1])) >= 10 * row
    assert len(runs[0]) > len(repeated)
    assert len(repeated) <= 2 * row


def test_what_is_finished_is_kept_until_the_recipe_changes(segmented, image, tmp_path, monkeypatch):
    out = tmp_path / "out"
    segmented([image], out)
    with monkeypatch.context() as patch:
        patch.setattr(module, "segment_slide", lambda *arguments, **options: pytest.fail("worked again"))
        (outcome,) = segmented([image], out)
    assert outcome.status == "kept"
    assert "data:image/jpeg" in (out / "tissue/report.html").read_text()
    assert segmented([image], out, source_mpp=0.9)[0].status == "done"
    assert segmented([image], out, source_mpp=0.9, resume=False)[0].status == "done"


def test_an_input_that_another_process_works_on_is_waited_for(segmented, image, tmp_path, monkeypatch):
    out, waited = tmp_path / "out", []
    monkeypatch.setattr(local, "_POLL_S", 0.01)
    other = claim(Place(out, "tissue"))
    assert other.__enter__()

    def finish(path):
        waited.append(path)
        other.__exit__(None, None, None)

    (outcome,) = segmented([image], out, Reporter(on_wait=finish))
    assert waited == [str(image)]
    assert outcome.status == "done"


def test_parts_that_cannot_be_read_are_told_and_have_no_label(segmented, image, tmp_path, monkeypatch):
    read = PlainImage.read

    def read_or_fail(slide, region):
        if region.x < 120 and region.x + region.width > 100 and region.y < 90 and region.y + region.height > 80:
            raise UnreadableRegion("damaged")
        return read(slide, region)

    monkeypatch.setattr(PlainImage, "read", read_or_fail)
    out = tmp_path / "out"
    (outcome,) = segmented([image], out)
    assert outcome.status == "damaged"
    assert "of the tissue cannot be read" in outcome.error
    labels = tifffile.imread(out / "tissue/labels.ome.tif")
    assert (labels[80:90, 100:120] == 0).all()
    assert (labels > 0).mean() > 0.5
    again = segmented([image], out)[0]
    assert (again.status, again.error) == ("damaged", outcome.error)


def test_no_tissue_is_said_and_is_no_failure(segmented, tmp_path):
    Image.new("RGB", (200, 150), (245, 245, 245)).save(tmp_path / "blank.png")
    (outcome,) = segmented([tmp_path / "blank.png"], tmp_path / "out")
    assert outcome.status == "done"
    assert NO_TISSUE in outcome.notes
    assert (tifffile.imread(tmp_path / "out/blank/labels.ome.tif") == 0).all()


def test_stages_are_timed(segmented, image, tmp_path):
    clock = Clock()
    segmented([image], tmp_path / "out", clock=clock)
    assert {"read", "encode", "respond", "blend", "solve", "decode", "store", "labels", "regions"} <= set(clock.seconds)


def test_progress_is_told(segmented, image, tmp_path):
    seen = []
    reporter = Reporter(
        lambda name, index, total: seen.append((Path(name).name, index, total)),
        lambda done, total: seen.append((done, total)),
        lambda outcome: seen.append(outcome.status),
    )
    segmented([image], tmp_path / "out", reporter)
    assert seen[0] == ("tissue.png", 0, 1)
    done, total = seen[-2]
    assert done == total > 1
    assert seen[-1] == "done"


def test_an_output_folder_that_cannot_be_written(segmented, image, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        segmented([image], tmp_path / "file" / "out")


@pytest.mark.parametrize("name", [*MADE[:-1], "weights.zarr"])
def test_results_of_which_a_file_has_gone_are_made_anew_and_told(segmented, image, tmp_path, name):
    out, outputs = tmp_path / "out", Outputs(weights=True)
    segmented([image], out, outputs=outputs)
    whole = (out / "tissue/labels.ome.tif").read_bytes()
    (out / "tissue" / name).rename(tmp_path / "gone")
    (outcome,) = segmented([image], out, outputs=outputs)
    assert outcome.status == "done"
    assert f"{name} is gone" in outcome.notes[-1]
    assert (out / "tissue" / name).exists()
    assert (out / "tissue/labels.ome.tif").read_bytes() == whole
    assert segmented([image], out, outputs=outputs)[0].status == "kept"


@pytest.mark.parametrize("content", ["", "{", "{}", "[" * 9999])
def test_a_damaged_seal_is_told_and_made_anew(segmented, image, tmp_path, content):
    out = tmp_path / "out"
    segmented([image], out)
    whole = (out / "tissue/segmentation.json").read_bytes()
    (out / "tissue/segmentation.json").write_text(content)
    (outcome,) = segmented([image], out)
    assert outcome.status == "done"
    assert "segmentation.json is not as it was written" in outcome.notes[-1]
    assert (out / "tissue/segmentation.json").read_bytes() == whole


def test_a_damaged_file_of_a_run_is_told_and_costs_no_results(segmented, image, tmp_path, tissue):
    out, second = tmp_path / "out", tmp_path / "other" / "tissue.png"
    second.parent.mkdir()
    Image.fromarray(tissue[:200]).save(second)
    segmented([image], out)
    labels = (out / "tissue/labels.ome.tif").read_bytes()
    (run,) = (out / ".runs").glob("*.json")
    run.write_bytes(run.read_bytes()[:100])
    told = []
    (outcome,) = segmented([second], out, reporter=Reporter(on_note=told.append))
    assert outcome.folder.startswith("tissue-")
    assert (out / "tissue/labels.ome.tif").read_bytes() == labels
    assert tifffile.imread(out / outcome.folder / "labels.ome.tif").shape == (200, 400)
    (note,) = told
    assert f"{run} is damaged" in note
    assert run.with_name(f"{run.name}.damaged").exists()
    assert sorted(entry["input"] for entry in run_of(out)["inputs"]) == sorted(map(str, (image, second)))
    assert segmented([image], out, reporter=Reporter(on_note=told.append))[0].status == "kept"
    assert len(told) == 1


def test_another_file_of_a_slide_makes_results_anew(segmented, image, tmp_path, monkeypatch):
    beside = tmp_path / "in" / "Data0000.dat"
    beside.write_bytes(b"one")
    monkeypatch.setattr(source, "files_of", lambda path: [path, beside])
    out = tmp_path / "out"
    statuses = [segmented([image], out)[0].status for _ in range(2)]
    beside.write_bytes(b"two")
    statuses.append(segmented([image], out)[0].status)
    assert statuses == ["done", "kept", "done"]


def test_a_run_that_fails_leaves_results_that_were_finished_in_another_way(segmented, image, tmp_path, monkeypatch):
    out = tmp_path / "out"
    segmented([image], out)
    before = {name: (out / "tissue" / name).read_bytes() for name in MADE}
    with monkeypatch.context() as patch:
        patch.setattr(module, "segment_slide", lambda *arguments, **others: 1 / 0)
        assert segmented([image], out, source_mpp=2.0)[0].status == "failed"
    assert {name: (out / "tissue" / name).read_bytes() for name in MADE} == before
    assert segmented([image], out)[0].status == "kept"
    assert [entry["status"] for entry in run_of(out)["inputs"]] == ["done"]
    assert segmented([image], out, source_mpp=2.0)[0].status == "done"


def test_inputs_of_one_file_name_are_told_apart_in_the_report(segmented, tmp_path, tissue):
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(tissue[:64, :64]).save(tmp_path / name)
    segmented([tmp_path / name for name in ("a/1.png", "b/1.png", "b/2.png")], tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert [page.count(f">{name}</a>") for name in ("a/1.png", "b/1.png", "2.png", "1.png")] == [1, 1, 1, 0]
