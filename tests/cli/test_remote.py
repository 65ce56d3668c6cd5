"""Inputs on stores, as a user meets them on the command line."""

import io
import json

import pytest
from PIL import Image

from histofactor.slides.phantom import phantom
from histofactor.slides.remote import transfer
from store_server import serve

SECRET = "topsecretvalue"


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WAIT_S", 0.001)
    with serve() as (made, address):
        made.address = address
        for name, seed in (("a", 1), ("b", 2)):
            content = io.BytesIO()
            Image.fromarray(phantom((320, 320), seed=seed, mpp=1.0).image).save(content, "PNG", dpi=(25_400, 25_400))
            made.files[f"/lab/{name}.png"] = content.getvalue()
        yield made


def everything(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_study_of_a_store(histofactor, store, tmp_path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    urls = [f"{store.address}/lab/{name}.png?X-Amz-Signature={SECRET}" for name in "ab"]
    asked = ["segment", *urls, "-o", out, "-k", 4, "--fast", "--cache", cache, "--cache-gb", 0.1]
    code, told, err = histofactor(*asked)
    assert code == 0, err
    assert "2 of 2 segmented" in told
    assert SECRET not in told + err
    assert SECRET.encode() not in everything(out)
    run = json.loads((out / "run.json").read_text())
    assert run["arguments"][1] == f"{store.address}/lab/a.png?X-Amz-Signature=***"
    assert [entry["input"] for entry in run["inputs"]] == run["arguments"][1:3]
    code, told, err = histofactor(*asked)
    assert (code, "2 by an earlier run" in told) == (0, True)
    code, told, err = histofactor("concepts", "name", out, "1=stroma")
    assert code == 0, err
    code, told, err = histofactor("relabel", out)
    assert code == 0, err
    assert "2 of 2 up to date" in told
    assert b"stroma" in (out / "a/phenotypes.csv").read_bytes()


def test_a_folder_of_a_store_with_a_failure(histofactor, store, tmp_path):
    store.files["/lab/c.png"] = b"<html>sign in"
    store.files["/lab/notes.txt"] = b""
    out = tmp_path / "out"
    arguments = ["--concepts", "embedded", "-k", 8, "--fast", "--cache", tmp_path / "cache"]
    code, told, err = histofactor("segment", f"{store.address}/lab/", "-o", out, *arguments)
    assert code == 1
    assert "2 of 3 segmented" in told
    assert "c.png is a web page, not an image" in err
    assert "1 not named like images (notes.txt)" in err
    assert (out / "a/labels.ome.tif").exists()


def test_features_estimate_and_train(histofactor, store, tmp_path):
    cached = ["--fast", "--cache", tmp_path / "cache"]
    code, told, err = histofactor("features", f"{store.address}/lab/*.png", "-o", tmp_path / "features", *cached)
    assert (code, "features of 2 of 2 inputs" in told) == (0, True), err
    code, told, err = histofactor("estimate", f"{store.address}/lab/a.png", "--concepts", "embedded", "-k", 8, *cached)
    assert (code, "320 × 320" in told) == (0, True), err
    table = tmp_path / "table.csv"
    table.write_text(f"path,group\n{store.address}/lab/a.png?token={SECRET},A\n{store.address}/lab/b.png,B\n")
    code, told, err = histofactor(
        "concepts", "train", "--table", table, "-o", tmp_path / "b.safetensors", "-k", 4, *cached
    )
    assert (code, "from 2 inputs" in told) == (0, True), err
    assert SECRET not in told + err
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.glob("b.*"))


@pytest.mark.parametrize("verb", ["segment", "features", "concepts train"])
def test_results_on_a_store_are_refused(histofactor, store, verb):
    code, _, err = histofactor(*verb.split(), f"{store.address}/lab/a.png", "-o", "s3://bucket/out")
    assert code == 2
    assert "results cannot be written to s3://bucket/out" in err
    assert "name a folder" in err


def test_the_bound_of_the_cache_is_checked(histofactor, store, tmp_path):
    asked = ["segment", f"{store.address}/lab/a.png", "-o", tmp_path / "out", "--cache-gb"]
    code, _, err = histofactor(*asked, "-1")
    assert code != 0
    assert "--cache-gb is out of range\n  expected: more than 0\n  got: -1" in err
    code, _, err = histofactor(*asked, "1e-6", "--concepts", "embedded", "-k", 8, "--cache", tmp_path / "cache")
    assert code == 1
    assert "a.png is larger than the cache" in err
    assert "up to 1e-06 GB" in err
