"""Fixtures for every room."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

import tiny
from gdc_server import serve
from histofactor.base.clock import Clock
from histofactor.encoders.build import Encoder
from histofactor.runs.outcome import Reporter
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.method import METHODS
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide
from hub_server import TOKEN, serve_hub
from ray_cluster import ray_cluster, soon  # noqa: F401 - fixtures

settings.register_profile("untimed", deadline=None)  # speed is checked in benchmarks
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real images, weights and banks that lies beside some checkouts."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared with real images, weights and banks")
    return folder


@pytest.fixture(scope="session")
def tiny_encoder() -> Encoder:
    """A small random convolutional encoder whose tokens see 8 px beyond their block."""
    return tiny.encoder()


@pytest.fixture(scope="session")
def tiny_bank(tiny_encoder):
    """Six random concepts of the tiny encoder."""
    return tiny.bank(tiny_encoder)


@pytest.fixture
def segmented(tiny_encoder, tiny_bank):
    """Segment inputs of 1 µm/px into a folder with the tiny encoder and its bank; returns the outcomes."""

    def run(inputs, out, reporter=None, clock=None, source_mpp=1.0, **options):
        observer = Observer(reporter or Reporter(), clock or Clock())
        many = ManyOptions(**{"opening": Opening(source_mpp=source_mpp), "observer": observer} | options)
        return segment_many(inputs, out, encoder=tiny_encoder, concepts=tiny_bank, options=many)

    return run


@pytest.fixture
def kept_weights(tiny_encoder, tiny_bank, tissue, tmp_path):
    """Segment ``tmp_path/case 1.png`` into ``tmp_path/out/case 1``, weights kept; returns (segmentation, folder)."""

    def make(method="project", bank=tiny_bank, unlike=None):
        bank = bank if METHODS[method].needs_bank else None
        image = tmp_path / "case 1.png"
        Image.fromarray(tissue).save(image)
        options = SegmentOptions(components=6, unlike=unlike)
        segmenter = prepare(encoder=tiny_encoder, concepts=bank, method=method, options=options)
        many = ManyOptions(
            opening=Opening(source_mpp=1.0), method=method, segment=options, outputs=Outputs(weights=True)
        )
        (outcome,) = segment_many([image], tmp_path / "out", encoder=tiny_encoder, concepts=bank, options=many)
        assert outcome.status == "done"
        with open_slide(image, source_mpp=1.0) as slide:
            return segment_slide(slide, segmenter), tmp_path / "out" / "case 1"

    return make


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory):
    """An output folder whose concepts were learned from two small inputs, segmented with K = 8, and these inputs."""
    folder = tmp_path_factory.mktemp("study")
    paths = [folder / f"{name}.png" for name in ("a", "b")]
    for seed, path in enumerate(paths):
        Image.fromarray(phantom((320, 240), seed=seed, mpp=1.0).image).save(path)
    options = ManyOptions(opening=Opening(source_mpp=1.0), segment=SegmentOptions(views=1))
    outcomes = segment_many(paths, folder / "out", k=8, options=options)
    assert [one.status for one in outcomes] == ["done"] * 2
    return folder / "out", paths


@pytest.fixture
def study(whole_study, tmp_path):
    """A copy of an output folder that is a study, and its two inputs."""
    out, paths = whole_study
    shutil.copytree(out, tmp_path / "out")
    return tmp_path / "out", paths


@pytest.fixture(scope="session")
def tissue() -> np.ndarray:
    """A phantom of 400 × 300 px at 1 µm/px."""
    return phantom((400, 300), seed=3, mpp=1.0).image


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium that Playwright drives; the environment variable CHROMIUM may name it."""
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def gdc():
    """A server on loopback that behaves as the Genomic Data Commons does."""
    with serve() as server:
        yield server


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on loopback that lets the tests in, and a cache of its own."""
    from huggingface_hub import constants

    with serve_hub() as served:
        for name, value in {
            "ENDPOINT": served.address,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
            "HF_HUB_DISABLE_XET": True,  # large files go by LFS, which the server speaks
            "HF_HUB_OFFLINE": False,
            "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield served
