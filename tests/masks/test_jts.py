"""Polygons in the eyes of JTS, the geometry library of QuPath."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from histofactor import segment
from histofactor.masks.polygons import Outlining, stream_polygons
from histofactor.records import LabelMap
from histofactor.slides.phantom import phantom

JAR = Path("/usr/share/java/jts-core.jar")

pytestmark = pytest.mark.jts


@pytest.fixture(scope="module")
def verdicts():
    """Ask JTS about WKT geometries: "ok", or what it has against each."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("needs java ≥ 17 on the path")
    if not JAR.is_file():
        pytest.skip(f"needs {JAR}, Debian's package libjts-java: make test-jts installs it")

    def ask(geometries):
        program = Path(__file__).parent / "jts/Check.java"
        answer = subprocess.run(
            [java, "-cp", str(JAR), str(program)],
            input="\n".join(geometries),
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.splitlines()

    return ask


def random_map(seed):
    """Noise, blocks of noise and stripes, so that pieces touch in every way."""
    rng = np.random.default_rng(seed)
    side, k, block = rng.integers(2, 60), rng.integers(1, 6), rng.integers(1, 6)
    return rng.integers(0, k + 1, (side, side)).repeat(block, 0).repeat(block, 1).astype(np.uint8)


def wkt(labels, scale, options):
    label_map = LabelMap(labels, None, (3, 5), (), ())
    return [piece.polygon.wkt for piece in stream_polygons(label_map, (scale, scale), options=options)]


def test_jts_tells_good_from_bad(verdicts):
    good, bow, flat = verdicts(
        ["POLYGON ((0 0, 4 0, 4 4, 0 0))", "POLYGON ((0 0, 4 4, 4 0, 0 4, 0 0))", "POLYGON ((0 0, 4 0, 4 0, 0 0))"]
    )
    assert good == "ok"
    assert "Self-intersection" in bow
    assert flat != "ok"


@pytest.fixture(scope="module")
def segmented():
    """Labels of a phantom that the embedded encoder segmented."""
    return segment(phantom((1500, 1200), seed=4, mpp=1.0).image, concepts="embedded", source_mpp=1.0).label_map.labels


@pytest.mark.parametrize("scale", [1.0, 1.98, 4.37])
@pytest.mark.parametrize("tile_px", [512, 4096])
def test_jts_takes_the_regions_of_a_phantom(verdicts, segmented, scale, tile_px):
    geometries = wkt(segmented, scale, Outlining(tile_px=tile_px))
    assert len(geometries) > 50
    assert set(verdicts(geometries)) == {"ok"}


@pytest.mark.parametrize("tolerance_px", [0.0, 1.0, 3.0])
def test_jts_takes_random_maps(verdicts, tolerance_px):
    options = Outlining(tolerance_px, min_area_px=1, tile_px=64, cell_px=4)
    geometries = [
        geometry
        for seed in range(60)
        for geometry in wkt(random_map(seed), (0.4, 1.0, 1.37, 2.0, 5.1)[seed % 5], options)
    ]
    assert len(geometries) > 5000
    assert set(verdicts(geometries)) == {"ok"}
