import dataclasses

import numpy as np
import pytest

from histofactor.errors import OptionError
from histofactor.export import tokens as room
from histofactor.export.mapped import mapped, moved
from histofactor.export.tokens import tile_side, to_anndata, token_table

pytest.importorskip("anndata")
GRID = np.random.default_rng(5).integers(0, 5, (21, 13))
GRID[:, 6:8] = 0


@pytest.fixture
def segmentation(make_segmentation):
    return make_segmentation(GRID, cut_px=1, l0_per_px=2.5)


def test_a_row_a_token_with_its_weights_and_place(segmentation):
    table = to_anndata(segmentation)
    rows, columns = np.nonzero(GRID)
    assert table.obs[["row", "column"]].to_numpy().T.tolist() == [rows.tolist(), columns.tolist()]
    assert (table.X.toarray() == segmentation.weights.values[rows, columns]).all()
    assert table.obs["label"].tolist() == GRID[rows, columns].tolist()
    assert table.obs["phenotype"].tolist() == [f"Phenotype {label}" for label in GRID[rows, columns]]
    assert (table.obs["margin"] == segmentation.tokens.margin[rows, columns]).all()
    assert (table.obs["residual"] == segmentation.tokens.residual[rows, columns]).all()
    assert table.obs["x"].tolist() == (columns * 10).tolist()  # 4 px of 2.5 level-0 px
    assert (table.obsm["spatial"][:, 1] == rows * 10 + 5).all()
    assert table.uns["histofactor"]["x"] == "weights"


@pytest.mark.parametrize("tile_tokens", [1, 2, 5])
def test_columns_of_areas_add_up_to_the_phenotypes(segmentation, tile_tokens, monkeypatch):
    monkeypatch.setattr(room, "_BAND_PX", 1000)  # several bands
    table = to_anndata(segmentation, tile_tokens=tile_tokens)
    labels = segmentation.label_map.labels
    assert table.layers["area_px"].sum(axis=0).A1.tolist() == [(labels == i).sum() for i in range(1, 5)]


def test_a_tile_of_several_tokens_tells_their_means(segmentation):
    table = to_anndata(segmentation, tile_tokens=3)
    for index, (row, column) in enumerate(table.obs[["row", "column"]].to_numpy()):
        part = slice(3 * row, 3 * row + 3), slice(3 * column, 3 * column + 3)
        on = GRID[part] > 0
        assert table.X[index].toarray()[0] == pytest.approx(segmentation.weights.values[part][on].mean(0), rel=1e-5)
        assert table.obs["residual"].iloc[index] == pytest.approx(segmentation.tokens.residual[part][on].mean())
    assert len(table) == np.count_nonzero(np.add.reduceat(np.add.reduceat(GRID, range(0, 21, 3)), range(0, 13, 3), 1))


def test_without_weights_x_tells_shares_of_labels(segmentation):
    table = to_anndata(dataclasses.replace(segmentation, weights=None), tile_tokens=2)
    areas = table.layers["area_px"].toarray()
    assert table.X.toarray() == pytest.approx(areas / areas.sum(1, keepdims=True))
    assert table.uns["histofactor"]["x"] == "shares of labels"
    assert "margin" in table.obs


def test_tissue_pieces_are_those_of_the_regions(make_segmentation):
    tokens = np.zeros((60, 60), int)
    tokens[2:5, 3:9], tokens[50:57, 48:55] = 1, 2
    segmentation = make_segmentation(tokens)
    table = to_anndata(segmentation, tile_tokens=4)
    regions = segmentation.to_geodataframe()
    piece = dict(zip(regions["label"], regions["tissue_piece"], strict=True))
    assert piece == {1: 1, 2: 2}
    assert table.obs["tissue_piece"].tolist() == [piece[label] for label in table.obs["label"]]


def test_concepts_with_names_that_occur_twice_excluded_ones_and_tissue_unlike_the_bank(segmentation):
    label_map = dataclasses.replace(
        segmentation.label_map,
        names=("fat", "stroma", "fat", "pen", "unlike the bank"),
        colors=((1, 1, 1), (2, 2, 2), (1, 1, 1), (4, 4, 4), (0, 0, 0)),
        excluded=(4,),
    )
    table = to_anndata(dataclasses.replace(segmentation, label_map=label_map))
    assert table.var_names.tolist() == ["fat (1)", "stroma", "fat (3)", "pen", "unlike the bank"]
    assert table.var["color"].tolist()[:2] == ["#010101", "#020202"]
    assert table.var["excluded"].tolist() == [False, False, False, True, False]
    assert list(table.obs["phenotype"].cat.categories) == ["fat", "stroma", "pen", "unlike the bank"]
    assert table.uns["phenotype_colors"] == ["#010101", "#020202", "#040404", "#000000"]
    assert table.X.shape[1] == 5
    assert table.X[:, 4].sum() == 0


def test_places_count_from_the_origin(segmentation):
    table = token_table(moved(mapped(segmentation), 1000, 7))
    assert table.obs["x"].min() == 1000
    assert table.obs["y"].min() == 7


def test_no_tissue_no_rows(make_segmentation):
    assert to_anndata(make_segmentation(np.zeros((3, 3), int))).shape == (0, 4)


def test_labels_are_read_in_bands(segmentation, lazily, monkeypatch):
    monkeypatch.setattr(room, "_BAND_PX", 500)
    counting = lazily(segmentation)
    one = dataclasses.replace(mapped(segmentation), label_map=counting.label_map)
    monkeypatch.setattr(room, "tissue_tiles", lambda *args: [])
    token_table(one)
    assert counting.label_map.labels.largest <= 500


def test_sides_of_tiles(segmentation, monkeypatch):
    one = mapped(segmentation)
    assert tile_side(one, None) == 1
    monkeypatch.setattr(room, "_MOST_CELLS", 30)
    assert tile_side(one, None) == 4  # 6 × 4 tiles
    assert tile_side(one, 1) == 1
    with pytest.raises(OptionError, match="at least one token"):
        tile_side(one, 0)
