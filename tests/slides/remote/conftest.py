"""Stores on loopback, asked without waits."""

import io

import fsspec
import pytest
from PIL import Image

from histofactor.records.urls import Url
from histofactor.slides.phantom import phantom
from histofactor.slides.remote import cache, transfer
from histofactor.slides.remote.cache import Cache
from store_server import serve, serve_s3


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WAIT_S", 0.001)


@pytest.fixture
def http():
    with serve() as (store, address):
        yield store, address


@pytest.fixture
def s3(monkeypatch, tmp_path):
    """Buckets on loopback."""
    pytest.importorskip("s3fs")
    with serve_s3(monkeypatch, tmp_path / "none") as made:
        yield made


@pytest.fixture
def memory():
    """The store of fsspec in memory, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


@pytest.fixture
def kept(tmp_path):
    """A cache of 1 MB, closed at the end."""
    made = Cache(tmp_path / "cache", 10**6)
    yield made
    made.close()


@pytest.fixture
def fetch(kept):
    """The bytes of an input as they are fetched."""

    def get(address):
        with kept.file(Url(address)) as path:
            return path.read_bytes()

    return get


@pytest.fixture(scope="session")
def png():
    """An image of tissue."""
    content = io.BytesIO()
    Image.fromarray(phantom((300, 200), seed=1, mpp=1.0).image).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def small_chunks(monkeypatch):
    """Files are asked for in parts of 1,000 bytes."""
    monkeypatch.setattr(transfer, "_CHUNK", 1000)
    monkeypatch.setattr(transfer, "_PIECE", 1000)
    return cache
