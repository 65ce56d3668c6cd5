"""Concepts of an output folder: learned once, from all inputs, and kept for those that come later."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histofactor.cli.status import status
from histofactor.concepts.bank.edit import rename
from histofactor.concepts.bank.file import load_banks, read_bank_file, save_bank
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.errors import BankError, BankMismatch, ImageError, OptionError
from histofactor.runs import own_concepts as module
from histofactor.runs.outcome import Reporter
from histofactor.runs.place import CONCEPTS
from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
from histofactor.runs.source import Opening, Stated
from histofactor.runs.study import BANK, journal_of, open_study, sample_of, write_study
from histofactor.segmentation import encoding
from histofactor.segmentation.setup import SegmentOptions
from histofactor.segmentation.store import DiskStore
from histofactor.segmentation.window_memory import FeatureMemory
from histofactor.slides import decoded
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide


@pytest.fixture
def images(tmp_path):
    for seed in range(3):
        Image.fromarray(phantom((320, 240), seed=seed, mpp=1.0).image).save(tmp_path / f"{seed}.png")
    return [tmp_path / f"{seed}.png" for seed in range(3)]


@pytest.fixture
def study(tmp_path, tiny_encoder):
    """Segment inputs without concepts; returns outcomes and all that was told."""

    def run(inputs, out=tmp_path / "out", k=None, encoder=tiny_encoder, seed=0, **options):
        told = []
        observer = Observer(Reporter(on_note=told.append))
        many = ManyOptions(
            opening=Opening(source_mpp=1.0), segment=SegmentOptions(seed=seed, views=1), observer=observer, **options
        )
        return segment_many(inputs, out, encoder=encoder, k=k, options=many), told

    return run


def test_groups_are_told_of_and_balanced_over(images, study, tmp_path):
    known = {path: Stated(group=path.stem) for path in images[:2]}
    _, told = study(images[:2], known=known, balance="slide")
    assert "whether concepts follow the 2 groups cannot be told from 2 slides" in " ".join(told)
    assert read_bank_file(tmp_path / "out" / BANK).card["options"]["balance"] == "slide"
    _, told = study(images[:2], known=known, balance="group")
    assert "--balance changes nothing" in " ".join(told)


def results(out):
    """Bytes of all results, but for what tells when they were made."""
    timed = {"status.json", "run.json", "report.html", "phenotypes.csv", "concepts.journal.jsonl"}
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parts[-2] not in {".runs", "locks"})
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.name not in timed}


def test_learned_once_and_encoded_once(images, study, tmp_path, monkeypatch):
    encoded, real = [], encoding.encode
    monkeypatch.setattr(
        encoding, "encode", lambda encoder, pixels: encoded.append(len(pixels)) or real(encoder, pixels)
    )
    outcomes, told = study(images)
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    windows = sum(encoded)
    out = tmp_path / "out"
    study(images, tmp_path / "fixed", method="single")
    assert sum(encoded) == 2 * windows
    banks = load_banks(out / BANK)
    assert set(banks) <= {4, 8, 16, 32, 64}
    found = open_study(out / BANK)
    assert found.learned
    assert (out / "concepts.html").stat().st_size > 10_000
    assert sample_of(out / BANK).exists()
    assert f"K = {found.k} is used" in " ".join(told)
    for name in ("0", "1", "2"):
        recipe = json.loads((out / name / "segmentation.json").read_text())
        assert recipe["bank"]["sha256"] == bank_hash(banks[found.k])
        assert (out / name / "weights.zarr").is_dir()
    assert "learned from 3 inputs" in (out / "report.html").read_text()
    assert "learned from 3 inputs" in (out / "0/report.html").read_text()
    assert {bank.centring for bank in banks.values()} == {None}  # no row says that it helps the tiny encoder


def test_every_image_is_decoded_once_and_held_no_longer_than_its_run(images, study, tmp_path, monkeypatch):
    read, decode = [], decoded.decode_file

    def noting(path, *how):
        read.append(path.name)
        return decode(path, *how)

    monkeypatch.setattr(decoded, "decode_file", noting)
    outcomes, _ = study(images)
    assert [one.status for one in outcomes] == ["done"] * 3
    assert sorted(read) == ["0.png", "1.png", "2.png"]  # to look, to learn, for the page, and to segment
    with open_slide(images[0]):
        assert len(read) == 4
    Image.fromarray(phantom((320, 240), seed=7, mpp=1.0).image).save(images[0])
    assert study(images)[0][0].status == "done"  # its px are another's now


@pytest.mark.parametrize(("method", "unlike"), [("cluster", "auto"), ("factorize", "0.5"), ("project", "most")])
def test_what_the_method_does_not_tell_is_refused_before_anything_is_encoded(
    images, tmp_path, tiny_encoder, method, unlike
):
    options = ManyOptions(method=method, segment=SegmentOptions(views=1, unlike=unlike))
    with pytest.raises(OptionError, match="unlike"):
        segment_many(images, tmp_path / "out", encoder=tiny_encoder, options=options)
    assert not (tmp_path / "out").exists()


def test_what_comes_later_is_worked_at_the_mpp_that_concepts_were_learned_at(images, study, tmp_path):
    def worked_at(name):
        return json.loads((tmp_path / f"out/{name}/segmentation.json").read_text())["made_by"]["mpp"]

    study(images[:1], mpp=2.0)
    _, told = study(images[:2])
    assert worked_at("0") == worked_at("1") == 2.0
    assert not any("µm/px" in sentence for sentence in told)
    _, told = study(images[2:], mpp=1.0)
    assert worked_at("2") == 1.0
    assert any("learned at 2 µm/px, and inputs are worked at 1:" in sentence for sentence in told)


def test_former_inputs_that_are_opened_otherwise_are_told(images, tmp_path):
    out = tmp_path / "out"

    def told(inputs, source_mpp, **options):
        notes = []
        how = ManyOptions(
            opening=Opening(source_mpp=source_mpp), segment=SegmentOptions(views=1),
            observer=Observer(Reporter(on_note=notes.append)), **options,
        )  # fmt: skip
        segment_many(inputs, out, k=4, options=how)
        return " ".join(notes)

    told(images[:1], 1.0)
    assert "--source-mpp" not in told(images[1:2], 1.0, relearn=True)
    assert "than before, as all inputs are: 0.png, 1.png" in told(images[2:], 1.5, relearn=True)


def test_slides_at_another_k_than_the_newest_run_are_told(images, study, tmp_path, capsys):
    out, told = tmp_path / "out", "with other concepts than the newest run"
    study(images[:2], k=4)
    assert told not in (out / "report.html").read_text()
    study(images[2:], k=3)
    page = (out / "report.html").read_text()
    assert page.count(f"{told}, K = 4") == page.count(told) == 2
    status(out)
    assert f"2 of them {told}" in " ".join(capsys.readouterr().out.split())
    study(images[:2], k=3)
    assert told not in (out / "report.html").read_text()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_same_bytes_without_anything_held(images, study, tmp_path, monkeypatch, tiny_encoder, share):
    """What is held for segmenting changes no byte: as in a run that goes on after learning was done."""
    encoder = replace(tiny_encoder, spec=replace(tiny_encoder.spec, centring=share))
    study(images, encoder=encoder)
    assert {bank.centring and bank.centring.share for bank in load_banks(tmp_path / "out" / BANK).values()} == {
        share or None
    }
    monkeypatch.setattr(FeatureMemory, "hold", lambda *given: None)
    study(images, tmp_path / "again/out", encoder=encoder)
    assert results(tmp_path / "out") == results(tmp_path / "again/out")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_was_encoded_to_learn_outlives_the_process(images, study, tmp_path, monkeypatch, tiny_encoder, share):
    encoder = replace(tiny_encoder, spec=replace(tiny_encoder.spec, centring=share))
    put, encode, encoded = DiskStore.put, encoding.encode, []
    study(images, tmp_path / "whole/out", encoder=encoder)

    def stop(store, band, state):
        put(store, band, state)
        if state is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(DiskStore, "put", stop)
    for _ in range(2):  # learned, then gone on with
        with pytest.raises(KeyboardInterrupt):
            study(images, encoder=encoder)
        assert list((tmp_path / "out/.work/windows").iterdir())
        monkeypatch.setattr(encoding, "encode", lambda *given: encoded.append(given) or encode(*given))
    monkeypatch.setattr(DiskStore, "put", put)
    outcomes, _ = study(images, encoder=encoder)
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert encoded == []
    assert results(tmp_path / "out") == results(tmp_path / "whole/out")
    assert not (tmp_path / "out/.work").exists()


def test_kept_and_gone_on_with(images, study, tmp_path):
    study(images)
    before = results(tmp_path / "out")
    outcomes, told = study(images)
    assert [outcome.status for outcome in outcomes] == ["kept"] * 3
    assert told == []
    assert results(tmp_path / "out") == before


def test_inputs_that_come_later(images, study, tmp_path):
    study(images[:2])
    bank = (tmp_path / "out" / BANK).read_bytes()
    outcomes, told = study(images)
    assert [outcome.status for outcome in outcomes] == ["kept", "kept", "done"]
    assert "1 of 3 inputs is new to the study" in told[0]
    assert (tmp_path / "out" / BANK).read_bytes() == bank


def test_learned_anew_from_all(images, study, tmp_path):
    study(images[:2])
    before = bank_hash(load_banks(tmp_path / "out" / BANK)[4])
    outcomes, told = study(images[2:], relearn=True)
    assert [Path(outcome.input).name for outcome in outcomes] == ["2.png", "0.png", "1.png"]
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert any("are kept as" in one for one in told)
    (aside,) = (tmp_path / "out").glob("concepts-*.safetensors")
    assert bank_hash(load_banks(aside)[4]) == before
    assert len(read_bank_file(tmp_path / "out" / BANK).card["slides"]) == 3


def test_names_stay(images, study, tmp_path):
    study(images[:2], k=8)
    found = open_study(tmp_path / "out" / BANK)
    write_study(rename(found.file, 8, {1: "tumour"}), found.path, 8, "named")
    outcomes, _ = study(images)
    assert [outcome.status for outcome in outcomes] == ["done"] * 3  # two of them only written again
    for name in ("0", "1", "2"):
        assert "tumour" in (tmp_path / "out" / name / "phenotypes.csv").read_text()


def test_another_k_needs_no_learning(images, study, tmp_path, monkeypatch):
    study(images, k=8)
    monkeypatch.setattr(module, "SampleBuilder", None)
    _, told = study(images, k=16)
    assert "goes from K = 8 to 16" in told[0]
    assert open_study(tmp_path / "out" / BANK).k == 16
    study(images, k=5)  # a level that is not there yet
    assert 5 in load_banks(tmp_path / "out" / BANK)
    assert json.loads((tmp_path / "out/0/segmentation.json").read_text())["bank"]["k"] == 5
    outcomes, _ = study(images)
    assert {outcome.status for outcome in outcomes} == {"kept"}
    with pytest.raises(OptionError, match="--relearn"):
        study(images, k=100)


def test_another_encoder(images, study, tmp_path, tiny_encoder):
    study(images)
    other = replace(tiny_encoder, spec=replace(tiny_encoder.spec, name="other"))
    with pytest.raises(BankMismatch, match="a study of another encoder"):
        study(images, encoder=other)


def test_a_bank_that_was_changed(images, study, tmp_path):
    study(images)
    rng = np.random.default_rng(0)
    encoder = load_banks(tmp_path / "out" / BANK)[4].encoder
    save_bank([new_bank(rng.random((4, 24)).astype(np.float32) + 0.1, encoder)], tmp_path / "out" / BANK)
    before = results(tmp_path / "out")
    with pytest.raises(BankError, match="other concepts than histofactor wrote"):
        study(images)
    assert results(tmp_path / "out") == before


def test_a_bank_put_there_by_hand_is_taken(images, study, tmp_path, tiny_bank):
    (tmp_path / "out").mkdir()
    save_bank([tiny_bank], tmp_path / "out" / BANK)
    outcomes, told = study(images[:1])
    assert outcomes[0].status == "done"
    assert "was not learned here" in told[0]
    assert not journal_of(tmp_path / "out" / BANK).exists()


def test_one_that_cannot_be_read_is_left_out(images, study, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    outcomes, told = study([*images, tmp_path / "bad.png"])
    assert [outcome.status for outcome in outcomes] == ["done"] * 3 + ["failed"]
    assert any("left out of the sample" in one and "bad.png" in one for one in told)
    assert list(read_bank_file(tmp_path / "out" / BANK).card["left_out"]) == ["bad.png"]


def test_nothing_to_learn_from(study, tmp_path):
    Image.new("RGB", (200, 200), (240, 240, 240)).save(tmp_path / "glass.png")
    with pytest.raises(ImageError, match="no tissue to learn from"):
        study([tmp_path / "glass.png"])
    assert not (tmp_path / "out" / BANK).exists()


def test_too_little_tissue_says_what_it_bears(images, study, tmp_path):
    Image.fromarray(phantom((320, 240), seed=0, mpp=1.0).image[:80, :80]).save(tmp_path / "small.png")
    with pytest.raises(BankError, match=r"too little tissue to learn K = 64 concepts from: it bears K = \d+ at most"):
        study([tmp_path / "small.png"], k=64)


def test_very_different_resolutions_are_told(images, tiny_encoder, tmp_path):
    Image.open(images[0]).save(tmp_path / "coarse.png", dpi=(25_400 / 4, 25_400 / 4))
    Image.open(images[1]).save(tmp_path / "fine.png", dpi=(25_400, 25_400))
    told = []
    options = ManyOptions(observer=Observer(Reporter(on_note=told.append)))
    segment_many(
        [tmp_path / "coarse.png", tmp_path / "fine.png"], tmp_path / "out", encoder=tiny_encoder, options=options
    )
    assert any("worked at 1 to 4 µm/px" in one and "--mpp 4" in one for one in told)


def test_who_lost_the_lease_of_the_concepts_writes_none(images, study, tmp_path, monkeypatch):
    out, real, learned = tmp_path / "out", module.learn, []

    def learn(*given):
        learned.append((out / BANK).exists())
        if len(learned) == 1:  # another took over, as after a long stop
            (token,) = (out / CONCEPTS).iterdir()
            token.unlink()
        return real(*given)

    monkeypatch.setattr(module, "learn", learn)
    outcomes, told = study(images)
    assert learned == [False, False]
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert sum("was taken over by another process" in note for note in told) == 1
    assert len(journal_of(out / BANK).read_text().splitlines()) == 1
    assert not (out / ".work").exists()


def test_inputs_are_drawn_evenly_from_groups(monkeypatch):
    monkeypatch.setattr(module, "MOST_INPUTS", 6)
    inputs = [Path(f"{number}.png") for number in range(60)]
    known = {path: Stated(group="rare" if number in {7, 23} else "common") for number, path in enumerate(inputs)}
    told = []

    def drawn(**options):
        return module._drawn(inputs, 0, module.StudyOptions(**options), Reporter(on_note=told.append))

    found = drawn(known=known)
    assert len(found) == 6
    assert {Path("7.png"), Path("23.png")} < {*found}  # a group with few gives all of them
    assert found == sorted(found, key=inputs.index)
    assert "drawn at random, evenly from 2 groups" in told[-1]
    plain = drawn()
    assert drawn(known=known, balance="slide") == plain
    assert told[-1].endswith("drawn at random")
    assert {*found} - {Path("7.png"), Path("23.png")} < {*plain}  # of the others, the first of the same draw


def test_of_many_inputs_some_are_drawn(images, study, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_INPUTS", 2)
    outcomes, told = study(images)
    assert len(outcomes) == 3
    assert "learned from 2 of 3 inputs, drawn at random" in told[0]
    assert len(read_bank_file(tmp_path / "out" / BANK).card["slides"]) == 2


RUN = """
import sys
from pathlib import Path
from histofactor.cli.main import main
main()
"""


def test_of_processes_that_share_a_folder_one_learns(images, tmp_path):
    inputs = [str(path) for path in images]

    def command(out):
        return [sys.executable, "-c", RUN, "segment", *inputs, "-o", str(tmp_path / out), "--fast", "--source-mpp", "1"]

    three = [subprocess.Popen(command("shared/out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate(timeout=300)[1].decode() for process in three]
    assert [process.returncode for process in three] == [0, 0, 0], errors
    assert sum("is used" in error for error in errors) == 1
    assert len((tmp_path / "shared/out/concepts.journal.jsonl").read_text().splitlines()) == 1
    subprocess.run(command("alone/out"), check=True, capture_output=True, timeout=300)
    assert results(tmp_path / "shared/out") == results(tmp_path / "alone/out")
