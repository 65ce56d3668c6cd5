"""napari's plugin engine opens what histofactor wrote; napari itself where `make test-ecosystem` installed it."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

import histofactor
from histofactor.base.colors import palette
from histofactor.errors import ImageError
from histofactor.export.labels import write_labels
from histofactor.export.tables import read_phenotypes
from histofactor.records import LabelMap
from histofactor.viewer.napari import napari_get_reader, read_layers

MANIFEST = Path(histofactor.__file__).with_name("napari.yaml")


def labelled(shape, mpp=0.5):
    labels = np.random.default_rng(0).integers(0, 4, shape, np.uint8)
    return SimpleNamespace(label_map=LabelMap(labels, mpp, (0, 0), ("fat", "<stroma>", "fat"), palette(3)))


@pytest.fixture(scope="module")
def npe2():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydantic, as it is imported
        return pytest.importorskip("npe2", reason="needs npe2")


@pytest.fixture
def open_by(npe2):
    """Open a path as napari does, by the manifest; returns tuples of layers."""
    from npe2.io_utils import read

    manager = npe2.PluginManager.instance()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manifest = npe2.PluginManifest.from_file(MANIFEST)
    manager.register(manifest, warn_disabled=False)
    yield lambda path: read([str(path)], stack=False, plugin_name="histofactor")
    manager.unregister(manifest.name)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A label map of three levels, (700, 1300) px of 0.5 µm, alone."""
    path = tmp_path_factory.mktemp("large") / "labels.ome.tif"
    found = labelled((700, 1300))
    write_labels(found, path)
    return found.label_map, path


def test_the_package_names_its_manifest(npe2):
    entries = (MANIFEST.parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."napari.manifest"]\nhistofactor = "histofactor:napari.yaml"' in entries


def test_a_file_gives_labels_with_names_and_colours_in_um(open_by, large):
    label_map, path = large
    ((data, described, kind),) = open_by(path)
    assert kind == "labels"
    assert [level.shape for level in data] == [(700, 1300), (350, 650), (175, 325)]
    assert (data[0][:, :] == label_map.labels).all()
    assert (data[2][10:20, 5:9] == label_map.labels[::4, ::4][10:20, 5:9]).all()
    assert described["multiscale"]
    assert described["scale"] == (0.5, 0.5)
    assert described["units"] == ("um", "um")
    assert described["features"]["index"] == [0, 1, 2, 3]
    assert described["features"]["name"][1:] == list(label_map.names)
    assert described["colormap"][2] == (*(value / 255 for value in label_map.colors[1]), 1.0)
    assert described["colormap"][0] == described["colormap"][None] == (0, 0, 0, 0)


def test_the_folder_of_an_input_tells_what_was_measured(open_by, study):
    out, _ = study
    ((data, described, _),) = open_by(out / "b")
    assert (data[:, :] == tifffile.imread(out / "b/labels.ome.tif")).all()  # of one level
    rows = read_phenotypes(out / "b/phenotypes.csv")
    assert described["features"]["area_um2"] == [row.area_um2 for row in rows]
    assert described["features"]["fraction"] == [row.fraction for row in rows]
    assert (described["name"], described["scale"], described["visible"]) == ("b", (1.0, 1.0), True)


def test_an_output_folder_gives_a_layer_an_input(open_by, study):
    out, _ = study
    (out / "c").mkdir()  # of something else
    assert [(one[1]["name"], one[1]["visible"]) for one in open_by(out)] == [("a", True), ("b", False)]
    (out / "a/segmentation.json").unlink()  # under way
    assert [one[1]["name"] for one in open_by(out)] == ["b"]


def test_a_damaged_input_keeps_no_other_from_being_shown(study):
    out, _ = study
    labels = out / "a/labels.ome.tif"
    labels.write_bytes(labels.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"left out: cannot read .*a.labels\.ome\.tif"):
        ((data, described, _),) = read_layers(str(out))
    assert (data[:, :] == tifffile.imread(out / "b/labels.ome.tif")).all()
    assert (described["name"], described["visible"]) == ("b", True)
    (out / "b/labels.ome.tif").write_bytes(b"")
    with pytest.raises(ImageError, match=r"labels\.ome\.tif"):
        read_layers(str(out))


def test_a_damaged_table_takes_the_measures_and_not_the_map(study):
    out, _ = study
    names = read_layers(str(out / "a"))[0][1]["features"]["name"]
    (out / "a/phenotypes.csv").write_text("label;name\n0;x\n")
    with pytest.warns(UserWarning, match=r"nothing is told of areas: cannot read .*phenotypes\.csv"):
        ((data, described, _),) = read_layers(str(out / "a"))
    assert (data[:, :] == tifffile.imread(out / "a/labels.ome.tif")).all()
    assert described["features"] == {"index": list(range(len(names))), "name": names}


def test_without_a_resolution_in_px(tmp_path):
    write_labels(labelled((20, 30), mpp=None), tmp_path / "labels.ome.tif")
    ((_, described, _),) = read_layers(str(tmp_path / "labels.ome.tif"))
    assert (described["scale"], described["units"]) == ((1.0, 1.0), ("pixel", "pixel"))


def test_what_others_wrote_is_left_to_others(open_by, tmp_path, large):
    tifffile.imwrite(tmp_path / "labels.ome.tif", np.zeros((8, 8), np.uint8))
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "labels.ome.tif", tmp_path / "folder"):
        assert napari_get_reader(str(path)) is None
        with pytest.raises(ValueError, match="refused the file"):
            open_by(path)
    assert napari_get_reader([str(large[1]), str(large[1])]) is None
    shutil.copy(large[1], tmp_path / "other.tif")
    with pytest.raises(ValueError, match=r"[Nn]o readers|cannot|not"):
        open_by(tmp_path / "other.tif")


def test_neither_napari_nor_qt_is_imported():
    program = (
        "import sys, histofactor.viewer.napari\nprint([n for n in ('napari', 'qtpy', 'npe2') if n in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "[]\n"


@pytest.mark.filterwarnings("ignore")
def test_napari_shows_the_layers(open_by, study, large, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        components = pytest.importorskip("napari.components", reason="needs napari, see `make test-ecosystem`")
    label_map, path = large
    viewer = components.ViewerModel()
    (layer,) = viewer.open(str(path), plugin="histofactor")
    assert layer.multiscale
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.extent.world[1] == pytest.approx([349.5, 649.5])  # middles of px
    label = int(label_map.labels[300, 700])
    assert layer.get_value((150.0, 350.0), world=True)[1] == label
    assert layer.get_color(label)[:3] == pytest.approx(np.array(label_map.colors[label - 1]) / 255)
    assert label_map.names[label - 1] in layer.get_status((150.0, 350.0), world=True)["value"]
    assert len(viewer.open(str(study[0]), plugin="histofactor")) == 2
