import dataclasses

import numpy as np
import pytest
import rasterio.features
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from histofactor.export.mapped import mapped, moved
from histofactor.export.regions import regions, tissues, to_geodataframe, write_parquet
from histofactor.masks.polygons import polygons

geopandas = pytest.importorskip("geopandas")
TOKENS = np.random.default_rng(3).integers(0, 5, (12, 16))


def painted(shapes, values, size):
    """Labels (height, width) of polygons in px, by another library."""
    width, height = size
    return rasterio.features.rasterize(zip(shapes, values, strict=True), out_shape=(height, width), dtype=np.uint8)


@given(arrays.arrays(np.uint8, (6, 9), elements=st.integers(0, 3)))
def test_polygons_give_the_labels_back(make_segmentation, tokens):
    segmentation = make_segmentation(tokens, l0_per_px=2.0, stride_px=1)
    found = to_geodataframe(segmentation)
    assert (painted(found.geometry, found["label"], (18, 12)) == tokens.repeat(2, 0).repeat(2, 1)).all()
    assert found.geometry.area.sum() == 4 * found["area_px"].sum()


def test_columns(make_segmentation):
    segmentation = make_segmentation(TOKENS)
    found = segmentation.to_geodataframe()
    label_map = segmentation.label_map
    assert list(found.columns) == [
        "label", "name", "color", "area_px", "area_um2", "mean_margin", "tissue_piece", "geometry"
    ]  # fmt: skip
    for label in range(1, 5):
        mine, px = found[found["label"] == label], label_map.labels == label
        assert set(mine["name"]) == {f"Phenotype {label}"}
        assert mine["area_px"].sum() == px.sum()
        assert mine["area_um2"].sum() == px.sum() * 0.25
        mean = (mine["mean_margin"] * mine["area_px"]).sum() / px.sum()
        assert mean == pytest.approx(segmentation.margin[px].mean(), rel=1e-5)


def test_areas_are_exact_where_a_px_is_no_whole_number_of_level0_px(make_segmentation):
    tokens = np.zeros((40, 40), int)
    tokens[1, 1], tokens[5:30, 7:39] = 1, 2
    found = to_geodataframe(make_segmentation(tokens, stride_px=1, l0_per_px=2.0036))
    assert found.geometry.area.tolist() == pytest.approx([2.0036**2, 25 * 32 * 2.0036**2])
    assert found.geometry.iloc[0].bounds == pytest.approx((2.0036, 2.0036, 4.0072, 4.0072))


def test_as_in_the_regions_of_qupath(make_segmentation):
    segmentation = make_segmentation(TOKENS)
    found = to_geodataframe(segmentation, tolerance_px=1.0, min_area_px=20)
    expected = polygons(segmentation.label_map, segmentation.l0_per_px, tolerance_px=1.0, min_area_px=20)
    assert [one.wkb for one in found.geometry] == [piece.polygon.wkb for piece in expected]


def test_what_is_not_known_is_no_column(make_segmentation):
    one = dataclasses.replace(mapped(make_segmentation(TOKENS, mpp=None)), margin=None)
    assert {"area_um2", "mean_margin"}.isdisjoint(regions(one).columns)


def test_tissue_is_what_has_a_label_in_whole_pieces(make_segmentation):
    tokens = np.zeros((1200, 40), int)
    tokens[:1100, :3] = np.random.default_rng(0).integers(1, 5, (1100, 3))  # higher than a tile
    tokens[5:9, 39] = 2  # too far to be of the same piece
    segmentation = make_segmentation(tokens, l0_per_px=1.0)
    found = tissues(moved(mapped(segmentation), 100, 50))
    assert found["tissue_id"].tolist() == [0, 1]
    assert found["tissue_piece"].tolist() == [1, 2]
    assert [one.bounds for one in found.geometry] == [(100, 50, 112, 4450), (256, 70, 260, 86)]
    assert found.geometry.area.sum() == (segmentation.label_map.labels > 0).sum()


def test_no_tissue_no_rows(make_segmentation):
    segmentation = make_segmentation(np.zeros((3, 3), int))
    assert len(to_geodataframe(segmentation)) == len(tissues(mapped(segmentation))) == 0


def test_parquet_is_read_back(make_segmentation, tmp_path):
    import pyarrow.parquet

    segmentation = make_segmentation(TOKENS)
    write_parquet(mapped(segmentation), tmp_path / "a")
    found = geopandas.read_parquet(tmp_path / "a/regions.parquet")
    expected = to_geodataframe(segmentation)
    assert found.drop(columns="geometry").equals(expected.drop(columns="geometry"))
    assert found.geometry.geom_equals(expected.geometry).all()
    rows = pyarrow.parquet.read_table(tmp_path / "a/phenotypes.parquet").to_pylist()
    assert [row["area_px"] for row in rows] == [(segmentation.label_map.labels == i).sum() for i in range(1, 5)]
    assert rows[0]["color"].startswith("#")
