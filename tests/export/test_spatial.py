"""SpatialData and wsidata read back what was written; `make test-ecosystem` installs both."""

import dataclasses
import warnings

import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError, OptionError, OutputError
from histofactor.export import spatial as room
from histofactor.export.mapped import mapped
from histofactor.slides.canvas import canvas_note

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    spatialdata = pytest.importorskip("spatialdata", reason="needs spatialdata, see `make test-ecosystem`")
    wsidata = pytest.importorskip("wsidata", reason="needs wsidata, see `make test-ecosystem`")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
GRID = np.random.default_rng(1).integers(0, 5, (160, 40)).repeat(2, 1)
NAMES = ("fat", "stroma", "fat", "a\x00b <é>")


@pytest.fixture(scope="module")
def segmentation(make_segmentation):
    found = make_segmentation(GRID, l0_per_px=2.0, cut_px=2, mpp=1.0)
    label_map = dataclasses.replace(found.label_map, names=NAMES, excluded=(2,))
    return dataclasses.replace(found, label_map=label_map)


@pytest.fixture(scope="module")
def written(segmentation, tmp_path_factory):
    """The store, beside a slide of its size: 636 × 1276 px of 0.5 µm."""
    folder = tmp_path_factory.mktemp("store")
    width, height = segmentation.slide.size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        room.write_spatialdata(mapped(segmentation), folder / "case.zarr", tile_tokens=2)
    image = np.full((height, width, 3), 200, np.uint8)
    how = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "case.tif", image, tile=(256, 256), photometric="rgb", **how)
    return folder


@pytest.fixture(scope="module")
def read(written):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spatialdata.read_zarr(written / "case.zarr")


def test_labels_come_back_px_by_px_in_levels(segmentation, read):
    levels = read.labels["phenotypes"]
    assert list(levels) == ["scale0", "scale1"]
    full = levels["scale0"]["image"]
    assert (full.to_numpy() == segmentation.label_map.labels).all()
    assert full.dtype == np.uint8
    assert levels["scale1"]["image"].shape == (319, 159)
    assert set(np.unique(levels["scale1"]["image"])) <= set(range(5))


@pytest.mark.parametrize("system", ["global", "micrometers"])
def test_labels_and_shapes_lie_over_each_other(segmentation, read, system):
    px = {"global": 2.0, "micrometers": 1.0}[system]
    matrix = spatialdata.transformations.get_transformation(read.labels["phenotypes"], system)
    assert matrix.to_affine_matrix(("x", "y"), ("x", "y")).tolist() == [[px, 0, 0], [0, px, 0], [0, 0, 1]]
    regions = spatialdata.transform(read.shapes["regions"], to_coordinate_system=system)
    for label in range(1, 5):
        area = regions.geometry[regions["label"] == label].area.sum()
        assert area == pytest.approx((segmentation.label_map.labels == label).sum() * px**2, rel=0.005)


def test_areas_annotate_the_labels(segmentation, read):
    table = read.tables["areas"]
    assert table.uns["spatialdata_attrs"] == {"region": "phenotypes", "region_key": "region", "instance_key": "label"}
    counts = np.bincount(segmentation.label_map.labels.ravel())[1:]
    assert table.obs["area_um2"].tolist() == counts.tolist()
    assert table.obs["name"].tolist() == ["fat", "stroma", "fat", "a\\x00b <é>"]
    assert table.obs["excluded"].tolist() == [False, True, False, False]
    assert np.isnan(table.obs["fraction"].iloc[1])
    assert table.obs_names.tolist() == ["fat (1)", "stroma", "fat (3)", "a\\x00b <é>"]


def test_tokens_annotate_the_tiles(segmentation, read):
    table, tiles = read.tables["histofactor_tiles"], read.shapes["tiles"]
    expected = segmentation.to_anndata(tile_tokens=2)
    assert (table.X != expected.X).nnz == 0
    assert table.obs["tile_id"].tolist() == tiles["tile_id"].tolist() == list(range(len(tiles)))
    matched, _ = spatialdata.match_element_to_table(read, "tiles", "histofactor_tiles")
    assert len(matched["tiles"]) == len(table)
    assert (table.layers["area_px"].sum() * 4) == sum(
        read.shapes["tiles"].geometry.intersection(read.shapes["tissues"].union_all()).area
    )
    own = read.shapes["tissues"].set_index("tissue_id").geometry.loc[tiles["tissue_id"]]
    assert (tiles.geometry.intersection(own, align=False).area > 0).all()
    assert table.obs["tissue_id"].tolist() == tiles["tissue_id"].tolist()
    assert tiles.geometry.bounds["maxx"].max() == segmentation.slide.size[0]  # cut at the map's border


def test_wsidata_opens_it_beside_the_slide(segmentation, written, read):
    slide = wsidata.open_wsi(written / "case.tif", store=str(written))
    assert slide.properties.mpp == 0.5
    spec = slide.tile_spec("tiles")
    assert (spec.mpp, spec.width, spec.base_width, spec.tissue_name) == (1.0, 8, 16, "tissues")
    table = slide.fetch.features_anndata("histofactor")
    assert table.shape == read.tables["histofactor_tiles"].shape
    counts = np.bincount(segmentation.label_map.labels.ravel())[1:]
    found = np.asarray(table.layers["area_px"].sum(axis=0)).ravel() * spec.mpp**2
    assert found == pytest.approx(counts * 1.0, rel=0.005)
    assert slide.fetch.n_tissue("tissues") == len(read.shapes["tissues"])
    contour = next(slide.iter.tissue_contours("tissues"))
    assert contour.tissue_id == 0
    tile = next(slide.iter.tile_images("tiles"))
    assert tile.image.shape == (8, 8, 3)
    slide.close()


def test_coordinates_count_from_the_canvas_of_the_slide(segmentation):
    slide = dataclasses.replace(segmentation.slide, notes=(canvas_note(1000, 300, (5000, 6000)),))
    found = dataclasses.replace(segmentation, slide=slide).to_spatialdata()
    assert found.attrs["slide_properties"] == {"shape": [6000, 5000], "mpp": 0.5}
    assert found.shapes["regions"].total_bounds[:2].tolist() == [1000, 300]
    assert found.shapes["tiles"].total_bounds[:2].tolist() == [1000, 300]
    extent = spatialdata.get_extent(found.labels["phenotypes"], coordinate_system="micrometers")
    assert extent["x"][0] == 500
    assert extent["y"][0] == 150


def test_without_a_resolution_there_are_no_micrometers(make_segmentation):
    found = make_segmentation(mpp=None).to_spatialdata()
    assert found.coordinate_systems == ["global"]
    assert found.shapes["tiles"]["x"].tolist() == [0, 8, 16, 8, 16]


def test_without_tissue_there_are_labels_alone(make_segmentation, tmp_path):
    one = mapped(make_segmentation(np.zeros((4, 4), int)))
    room.write_spatialdata(one, tmp_path / "a.zarr")
    found = spatialdata.read_zarr(tmp_path / "a.zarr")
    assert (list(found.labels), list(found.shapes), list(found.tables)) == (["phenotypes"], [], ["areas"])


def test_labels_are_read_in_chunks(segmentation, lazily, monkeypatch):
    monkeypatch.setattr(room, "_CHUNK_PX", 64)
    counting = lazily(segmentation)
    lazy = room._labels(dataclasses.replace(mapped(segmentation), label_map=counting.label_map))
    assert counting.label_map.labels.total == 0
    assert (lazy["scale0"]["image"].to_numpy() == segmentation.label_map.labels).all()
    assert counting.label_map.labels.largest == 64 * 64


def test_a_write_that_fails_leaves_what_was_there(segmentation, tmp_path):
    class Damaged:
        shape, dtype = segmentation.label_map.labels.shape, np.dtype(np.uint8)

        def __getitem__(self, index):
            raise ImageError("damaged")

    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/before").touch()
    one = mapped(segmentation)
    one = dataclasses.replace(one, label_map=dataclasses.replace(one.label_map, labels=Damaged()))
    with pytest.raises(ImageError, match="damaged"):
        room.write_spatialdata(one, tmp_path / "a.zarr")
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zarr", "before"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        room.write_spatialdata(mapped(segmentation), tmp_path / "file/a.zarr")


def test_tiles_hold_a_token_at_least(segmentation):
    with pytest.raises(OptionError, match="at least one token"):
        segmentation.to_spatialdata(tile_tokens=0)
